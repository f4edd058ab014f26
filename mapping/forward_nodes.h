// Which forward op made an autograd node: (forward thread, sequence number) -> Origin.
//
// Entries are not erased when backward has used them (retain_graph and double backward use them again): the
// table is a ring that forgets the oldest. It holds the last 2^20 nodes of a thread, 16 MiB of which only
// touched pages are real.
#pragma once
#include <cstdint>

#include "mapping/intern.h"

namespace fumi::mapping {

inline constexpr std::uint64_t node_capacity = 1U << 20U;

// Reserves the table. False where the address space is not to be had.
bool nodes_reserve() noexcept;

// Nodes [first, last) of `thread` (RecordFunction's thread id) come from `origin`. Lock-free, any thread.
void nodes_store(std::uint64_t thread, std::uint64_t first, std::uint64_t last,
                 const Origin* origin) noexcept;

// nullptr where the node is not known (never stored, or forgotten).
const Origin* nodes_find(std::uint64_t thread, std::uint64_t sequence) noexcept;

}  // namespace fumi::mapping
