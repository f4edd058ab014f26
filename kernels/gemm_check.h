// The check of one GEMM-like call: recompute elements of D in higher precision on the device and compare.
//
// Two launches, both on the call's stream, both with one by-value struct as their only parameter:
//   1. plan.kernel, grid plan.blocks x 1 x 1, block kCheckThreads: GemmCheckParams; one partial ErrorStats
//   per block
//   2. kMergeKernel, grid 1, block kMergeThreads: MergeParams; the partials into a ResultSlot
// No dynamic shared memory. Kernels are in fatbin() and, for the software device, in register_host_bodies().
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/contract.h"
#include "kernels/error_stats.h"
#include "kernels/gemm_problem.h"

namespace fumi {

// Which elements are looked at. Full: columns [first_column, last_column) of batches [first_batch,
// last_batch), all rows. Sampled: in that same range a cross of `rows` x `columns` elements in each of
// `batches` batches, one row (column, batch) drawn from each of as many equal strata by a hash of the seed:
// no row is drawn twice.
struct Coverage {
    std::int64_t first_column = 0, last_column = 0;
    std::int64_t first_batch = 0, last_batch = 0;
    std::int32_t sampled = 0;
    std::int32_t rows = 0, columns = 0, batches = 0;  // of the cross; each at most the range's size
    std::uint64_t seed = 0;
};
Coverage full_coverage(const GemmProblem& problem) noexcept;
Coverage sampled_coverage(const GemmProblem& problem, int rows, int columns, int batches,
                          std::uint64_t seed) noexcept;
std::int64_t elements_covered(const GemmProblem& problem, const Coverage& coverage) noexcept;

// Where a check leaves its result: pinned host memory that both sides see. Start it zeroed.
// Written once: stats, then sequence = the given one. Merged: sequence is odd while the device writes, even
// else; a reader takes stats where sequence is even and the same before and after its copy (see read_merged).
struct ResultSlot {
    std::uint64_t sequence = 0;
    ErrorStats stats;
};
// Copies the stats of a merged slot; false where the device was writing (try again later) or has never
// written.
bool read_merged(const ResultSlot& slot, ErrorStats& stats) noexcept;

struct GemmCheckParams {
    GemmProblem problem;
    BoundNumbers bound;
    Coverage coverage;
    ErrorStats* partials = nullptr;  // device scratch, one per block
    const ResultSlot* replayed =
        nullptr;                // merged slot: each replay draws another sample; null: the seed alone
    std::int32_t unlikely = 0;  // errors within B are judged by what rounding gives, too
    std::int32_t reserved = 0;
};

enum class MergeMode : std::int32_t { once, accumulate };
struct MergeParams {
    const ErrorStats* partials = nullptr;
    std::uint64_t count = 0;
    ResultSlot* slot = nullptr;  // device-visible address
    std::uint64_t sequence = 0;  // once: what slot->sequence becomes
    MergeMode mode = MergeMode::once;
};

// Lengths of sums whose unlikely errors are looked for: fewer roundings are not normal, more take long to
// replay.
inline constexpr std::int64_t kFewestUnlikely = 32, kMostUnlikely = 8192;

inline constexpr unsigned kCheckThreads = 256;
inline constexpr unsigned kMergeThreads = 64;
inline constexpr const char* kCheckReal = "fumi_gemm_check_real";      // fp64 accumulation
inline constexpr const char* kCheckDouble = "fumi_gemm_check_double";  // double-double, for fp64 inputs
inline constexpr const char* kCheckComplex = "fumi_gemm_check_complex";
inline constexpr const char* kCheckDoubleComplex = "fumi_gemm_check_double_complex";
inline constexpr const char* kMergeKernel = "fumi_merge_stats";

struct GemmCheckPlan {
    const char* kernel = nullptr;  // null: this problem cannot be checked, and `reason` says why
    const char* reason = "";
    const char* reference = "";     // "fp64", "double-double" or "exact integer"
    unsigned blocks = 0;            // of the check kernel
    std::size_t scratch_bytes = 0;  // for the partials; never more than the ceiling
};
// Any problem fits any ceiling of at least sizeof(ErrorStats), in one launch: blocks walk over tiles, and the
// ceiling limits how many blocks there are. Slices exist for those who save C0 or D piecewise.
GemmCheckPlan plan_gemm_check(const GemmProblem& problem, const Coverage& coverage,
                              std::size_t scratch_ceiling) noexcept;

GemmCheckParams make_check_params(const GemmProblem& problem, const Contract& contract,
                                  const Coverage& coverage, void* scratch,
                                  const ResultSlot* replayed = nullptr) noexcept;
MergeParams make_merge_params(const GemmCheckPlan& plan, const void* scratch, ResultSlot* slot,
                              std::uint64_t sequence, MergeMode mode) noexcept;

// The device code of every kernel: what cuLibraryLoadData takes.
const void* fatbin() noexcept;
std::size_t fatbin_bytes() noexcept;

}  // namespace fumi
