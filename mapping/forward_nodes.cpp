#include "mapping/forward_nodes.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>

namespace fumi::mapping {
namespace {

// `check` is key ^ origin: a slot that two threads write at once fits no key and reads as unknown, so no lock
// is needed.
struct Slot {
    std::atomic<std::uint64_t> check;
    std::atomic<std::uint64_t> origin;
};

std::atomic<Slot*> slots{nullptr};

// Exact for 2^24 threads of 2^40 nodes each.
std::uint64_t key_of(std::uint64_t thread, std::uint64_t sequence) noexcept {
    return (thread << 40U) ^ sequence;
}

// Neighbouring nodes sit in neighbouring slots; threads start at scattered places of the ring.
std::uint64_t place_of(std::uint64_t thread, std::uint64_t sequence) noexcept {
    return (thread * 0x9E3779B97F4A7C15U + sequence) % node_capacity;
}

}  // namespace

bool nodes_reserve() noexcept {
    if (slots.load(std::memory_order_acquire) != nullptr) {
        return true;
    }
    void* memory = mmap(nullptr, node_capacity * sizeof(Slot), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    slots.store(static_cast<Slot*>(memory), std::memory_order_release);
    return true;
}

void nodes_store(std::uint64_t thread, std::uint64_t first, std::uint64_t last,
                 const Origin* origin) noexcept {
    Slot* const table = slots.load(std::memory_order_acquire);
    if (table == nullptr || origin == nullptr) {
        return;
    }
    const auto value = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(origin));
    first = std::max(first, last > node_capacity ? last - node_capacity : 0);
    for (std::uint64_t sequence = first; sequence < last; ++sequence) {
        Slot& slot = table[place_of(thread, sequence)];
        slot.origin.store(value, std::memory_order_relaxed);
        slot.check.store(key_of(thread, sequence) ^ value, std::memory_order_relaxed);
    }
}

const Origin* nodes_find(std::uint64_t thread, std::uint64_t sequence) noexcept {
    Slot* const table = slots.load(std::memory_order_acquire);
    if (table == nullptr) {
        return nullptr;
    }
    const Slot& slot = table[place_of(thread, sequence)];
    const std::uint64_t value = slot.origin.load(std::memory_order_relaxed);
    if (value == 0 || (slot.check.load(std::memory_order_relaxed) ^ value) != key_of(thread, sequence)) {
        return nullptr;
    }
    return reinterpret_cast<const Origin*>(static_cast<std::uintptr_t>(value));
}

}  // namespace fumi::mapping
