#include "cupti_hook/rerun/scratch.h"

#include <algorithm>
#include <bit>
#include <new>

namespace fumi::rerun {

namespace {
constexpr std::size_t smallest = std::size_t{256} << 10;

// Of the calling thread; a later thread may inherit it, as the memory of one that is gone.
const void* this_thread() noexcept {
    static thread_local char mark;
    return &mark;
}
}  // namespace

std::size_t Scratch::Hash::operator()(const Key& key) const noexcept {
    auto mix = reinterpret_cast<std::uintptr_t>(key.stream) * 0x9e3779b97f4a7c15ULL;
    mix ^= reinterpret_cast<std::uintptr_t>(key.context) + (mix << 6) + (mix >> 2);
    mix ^= reinterpret_cast<std::uintptr_t>(key.thread) * 0xc4ceb9fe1a85ec53ULL;
    return mix ^ (key.capture * 0xff51afd7ed558ccdULL);
}

CUdeviceptr Scratch::get(const libraries::DriverApi& driver, CUcontext context, CUstream stream,
                         std::uint64_t capture, std::size_t bytes) noexcept try {
    const std::lock_guard lock(mutex_);
    Arena& arena = arenas_[{context, stream, capture, this_thread()}];
    if (arena.size >= bytes) return arena.base;
    const std::size_t left = ceiling_ - std::min(ceiling_, allocated_);
    if (bytes > left) return 0;
    const std::size_t size = std::min(left, std::bit_ceil(std::max(bytes, smallest)));
    CUdeviceptr base = 0;
    if (driver.mem_alloc(&base, size) != CUDA_SUCCESS) return 0;
    allocated_ += size;
    arena = {base, size};
    return base;
} catch (const std::bad_alloc&) {
    return 0;
}

std::size_t Scratch::available(CUcontext context, CUstream stream, std::uint64_t capture) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = arenas_.find({context, stream, capture, this_thread()});
    const std::size_t own = found == arenas_.end() ? 0 : found->second.size;
    return std::max(own, ceiling_ - std::min(ceiling_, allocated_));
}

CUdeviceptr Scratch::take(const libraries::DriverApi& driver, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    if (bytes > ceiling_ - std::min(ceiling_, allocated_) ||
        bytes > ceiling_ / 2 - std::min(ceiling_ / 2, taken_))
        return 0;
    CUdeviceptr base = 0;
    if (driver.mem_alloc(&base, bytes) != CUDA_SUCCESS) return 0;
    allocated_ += bytes;
    taken_ += bytes;
    return base;
}

std::size_t Scratch::allocated() noexcept {
    const std::lock_guard lock(mutex_);
    return allocated_;
}

}  // namespace fumi::rerun
