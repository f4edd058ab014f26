// What a call reads and writes, as memory: all that is needed to run it again on other memory.
#pragma once
#include <cstdint>

#include "cupti_hook/libraries/call.h"
#include "cupti_hook/rerun/saved_output.h"
#include "kernels/compare.h"

namespace fumi::rerun {

inline constexpr int max_regions = 6;

// One operand. Elements lie at data + the sum of index * stride over the dimensions; complex numbers are two
// elements.
struct Region {
    Strided elements;                  // their type is a real one
    Extent extent;                     // the bytes from the lowest to the highest element
    std::int8_t places[2] = {-1, -1};  // among the call's pointer arguments (in place: of C and of D)
    std::int32_t operand = -1;         // what it holds where it is read: 0 A, 1 B, 2 C
    bool read = false, written = false;
};

struct Footprint {
    const char* reason = nullptr;  // static: why this call cannot be run again on other memory
    Region regions[max_regions];
    int count = 0;
    std::size_t workspace_bytes = 0;  // that FuMi must offer in place of the program's
    // What the call writes besides its regions, through pointers in its descriptor, and nobody compares.
    std::size_t descriptor_bytes = 0;
};

Footprint footprint_of(const libraries::Call& call) noexcept;

}  // namespace fumi::rerun
