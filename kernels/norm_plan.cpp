#include "kernels/plan_tools.h"

namespace fumi {
namespace {

using namespace plans;

std::int64_t positions(const TensorView& view) noexcept {
    std::int64_t count = 1;
    for (int d = 2; d < view.rank; ++d) count *= view.size[d];
    return count;
}

const char* refusal(const BatchNormProblem& p) noexcept {
    const bool backward = p.direction == NormDirection::backward;
    if (!usable(p.x, p.x.rank) || p.x.rank < 2) return "operand type not supported";
    const auto fits = [&](const TensorView& view) { return usable(view, p.x.rank) && same_sizes(view, p.x); };
    if (!is_one(p.alpha) || may_be_nonzero(p.beta) || !is_one(p.parameter_alpha) ||
        may_be_nonzero(p.parameter_beta))
        return "batch norm with alpha and beta other than 1 and 0";
    if (p.scale == nullptr || !is_real(p.parameters)) return "the scale of the batch norm is not there";
    if (p.activation != Activation::none && p.activation != Activation::relu)
        return "activation not supported";
    if (backward) {
        if (!fits(p.dy) || !fits(p.dx)) return "the gradients do not fit the input";
        if (p.activation == Activation::relu && !fits(p.y))
            return "the output that masks the gradient is not there";
        if (p.dz.data != nullptr && !fits(p.dz)) return "the gradients do not fit the input";
    } else {
        if (!fits(p.y) || p.bias == nullptr) return "the output does not fit the input";
        if (p.has_addend != 0 && !fits(p.z)) return "the addend does not fit the input";
    }
    if (p.direction == NormDirection::forward_inference && (p.mean == nullptr || p.variance == nullptr))
        return "the estimated mean and variance are not there";
    if (p.direction == NormDirection::forward_training && p.momentum != 1 &&
        ((p.running_mean != nullptr && p.running_mean_before == nullptr) ||
         (p.running_variance != nullptr && p.running_variance_before == nullptr)))
        return "the running statistics of before the call are not there";
    return elements(p.x) > 0 ? "" : "no elements";
}

}  // namespace

CheckPlan plan_check(const BatchNormProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem);
    if (*plan.reason != '\0') return plan;
    BatchNormCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    params.channels = problem.x.size[1];
    params.inner = positions(problem.x);
    const bool spatial = problem.mode == NormMode::spatial;
    params.groups = params.channels * (spatial ? 1 : params.inner);
    params.members = problem.x.size[0] * (spatial ? params.inner : 1);
    params.checked = sampled_of(coverage, params.groups, params.members);
    BatchNormProblem& p = params.problem;
    for (TensorView* view : {&p.x, &p.y, &p.z, &p.dy, &p.dx, &p.dz}) merge_dimensions(*view);
    plan.elements = params.checked * params.members;
    plan.sampled = params.checked < params.groups;
    add_one_check(plan, kernel_name::batch_norm_check, params.checked, params, target);
    return plan;
}

CheckPlan plan_check(const SoftmaxProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan plan;
    const SoftmaxProblem& p = problem;
    const TensorView& output = p.backward != 0 ? p.dx : p.y;
    const TensorView& input = p.backward != 0 ? p.dy : p.x;
    if (!usable(output, output.rank) || output.rank < 2)
        plan.reason = "operand type not supported";
    else if (!usable(input, output.rank) || !same_sizes(input, output) ||
             (p.backward != 0 && (!usable(p.y, output.rank) || !same_sizes(p.y, output))))
        plan.reason = "the sizes of the softmax's tensors do not fit";
    else if (!is_one(p.alpha) || may_be_nonzero(p.beta))
        plan.reason = "softmax with alpha and beta other than 1 and 0";
    else if (elements(output) == 0)
        plan.reason = "no elements";
    if (*plan.reason != '\0') return plan;
    SoftmaxCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    const bool whole = p.whole_instance != 0;
    params.inner = whole ? 1 : positions(output);
    params.members = whole ? output.size[1] * positions(output) : output.size[1];
    params.rows = output.size[0] * params.inner;
    params.checked = sampled_of(coverage, params.rows, params.members);
    for (TensorView* view : {&params.problem.x, &params.problem.y, &params.problem.dy, &params.problem.dx})
        merge_dimensions(*view);
    plan.elements = params.checked * params.members;
    plan.sampled = params.checked < params.rows;
    add_one_check(plan, kernel_name::softmax_check, params.checked, params, target);
    return plan;
}

CheckPlan plan_check(const PoolProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan plan;
    const PoolProblem& p = problem;
    const int rank = p.spatial + 2;
    if (p.spatial < 1 || p.spatial > kMostSpatial)
        plan.reason = "pooling of more than three dimensions";
    else if (!usable(p.x, rank) || !usable(p.y, rank) || p.x.size[0] != p.y.size[0] ||
             p.x.size[1] != p.y.size[1])
        plan.reason = "the sizes of the pooling's tensors do not fit";
    else if (p.backward != 0 &&
             (!usable(p.dx, rank) || !usable(p.dy, rank) || !same_sizes(p.dx, p.x) || !same_sizes(p.dy, p.y)))
        plan.reason = "the gradients do not fit";
    else if (!is_one(p.alpha) || may_be_nonzero(p.beta))
        plan.reason = "pooling with alpha and beta other than 1 and 0";
    else if (elements(p.x) == 0 || elements(p.y) == 0)
        plan.reason = "no elements";
    for (int d = 0; d < p.spatial && *plan.reason == '\0'; ++d)
        if (p.stride[d] < 1 || p.window[d] < 1)
            plan.reason = "the pooling's window or stride is not positive";
    if (*plan.reason != '\0') return plan;
    PoolCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    params.elements = elements(p.backward != 0 ? p.x : p.y);
    params.checked = sampled_of(coverage, params.elements, 1);
    plan.elements = params.checked;
    plan.sampled = params.checked < params.elements;
    add_one_check(plan, kernel_name::pool_check, (params.checked + kDnnThreads - 1) / kDnnThreads, params,
                  target);
    return plan;
}

}  // namespace fumi
