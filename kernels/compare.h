// Two results of one call, compared: bit by bit (repeat), or by how far they lie apart (add_noise). One
// launch of kernel_name::compare for each pair of memory regions, partials in scratch; then kMergeKernel.
//
// ErrorStats as the comparison fills it, with a the first and b the second result:
//   bitwise: elements; mismatches = elements of other bits; nonfinite = a not finite; nonfinite_reference =
//     both NaN, of other payloads (no mismatch); max_abs_err, max_rel_err = |a - b|, |a - b| / |a| over the
//     mismatches; worst_index, worst_value = b, worst_reference = a of the largest |a - b|; max_ratio = |a -
//     b| there (infinite where one of them is not finite).
//   distance: elements = those finite on both sides; nonfinite = a or b not finite; sum_g = sum (a - b)^2;
//     sum_abs_r = sum a^2; max_abs_err; max_rel_err, sum_rel_err2 and rel_elements of |a - b| / |a|, a != 0;
//     max_kappa = max |a - b| / |a + b|; see = sum |a|; sez = sum |b|; max_eta = max |a|; max_ratio = max
//     |b|.
#pragma once
#include <cstdint>

#include "kernels/check_launch.h"

namespace fumi {

inline constexpr int kStridedRank = 6;

// Elements of a real type: at data + sum index[d] * stride[d], strides in elements.
struct Strided {
    const void* data = nullptr;
    DataType type = DataType::none;
    std::int64_t size[kStridedRank] = {1, 1, 1, 1, 1, 1};
    std::int64_t stride[kStridedRank] = {};
};
std::int64_t count_of(const Strided& view) noexcept;
// A matrix (batch), as its real parts and, where it is complex, the imaginary ones: dimension 0 is the part.
Strided strided(const MatrixView& view, std::int64_t rows, std::int64_t columns, std::int64_t batch) noexcept;

struct CompareParams {
    Strided a;
    const void* b = nullptr;         // laid out as a
    ErrorStats* partials = nullptr;  // one per block
    std::int32_t bitwise = 1;
    std::int32_t add = 0;          // to the partials that are there already
    std::int64_t first_index = 0;  // of this region's elements in worst_index
};

namespace kernel_name {
inline constexpr const char* compare = "fumi_compare";
}

// Blocks of a launch, and of every other that adds to the same partials: those of the largest of them.
unsigned compare_blocks(std::int64_t elements, std::size_t scratch_bytes) noexcept;

}  // namespace fumi
