#include <cmath>

#include "kernels/plan_tools.h"

namespace fumi {
namespace {

using namespace plans;

constexpr std::int64_t kTile = 32;           // what a tile is to the GPU's kernel
constexpr std::int64_t kSlice = 512;         // slices of K are no shorter: each costs a block its start
constexpr std::int64_t kEnoughBlocks = 512;  // sampled checks are cut into slices of K up to this

// What a sampled check may cost, in products: a share of the call's own, or so few that they cost nothing
// beside a launch. Judging an element costs as much as kJudging products.
constexpr double kShare = 1.0 / 3072;
constexpr double kFree = 1 << 18;
constexpr double kJudging = 256;
constexpr std::int64_t kFewest = 16;  // a cross of 4 x 4

std::int64_t spatial_size(const TensorView& view, int spatial) noexcept {
    std::int64_t count = 1;
    for (int d = 0; d < spatial; ++d) count *= view.size[2 + d];
    return count;
}

bool broadcastable(const TensorView& view, const TensorView& to) noexcept {
    if (view.rank != to.rank || !is_real(view.type)) return false;
    for (int d = 0; d < view.rank; ++d)
        if (view.size[d] != 1 && view.size[d] != to.size[d]) return false;
    return true;
}

// rows x columns elements in each of `groups`, each a sum of k products (device/dnn/conv_places.h), of which
// a stride leaves out most in backward data.
struct Extent {
    std::int64_t rows, columns, groups, k, products;
};
Extent extent_of(const ConvProblem& p) noexcept {
    const std::int64_t in = p.w.size[1], out = p.w.size[0] / p.groups, taps = spatial_size(p.w, p.spatial);
    const std::int64_t x = p.x.size[0] * spatial_size(p.x, p.spatial),
                       y = p.y.size[0] * spatial_size(p.y, p.spatial);
    const std::int64_t products = y * p.w.size[0] * in * taps;
    switch (p.direction) {
        case ConvDirection::forward:
            return {out, y, p.groups, in * taps, products};
        case ConvDirection::backward_data:
            return {in, x, p.groups, out * taps, products};
        case ConvDirection::backward_filter:
            return {out, in * taps, p.groups, y, products};
    }
    return {};
}

const TensorView& output_of(const ConvProblem& p) noexcept {
    if (p.direction == ConvDirection::forward) return p.y;
    return p.direction == ConvDirection::backward_data ? p.x : p.w;
}

const char* refusal(const ConvProblem& p, const DnnContract& contract) noexcept {
    if (p.spatial < 1 || p.spatial > kMostSpatial) return "convolution of more than three dimensions";
    const int rank = p.spatial + 2;
    if (!usable(p.x, rank) || !usable(p.w, rank) || !usable(p.y, rank)) return "operand type not supported";
    if (!contract.base.supported) return "no contract is known for this convolution";
    if (p.groups < 1 || p.w.size[0] % p.groups != 0 || p.x.size[1] != p.w.size[1] * p.groups ||
        p.y.size[1] != p.w.size[0] || p.x.size[0] != p.y.size[0])
        return "the sizes of the convolution's tensors do not fit";
    if (p.activation != Activation::none && p.activation != Activation::relu)
        return "activation not supported";
    for (int d = 0; d < p.spatial; ++d) {
        if (p.stride[d] < 1 || p.dilation[d] < 1)
            return "the convolution's stride or dilation is not positive";
        if (p.x.size[2 + d] > (1 << 30) || p.y.size[2 + d] > (1 << 30)) return "a dimension is too large";
    }
    const TensorView& output = output_of(p);
    if (may_be_nonzero(p.beta) && !broadcastable(p.addend, output))
        return "beta is not 0, and what the output held is not there";
    if (p.bias.data != nullptr && !broadcastable(p.bias, output)) return "the bias does not fit the output";
    return elements(output) > 0 ? "" : "no elements";
}

// The filter's gradient has few elements, each a sum over all images and positions: 64 x 64 of them would be
// all of a small filter, and cost more than the call.
std::int64_t affordable(const Extent& e) noexcept {
    const double budget = std::max(static_cast<double>(e.products) * kShare, kFree);
    return std::max(kFewest, static_cast<std::int64_t>(budget / (static_cast<double>(e.k) + kJudging)));
}

void choose_cross(ConvCheckParams& params, const Extent& e, const DnnCoverage& coverage) noexcept {
    params.rows = e.rows;
    params.columns = e.columns;
    params.batches = e.groups;
    if (coverage.sampled == 0) return;
    const std::int64_t samples =
        std::clamp<std::int64_t>(std::min(coverage.samples, affordable(e)), 1, kMostSamples);
    const auto side = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(samples))));
    params.rows = std::min(e.rows, side);
    params.columns = std::min(e.columns, std::max<std::int64_t>(samples / params.rows, 1));
    // Few columns (a gradient of small filters): more rows.
    params.rows = std::min(e.rows, std::max<std::int64_t>(samples / params.columns, 1));
    params.batches = std::min(e.groups, std::max<std::int64_t>(samples / (params.rows * params.columns), 1));
}

}  // namespace

CheckPlan plan_check(const ConvProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem, contract);
    if (*plan.reason != '\0') return plan;
    const Extent e = extent_of(problem);
    ConvCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    params.algorithm = contract.algorithm;
    params.is_direct = contract.base.direct ? 1 : 0;
    params.winograd_outputs = contract.winograd_outputs;
    choose_cross(params, e, coverage);
    plan.elements = params.rows * params.columns * params.batches;
    plan.sampled = plan.elements < e.rows * e.columns * e.groups;
    const bool wide =
        problem.x.type == DataType::f64 || problem.w.type == DataType::f64 || problem.y.type == DataType::f64;
    plan.reference = wide ? "double-double" : "fp64";

    Scratch scratch(target);
    const std::int64_t tiles =
        ((params.rows + kTile - 1) / kTile) * ((params.columns + kTile - 1) / kTile) * params.batches;
    const std::int64_t wanted = std::min(kEnoughBlocks / tiles, (e.k + kSlice - 1) / kSlice);
    const auto room = static_cast<std::int64_t>(target.scratch_ceiling / 2 / sizeof(SlicedSums));
    params.slices = std::max<std::int64_t>(1, std::min(wanted, room / plan.elements));
    const std::int64_t work = tiles * params.slices;
    const auto blocks = static_cast<unsigned>(std::min(
        work, std::min<std::int64_t>(
                  kMostBlocks, static_cast<std::int64_t>(target.scratch_ceiling / 2 / sizeof(ErrorStats)))));
    const bool sliced = params.slices > 1;
    const auto judges =
        sliced ? static_cast<unsigned>((plan.elements + kDnnThreads - 1) / kDnnThreads) : blocks;
    params.common.partials = scratch.take<ErrorStats>(judges);
    if (sliced)
        params.sums = scratch.take<SlicedSums>(static_cast<std::size_t>(params.slices * plan.elements));
    plan.scratch_bytes = scratch.used();
    if (blocks == 0 || !scratch.fits()) {
        plan.reason = "device scratch ceiling too low";
        return plan;
    }
    add_launch(plan, wide ? kernel_name::conv_check_double : kernel_name::conv_check_real, blocks,
               kDnnThreads, params);
    if (sliced) add_launch(plan, kernel_name::conv_combine, judges, kDnnThreads, params);
    add_merge(plan, params.common.partials, judges, target);
    return plan;
}

}  // namespace fumi
