#include "mapping/scratch_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <unordered_map>

namespace fumi::mapping {
namespace {

constexpr std::size_t least = 64 * 1024;  // smaller ones the C library keeps by itself
constexpr std::size_t alignment = 64;     // as torch's

thread_local int depth = 0;

// Blocks come of the C library, so that free() is right for all of them. Its lock is never waited for: who
// finds it taken (for ever, in the child of a fork at a bad moment) goes without.
class Blocks {
  public:
    void limit(std::size_t bytes) noexcept { most_ = bytes; }

    void* take(std::size_t bytes) {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock) {
            return nullptr;
        }
        const auto found = free_.lower_bound(bytes);
        if (found != free_.end() && found->first <= bytes + bytes / 4) {
            void* const block = found->second;
            free_bytes_ -= found->first;
            sizes_[block] = found->first;
            free_.erase(found);
            return block;
        }
        void* block = nullptr;
        if (posix_memalign(&block, alignment, bytes) != 0) {
            return nullptr;
        }
        sizes_[block] = bytes;
        return block;
    }

    void give(void* block) noexcept {
        if (!keep(block)) {
            std::free(block);  // NOLINT(*-no-malloc): of posix_memalign
        }
    }

  private:
    bool keep(void* block) noexcept try {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock) {
            return false;
        }
        const auto found = sizes_.find(block);
        if (found == sizes_.end() || free_bytes_ + found->second > most_) {
            return false;
        }
        free_.emplace(found->second, block);
        free_bytes_ += found->second;
        return true;
    } catch (const std::exception&) {
        return false;
    }

    std::mutex mutex_;
    std::multimap<std::size_t, void*> free_;
    std::unordered_map<void*, std::size_t>
        sizes_;  // of every block; what was freed is overwritten when it returns
    std::size_t free_bytes_ = 0, most_ = 0;
};

Blocks& blocks() {
    static auto* const instance = new Blocks;
    return *instance;
}

void give_back(void* block) {
    blocks().give(block);
}

class Before final : public c10::Allocator {
  public:
    explicit Before(c10::Allocator* torchs) : torchs_(torchs) {}

    c10::DataPtr allocate(std::size_t bytes) override {
        if (depth > 0 && bytes >= least) {
            if (void* const block = blocks().take(bytes); block != nullptr) {
                return {block, block, give_back, c10::Device(c10::DeviceType::CPU)};
            }
        }
        return torchs_->allocate(bytes);
    }
    bool is_simple_data_ptr(const c10::DataPtr& data) const override {
        return torchs_->is_simple_data_ptr(data);
    }
    c10::DeleterFnPtr raw_deleter() const override { return torchs_->raw_deleter(); }
    void copy_data(void* to, const void* from, std::size_t count) const override {
        torchs_->copy_data(to, from, count);
    }

  private:
    c10::Allocator* torchs_;
};

}  // namespace

void keep_scratch_memory(std::int64_t keep_bytes) {
    blocks().limit(static_cast<std::size_t>(keep_bytes));
    static auto* const before = new Before(c10::GetCPUAllocator());
    c10::SetCPUAllocator(before);
}

InScratch::InScratch() noexcept {
    ++depth;
}

InScratch::~InScratch() {
    --depth;
}

}  // namespace fumi::mapping
