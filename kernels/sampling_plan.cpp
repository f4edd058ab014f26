// The plans of CTC and grid sampling.
#include "kernels/plan_tools.h"

namespace fumi {
namespace {

using namespace plans;

constexpr std::size_t kTrackedBytes = 16;  // a value and its error (device/dnn/tracked.h)

const char* refusal(const CtcProblem& p) noexcept {
    if (p.inputs == nullptr || p.labels == nullptr || p.label_lengths == nullptr ||
        p.input_lengths == nullptr || p.costs == nullptr)
        return "an operand of the CTC loss is not there";
    if (p.steps < 1 || p.batch < 1 || p.classes < 1) return "no elements";
    return p.longest_label >= 0 ? "" : "the longest label of the CTC loss is not known";
}

const char* refusal(const GridSampleProblem& p) noexcept {
    if (!usable(p.x, 4) || !usable(p.grid, 4)) return "operand type not supported";
    if (!is_one(p.alpha) || may_be_nonzero(p.beta) || !is_one(p.grid_alpha) || may_be_nonzero(p.grid_beta))
        return "grid sampling with alpha and beta other than 1 and 0";
    const TensorView& y = p.backward != 0 ? p.dy : p.y;
    if (!usable(y, 4) || y.size[0] != p.x.size[0] || y.size[1] != p.x.size[1] ||
        p.grid.size[0] != p.x.size[0] || y.size[2] != p.grid.size[1] || y.size[3] != p.grid.size[2] ||
        p.grid.size[3] != 2)
        return "the sizes of the sampled tensors do not fit";
    if (p.backward != 0 &&
        (!usable(p.dx, 4) || !same_sizes(p.dx, p.x) || !usable(p.dgrid, 4) || !same_sizes(p.dgrid, p.grid)))
        return "the gradients do not fit";
    return elements(p.x) > 0 && elements(y) > 0 ? "" : "no elements";
}

}  // namespace

CheckPlan plan_check(const CtcProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem);
    if (*plan.reason != '\0') return plan;
    plan.reference = "fp64";
    CtcCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    const std::int64_t one =
        1 + (problem.gradients != nullptr ? std::int64_t{problem.steps} * problem.classes : 0);
    params.checked = sampled_of(coverage, problem.batch, one);
    params.entry_size = problem.steps * (problem.classes + 2 * (2 * std::int64_t{problem.longest_label} + 1));
    plan.elements = params.checked * one;
    plan.sampled = params.checked < problem.batch;
    Scratch scratch(target);
    const auto entry_bytes = static_cast<std::size_t>(params.entry_size) * kTrackedBytes;
    const auto room = static_cast<std::int64_t>((target.scratch_ceiling - target.scratch_ceiling / 8) /
                                                (entry_bytes + sizeof(ErrorStats)));
    const auto blocks = static_cast<unsigned>(std::min({params.checked, kMostBlocks, room}));
    params.common.partials = scratch.take<ErrorStats>(blocks);
    params.work = scratch.take<double>(blocks * entry_bytes / sizeof(double));
    plan.scratch_bytes = scratch.used();
    if (blocks == 0 || !scratch.fits()) {
        plan.reason = "device scratch ceiling too low for the steps of the CTC loss";
        return plan;
    }
    add_launch(plan, kernel_name::ctc_check, blocks, kDnnThreads, params);
    add_merge(plan, params.common.partials, blocks, target);
    return plan;
}

CheckPlan plan_check(const GridSampleProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem);
    if (*plan.reason != '\0') return plan;
    plan.reference = "fp64";
    const bool backward = problem.backward != 0;
    GridSampleCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    params.elements = elements(problem.grid) / 2 * (backward ? 1 : problem.x.size[1]);
    params.checked = sampled_of(coverage, params.elements, 1);
    const std::int64_t size = problem.x.size[2] * problem.x.size[3];
    const std::int64_t planes = problem.x.size[0] * problem.x.size[1];
    params.planes = backward ? sampled_of(coverage, planes, size) : 0;
    plan.elements = params.checked * (backward ? 2 : 1) + params.planes * size;
    plan.sampled = params.checked < params.elements || params.planes < (backward ? planes : 0);

    Scratch scratch(target);
    const auto elements_blocks = static_cast<unsigned>(
        std::min<std::int64_t>((params.checked + kDnnThreads - 1) / kDnnThreads, kMostBlocks));
    const auto plane_bytes = static_cast<std::size_t>(size) * (kTrackedBytes + sizeof(double));
    const auto lanes = std::min<std::int64_t>(
        params.planes, static_cast<std::int64_t>(target.scratch_ceiling / 2 / plane_bytes));
    params.lanes = std::min<std::int64_t>(lanes, 32);
    const auto plane_blocks = backward && lanes > 0 ? static_cast<unsigned>(lanes / params.lanes) : 0U;
    auto* partials = scratch.take<ErrorStats>(elements_blocks + plane_blocks);
    const auto in_scratch = static_cast<std::size_t>(plane_blocks * params.lanes * size);
    params.work = scratch.take<double>(2 * in_scratch);
    params.sizes = scratch.take<double>(in_scratch);
    plan.scratch_bytes = scratch.used();
    if (!scratch.fits() || (backward && plane_blocks == 0)) {
        plan.reason = "device scratch ceiling too low for a plane of the sampled tensor";
        return plan;
    }
    params.common.partials = partials;
    add_launch(plan, kernel_name::grid_sample_check, elements_blocks, kDnnThreads, params);
    if (backward) {
        params.common.partials = partials == nullptr ? nullptr : partials + elements_blocks;
        add_launch(plan, kernel_name::grid_planes_check, plane_blocks, kDnnThreads, params);
    }
    add_merge(plan, partials, elements_blocks + plane_blocks, target);
    return plan;
}

}  // namespace fumi
