#include "kernels/checksum.h"

#include <algorithm>

namespace fumi {

namespace {

constexpr std::int64_t most_row_blocks = 1024;
constexpr std::int64_t most_column_blocks = 4096;

bool is_integer(DataType type) noexcept {
    return type == DataType::i8 || type == DataType::u8 || type == DataType::i32;
}

// Why D w says nothing about A (B w); "" where it does.
const char* nonlinear(const GemmProblem& p) noexcept {
    if (p.activation != Activation::none) return "the epilogue is not linear";
    if (is_complex(p.d.type)) return "complex numbers";
    if (is_integer(p.d.type) && p.d.type != DataType::i32) return "a rounded integer output";
    return "";
}

}  // namespace

ChecksumPlan plan_checksum(const GemmProblem& problem, const ChecksumChoice& choice, std::size_t sums_ceiling,
                           std::size_t partials_bytes) noexcept {
    ChecksumPlan plan;
    if (problem.m <= 0 || problem.n <= 0 || problem.batch <= 0 || problem.k < 0) {
        plan.reason = "no elements";
        return plan;
    }
    ChecksumParams& p = plan.params;
    p.problem = problem;
    plan.limit = nonlinear(problem);
    p.linear = *plan.limit == '\0' ? 1 : 0;
    p.width = std::max<std::int64_t>(1, choice.width);
    p.vectors = p.linear != 0 ? std::clamp(choice.vectors, 1, kMostChecksumVectors) : 0;
    p.seed = choice.seed;
    const std::int64_t in_group = p.width * kChecksumBlocks;
    p.groups = (problem.n + in_group - 1) / in_group;
    p.all_units = p.groups * problem.batch;
    const std::size_t unit_bytes =
        p.linear == 0 ? 0
                      : sizeof(double) * kChecksumBlocks * static_cast<std::size_t>(p.vectors + 1) *
                            static_cast<std::size_t>(std::max<std::int64_t>(problem.k, 1));
    p.units = p.all_units;
    if (unit_bytes > 0) p.units = std::min(p.units, static_cast<std::int64_t>(sums_ceiling / unit_bytes));
    if (p.units == 0) {
        plan.reason = "checksum: no device memory for the sums of one group of columns within limits.scratch";
        return plan;
    }
    plan.sampled = p.units < p.all_units;
    // Others in each call; the device counts on from there, and around.
    if (plan.sampled)
        p.first_unit = static_cast<std::int64_t>((choice.seed * 0x9e3779b97f4a7c15ULL >> 16) %
                                                 static_cast<std::uint64_t>(p.all_units));
    plan.sums_bytes = static_cast<std::size_t>(p.units) * unit_bytes;
    const std::int64_t tiles = (problem.m + kChecksumRows - 1) / kChecksumRows * p.units;
    const auto fitting = static_cast<std::int64_t>(partials_bytes / sizeof(ErrorStats));
    plan.row_blocks =
        static_cast<unsigned>(std::max<std::int64_t>(1, std::min({tiles, fitting, most_row_blocks})));
    const std::int64_t tasks = p.units * kChecksumBlocks * problem.k;
    plan.column_blocks = static_cast<unsigned>(
        p.linear == 0
            ? 0
            : std::clamp<std::int64_t>((tasks + kCheckThreads - 1) / kCheckThreads, 1, most_column_blocks));
    return plan;
}

}  // namespace fumi
