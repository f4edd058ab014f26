#include "tools/softcuda/core/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "tools/softcuda/core/device.h"

namespace softcuda {
namespace {

// Four times what the device has: an address is not handed out again soon, so that use after free shows.
constexpr std::size_t reserved = total_memory * 4;
constexpr std::size_t page = 4096;

struct Memory {
    std::mutex mutex;
    std::uintptr_t begin = 0, end = 0;  // as the program sees it
    std::ptrdiff_t offset = 0;          // to the device's view
    int file = -1;
    std::uintptr_t rover = 0;  // where the search for room goes on
    std::size_t used = 0;
    unsigned long long next_id = 1;
    std::map<std::uintptr_t, Extent> device;  // by begin
    std::map<std::uintptr_t, Extent> host;
    std::map<std::uintptr_t, bool> owned;
};

Memory& memory() {
    static auto* memory = new Memory;  // never destroyed: workers outlive main
    return *memory;
}

std::size_t rounded(std::size_t size) noexcept {
    return (size + page - 1) / page * page;
}

const Extent* around(const std::map<std::uintptr_t, Extent>& extents, std::uintptr_t address) {
    auto after = extents.upper_bound(address);
    if (after == extents.begin()) return nullptr;
    const Extent& extent = std::prev(after)->second;
    return address < extent.begin + extent.size ? &extent : nullptr;
}

// A gap of `size` bytes at or after `from`, or 0.
std::uintptr_t find_gap(const Memory& all, std::uintptr_t from, std::size_t size) {
    std::uintptr_t candidate = from;
    auto next = all.device.upper_bound(from);
    if (next != all.device.begin()) {
        const Extent& before = std::prev(next)->second;
        candidate = std::max(candidate, before.begin + rounded(before.size));
    }
    for (; next != all.device.end(); ++next) {
        if (candidate + size <= next->first) return candidate;
        candidate = next->first + rounded(next->second.size);
    }
    return candidate + size <= all.end ? candidate : 0;
}

}  // namespace

bool reserve_device_memory() noexcept {
    Memory& all = memory();
    const int file = memfd_create("softcuda", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, static_cast<off_t>(reserved)) != 0) {
        (void)std::fprintf(stderr, "softcuda: no device memory: %s\n", std::strerror(errno));
        return false;
    }
    void* seen = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void* inner = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (seen == MAP_FAILED || inner == MAP_FAILED) {
        (void)std::fprintf(stderr, "softcuda: %zu GiB of address space for the device cannot be had: %s\n",
                           reserved >> 30, std::strerror(errno));
        return false;
    }
    // A core file must not hold the device's memory, nor a forked child pay for its page tables.
    madvise(inner, reserved, MADV_DONTDUMP);
    all.file = file;
    all.begin = reinterpret_cast<std::uintptr_t>(seen);
    all.end = all.begin + reserved;
    all.offset = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(inner) - all.begin);
    all.rover = all.begin;
    return true;
}

std::uintptr_t device_begin() noexcept {
    return memory().begin;
}
std::uintptr_t device_end() noexcept {
    return memory().end;
}
std::ptrdiff_t device_offset() noexcept {
    return memory().offset;
}

bool is_device_memory(const void* pointer) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const Memory& all = memory();
    return address >= all.begin && address < all.end;
}

void* host_view(const void* pointer) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is the interface
    return reinterpret_cast<void*>(is_device_memory(pointer) ? address + memory().offset : address);
}

cudaError_t allocate_device(void** pointer, std::size_t size) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    *pointer = nullptr;
    if (size == 0) return cudaSuccess;
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    if (size > total_memory || rounded(size) > total_memory - all.used) return cudaErrorMemoryAllocation;
    std::uintptr_t place = find_gap(all, all.rover, rounded(size));
    if (place == 0) place = find_gap(all, all.begin, rounded(size));
    if (place == 0) return cudaErrorMemoryAllocation;
    all.device[place] = {Kind::device, place, size, 0, all.next_id++};
    all.rover = place + rounded(size);
    all.used += rounded(size);
    *pointer = reinterpret_cast<void*>(place);  // NOLINT(performance-no-int-to-ptr)
    return cudaSuccess;
}

cudaError_t free_device(void* pointer) {
    if (pointer == nullptr) return cudaSuccess;
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    auto found = all.device.find(reinterpret_cast<std::uintptr_t>(pointer));
    if (found == all.device.end()) return cudaErrorInvalidValue;
    const std::size_t size = rounded(found->second.size);
    // Hands the pages back; a later reader of the freed range sees zeros.
    if (fallocate(all.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(found->first - all.begin), static_cast<off_t>(size)) != 0) {
        warn_once("fallocate", "freed device memory cannot be handed back: %s", std::strerror(errno));
    }
    all.used -= size;
    all.device.erase(found);
    return cudaSuccess;
}

std::size_t free_memory() noexcept {
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    return total_memory - all.used;
}

cudaError_t allocate_host(void** pointer, std::size_t size, Kind kind, unsigned flags) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    *pointer = nullptr;
    if (size == 0) return kind == Kind::managed ? cudaErrorInvalidValue : cudaSuccess;
    void* block = std::aligned_alloc(page, rounded(size));
    if (block == nullptr) return cudaErrorMemoryAllocation;
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    all.host[begin] = {kind, begin, size, flags, all.next_id++};
    all.owned[begin] = true;
    *pointer = block;
    return cudaSuccess;
}

cudaError_t register_host(void* pointer, std::size_t size, unsigned flags) {
    if (pointer == nullptr || size == 0 || is_device_memory(pointer)) return cudaErrorInvalidValue;
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    const auto begin = reinterpret_cast<std::uintptr_t>(pointer);
    auto next = all.host.lower_bound(begin);
    const bool overlaps =
        around(all.host, begin) != nullptr || (next != all.host.end() && next->first < begin + size);
    if (overlaps) return cudaErrorHostMemoryAlreadyRegistered;
    all.host[begin] = {Kind::host, begin, size, flags, all.next_id++};
    all.owned[begin] = false;
    return cudaSuccess;
}

cudaError_t forget_host(void* pointer, bool owned) {
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    const auto begin = reinterpret_cast<std::uintptr_t>(pointer);
    auto found = all.owned.find(begin);
    if (found == all.owned.end()) return owned ? cudaErrorInvalidValue : cudaErrorHostMemoryNotRegistered;
    if (found->second != owned) return cudaErrorInvalidValue;
    all.owned.erase(found);
    all.host.erase(begin);
    if (owned) std::free(pointer);
    return cudaSuccess;
}

Extent find_extent(const void* pointer) {
    Memory& all = memory();
    const std::scoped_lock lock(all.mutex);
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    if (const Extent* extent = around(all.device, address)) return *extent;
    if (is_device_memory(pointer)) return {Kind::device, 0, 0, 0, 0};
    if (const Extent* extent = around(all.host, address)) return *extent;
    return {};
}

bool range_is_live(const void* pointer, std::size_t size) {
    if (!is_device_memory(pointer)) return true;
    const Extent extent = find_extent(pointer);
    const std::size_t skipped = reinterpret_cast<std::uintptr_t>(pointer) - extent.begin;
    return extent.size != 0 && size <= extent.size - skipped;
}

}  // namespace softcuda
