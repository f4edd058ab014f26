#include <algorithm>
#include <cstring>

#include "kernels/gemm_check.h"

namespace fumi {
namespace {

// What a tile is to the GPU's kernel. The host's body has larger tiles and leaves some blocks without work.
constexpr std::int64_t kTile = 32;
// Enough blocks to fill any GPU several times over; more would only add partials.
constexpr std::int64_t kMostBlocks = 2048;
// Rows or columns of a sampled cross: the device multiplies this by a dimension in 64 bits.
constexpr std::int32_t kMostSamples = 1 << 20;

std::int64_t tiles(std::int64_t elements) noexcept {
    return (elements + kTile - 1) / kTile;
}

struct Extent {
    std::int64_t rows, columns, batches;
};
Extent extent_of(const GemmProblem& problem, const Coverage& coverage) noexcept {
    Extent e{problem.m, coverage.last_column - coverage.first_column,
             coverage.last_batch - coverage.first_batch};
    if (coverage.sampled != 0) {
        e = {std::min<std::int64_t>(e.rows, coverage.rows),
             std::min<std::int64_t>(e.columns, coverage.columns),
             std::min<std::int64_t>(e.batches, coverage.batches)};
    }
    return e;
}

bool is_operand(DataType type) noexcept {
    switch (type) {
        case DataType::f32:
        case DataType::f64:
        case DataType::f16:
        case DataType::bf16:
        case DataType::i8:
        case DataType::c32:
        case DataType::c64:
        case DataType::c16:
        case DataType::e4m3:
        case DataType::e5m2:
            return true;
        default:
            return false;
    }
}
bool is_output(DataType type) noexcept {
    return is_operand(type) || type == DataType::i32;
}

// Why a problem cannot be checked; "" where it can.
const char* refusal(const GemmProblem& problem, const Coverage& coverage) noexcept {
    if (!is_operand(problem.a.type) || !is_operand(problem.b.type)) return "operand type not supported";
    if (!is_output(problem.d.type)) return "output type not supported";
    const bool complex = is_complex(problem.a.type);
    if (complex != is_complex(problem.b.type) || complex != is_complex(problem.d.type)) {
        return "real and complex matrices mixed";
    }
    if (complex && problem.activation != Activation::none) return "activation of complex numbers";
    if (problem.m <= 0 || problem.n <= 0 || problem.batch <= 0 || problem.k < 0) return "no elements";
    const Extent e = extent_of(problem, coverage);
    if (e.rows <= 0 || e.columns <= 0 || e.batches <= 0) return "no elements covered";
    return "";
}

}  // namespace

Coverage full_coverage(const GemmProblem& problem) noexcept {
    Coverage coverage;
    coverage.last_column = problem.n;
    coverage.last_batch = problem.batch;
    return coverage;
}

Coverage sampled_coverage(const GemmProblem& problem, int rows, int columns, int batches,
                          std::uint64_t seed) noexcept {
    Coverage coverage = full_coverage(problem);
    const auto limit = [](std::int64_t wanted, std::int64_t most) {
        return static_cast<std::int32_t>(
            std::clamp<std::int64_t>(wanted, 1, std::min<std::int64_t>(most, kMostSamples)));
    };
    coverage.sampled = 1;
    coverage.rows = limit(rows, std::max<std::int64_t>(problem.m, 1));
    coverage.columns = limit(columns, std::max<std::int64_t>(problem.n, 1));
    coverage.batches = limit(batches, std::max<std::int64_t>(problem.batch, 1));
    coverage.seed = seed;
    return coverage;
}

std::int64_t elements_covered(const GemmProblem& problem, const Coverage& coverage) noexcept {
    const Extent e = extent_of(problem, coverage);
    return e.rows * e.columns * e.batches;
}

bool read_merged(const ResultSlot& slot, ErrorStats& stats) noexcept {
    constexpr std::size_t words = sizeof(ErrorStats) / sizeof(std::uint64_t);
    std::uint64_t copy[words];
    const std::uint64_t before = __atomic_load_n(&slot.sequence, __ATOMIC_ACQUIRE);
    if (before == 0 || before % 2 != 0) return false;
    // Word by word and atomically: the device may be writing while this reads.
    const auto* from = reinterpret_cast<const std::uint64_t*>(&slot.stats);
    for (std::size_t i = 0; i < words; ++i) copy[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&slot.sequence, __ATOMIC_ACQUIRE) != before) return false;
    std::memcpy(&stats, copy, sizeof stats);
    return true;
}

GemmCheckPlan plan_gemm_check(const GemmProblem& problem, const Coverage& coverage,
                              std::size_t scratch_ceiling) noexcept {
    GemmCheckPlan plan;
    plan.reason = refusal(problem, coverage);
    if (*plan.reason != '\0') return plan;
    if (scratch_ceiling < sizeof(ErrorStats)) {
        plan.reason = "device scratch ceiling too low";
        return plan;
    }
    const bool complex = is_complex(problem.a.type);
    const auto is_double = [](DataType type) { return type == DataType::f64 || type == DataType::c64; };
    // An fp64 output promises fp64 accuracy whatever its inputs are.
    const bool wide = is_double(problem.a.type) || is_double(problem.b.type) || is_double(problem.d.type);
    plan.kernel = complex ? (wide ? kCheckDoubleComplex : kCheckComplex) : (wide ? kCheckDouble : kCheckReal);
    plan.reference = wide ? "double-double" : (problem.d.type == DataType::i32 ? "exact integer" : "fp64");
    const Extent e = extent_of(problem, coverage);
    const std::int64_t work = tiles(e.rows) * tiles(e.columns) * e.batches;
    const auto fitting = static_cast<std::int64_t>(
        std::min<std::size_t>(scratch_ceiling / sizeof(ErrorStats), static_cast<std::size_t>(kMostBlocks)));
    plan.blocks = static_cast<unsigned>(std::min(work, fitting));
    plan.scratch_bytes = plan.blocks * sizeof(ErrorStats);
    return plan;
}

namespace {

// Chains of FMA on fp32 numbers, added without an epilogue that rounds otherwise: what numerics.md has
// measured.
bool judges_unlikely(const GemmProblem& problem, const Contract& contract,
                     const Coverage& coverage) noexcept {
    const auto single = [](DataType type) { return type == DataType::f32; };
    const auto none = [](const Scale& scale) { return scale.kind == ScaleKind::none; };
    const BoundNumbers& bound = contract.bound;
    return coverage.sampled == 0 && single(problem.a.type) && single(problem.b.type) &&
           single(problem.d.type) && bound.accumulator_bits == 24 && bound.beta_t == 0 &&
           bound.input_error == 0 && contract.componentwise && none(problem.scale_a) &&
           none(problem.scale_b) && none(problem.scale_c) && none(problem.scale_d) &&
           problem.k >= kFewestUnlikely && problem.k <= kMostUnlikely;
}

}  // namespace

GemmCheckParams make_check_params(const GemmProblem& problem, const Contract& contract,
                                  const Coverage& coverage, void* scratch,
                                  const ResultSlot* replayed) noexcept {
    GemmCheckParams params;
    params.problem = problem;
    params.bound = contract.bound;
    params.coverage = coverage;
    params.partials = static_cast<ErrorStats*>(scratch);
    params.replayed = replayed;
    params.unlikely = judges_unlikely(problem, contract, coverage) ? 1 : 0;
    return params;
}

MergeParams make_merge_params(const GemmCheckPlan& plan, const void* scratch, ResultSlot* slot,
                              std::uint64_t sequence, MergeMode mode) noexcept {
    MergeParams params;
    params.partials = static_cast<const ErrorStats*>(scratch);
    params.count = plan.blocks;
    params.slot = slot;
    params.sequence = sequence;
    params.mode = mode;
    return params;
}

}  // namespace fumi
