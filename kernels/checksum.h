// The checksum of one GEMM-like call: for blocks of columns J and random signs w, D w against A (B w), row by
// row, in fp64 (docs/modes.md; randomised ABFT after Freivalds 1977 and Huang and Abraham 1984).
// A row and block is over where |D w - reference| > 6 sigma, sigma from what a legal kernel may round.
//
// Three launches: kernel_name::checksum_columns (B w, and the squares), kernel_name::checksum_rows (one
// partial ErrorStats a block), kMergeKernel. ErrorStats as the rows fill it:
//   elements = elements of D that were added up; nonfinite of them; nonfinite_unexpected = not finite though
//   the inputs are and no sum can be that large; nonfinite_reference = rows of a block that cannot be
//   compared; bits_elements = sums compared, see = sum of z^2, z = |D w - reference| / sigma; mismatches =
//   sums over; max_ratio = max z / 6; max_eta = the same where partial sums in the output type are granted;
//   bound_at_max = 6 sigma, worst_value = D w, worst_reference, worst_index (of the block's first column in
//   that row) there.
#pragma once
#include <cstdint>

#include "kernels/check_launch.h"

namespace fumi {

inline constexpr double kChecksumThreshold = 6;
inline constexpr int kMostChecksumVectors = 4;
inline constexpr int kChecksumRows = 32, kChecksumBlocks = 8;  // of D, by one block of the GPU

struct ChecksumParams {
    GemmProblem problem;
    BoundNumbers bound;
    double reduction_error = 0;  // relative to G, legal where sums are split in the output type
    std::int64_t width = 128;    // columns of a block
    std::int64_t groups = 0;     // of kChecksumBlocks blocks each, in one matrix
    std::int64_t first_unit = 0, units = 0, all_units = 0;  // a unit is one group of one matrix of the batch
    std::int32_t vectors = 1;
    std::int32_t linear = 1;  // 0: D is looked through for what is not finite, and nothing is compared
    std::uint64_t seed = 0;
    double* sums = nullptr;  // scratch
    ErrorStats* partials = nullptr;
    const ResultSlot* replayed = nullptr;
};

struct ChecksumChoice {
    std::int64_t width = 128;
    int vectors = 1;
    std::uint64_t seed = 0;
};

struct ChecksumPlan {
    const char* reason = "";  // not "": no checksum of this call, and why
    const char* limit = "";   // not "": only the non-finite check, and why
    std::size_t sums_bytes = 0;
    unsigned column_blocks = 0, row_blocks = 0;
    bool sampled = false;   // not all blocks of columns fit into the scratch
    ChecksumParams params;  // without contract, sums, partials and replayed
};
// sums_ceiling: bytes for the column sums; partials_bytes: for the partials of the row blocks.
ChecksumPlan plan_checksum(const GemmProblem& problem, const ChecksumChoice& choice, std::size_t sums_ceiling,
                           std::size_t partials_bytes) noexcept;

namespace kernel_name {
inline constexpr const char* checksum_columns = "fumi_checksum_columns";
inline constexpr const char* checksum_rows = "fumi_checksum_rows";
}  // namespace kernel_name

}  // namespace fumi
