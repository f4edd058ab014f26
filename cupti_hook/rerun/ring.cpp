#include "cupti_hook/rerun/ring.h"

#include <sys/mman.h>

#include <new>
#include <type_traits>

namespace fumi::rerun {

namespace {

static_assert(std::is_trivially_destructible_v<Entry> && std::is_trivially_copyable_v<libraries::Call>);

void* map(std::size_t bytes) {
    void* memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return memory;
}

}  // namespace

Ring::Ring(std::uint32_t entries)
    : entries_(entries),
      pool_(static_cast<Entry*>(map(entries * sizeof(Entry)))),
      slots_(static_cast<Slot*>(map(slot_bytes()))),
      free_slots_(static_cast<std::uint32_t*>(map(slot_count() * sizeof(std::uint32_t)))) {}

Entry* Ring::take() noexcept {
    const std::lock_guard lock(mutex_);
    Entry* entry = free_;
    if (entry != nullptr) {
        free_ = entry->next;
    } else if (fresh_ < entries_) {
        entry = &pool_[fresh_];
        entry->index = fresh_++;
    } else {
        return nullptr;
    }
    ++in_use_;
    const std::uint32_t index = entry->index;
    new (entry) Entry;
    entry->index = index;
    return entry;
}

bool Ring::scarce() noexcept {
    const std::lock_guard lock(mutex_);
    return in_use_ > entries_ - entries_ / 8;
}

Check* Ring::add_check(Entry& entry, config::Mode mode) noexcept {
    if (entry.check_count >= max_checks) return nullptr;
    Check& check = entry.checks[entry.check_count];
    {
        const std::lock_guard lock(mutex_);
        if (freed_ > 0)
            check.slot = free_slots_[--freed_];
        else if (fresh_slots_ < slot_count())
            check.slot = fresh_slots_++;
        else
            return nullptr;
    }
    check.mode = mode;
    ++entry.check_count;
    slot(check) = Slot{};
    return &check;
}

void Ring::release(Entry* entry) noexcept {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < entry->check_count; ++i) free_slots_[freed_++] = entry->checks[i].slot;
    entry->check_count = 0;
    entry->next = free_;
    free_ = entry;
    --in_use_;
}

void Ring::push(Entry* entry) noexcept {
    entry->next = nullptr;
    const std::lock_guard lock(mutex_);
    if (newest_ != nullptr)
        newest_->next = entry;
    else
        oldest_ = entry;
    newest_ = entry;
}

Entry* Ring::pop_all() noexcept {
    const std::lock_guard lock(mutex_);
    Entry* list = oldest_;
    oldest_ = newest_ = nullptr;
    return list;
}

void Ring::unlock_after_fork() noexcept {
    new (&mutex_) std::mutex;
}

}  // namespace fumi::rerun
