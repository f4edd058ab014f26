#include "kernels/plan_tools.h"

namespace fumi {
namespace {

using namespace plans;

constexpr std::size_t kTrackedBytes = 16;  // a value and its error (device/dnn/tracked.h)
constexpr std::int64_t kBuffers = 6;

std::int64_t state_of(const RnnProblem& p) noexcept {
    return p.projection > 0 ? p.projection : p.hidden;
}
std::int64_t gates_of(const RnnProblem& p) noexcept {
    if (p.cell == RnnCell::lstm) return 4;
    return p.cell == RnnCell::gru ? 3 : 1;
}
std::int64_t input_of(const RnnProblem& p, int layer) noexcept {
    return layer == 0 ? p.input : p.directions * state_of(p);
}

const char* refusal(const RnnProblem& p) noexcept {
    if (!is_real(p.type) || !is_real(p.weight_type)) return "operand type not supported";
    if (p.layers < 1 || p.directions < 1 || p.directions > 2 || p.layers * p.directions > kMostRnnLayers)
        return "more layers than the check of a recurrent net has room for";
    if (p.steps < 1 || p.batch < 1 || p.input < 1 || p.hidden < 1 || p.projection < 0) return "no elements";
    if (p.projection > 0 && p.cell != RnnCell::lstm) return "a projection of something other than an LSTM";
    if (p.dropout > 0 && p.layers > 1) return "dropout: which elements it dropped is not visible";
    if (p.x == nullptr) return "the input of the recurrent net is not visible to this call";
    if (p.weights == nullptr || p.y == nullptr) return "weights or output of the recurrent net are not there";
    for (int i = 0; i < p.layers * p.directions; ++i)
        if (p.of[i].w_ih < 0 || p.of[i].w_hh < 0 || (p.projection > 0 && p.of[i].w_hr < 0))
            return "a weight matrix of the recurrent net is not there";
    if (p.direction == RnnDirection::backward_data && p.dx == nullptr) return "the gradient dx is not there";
    if (p.direction == RnnDirection::backward_weights && p.dweights == nullptr)
        return "the gradient of the weights is not there";
    return "";
}

std::int64_t weights_of(const RnnProblem& p) noexcept {
    std::int64_t count = 0;
    for (int i = 0; i < p.layers * p.directions; ++i) {
        const std::int64_t rows = gates_of(p) * p.hidden;
        count += rows * (input_of(p, i / p.directions) + state_of(p));
        count += rows * ((p.of[i].b_ih < 0 ? 0 : 1) + (p.of[i].b_hh < 0 ? 0 : 1));
        if (p.projection > 0) count += state_of(p) * p.hidden;
    }
    return count;
}

// What one sequence keeps, in tracked numbers: everything for the gradients, little for the forward pass.
void lay_out(RnnCheckParams& params) noexcept {
    const RnnProblem& p = params.problem;
    const bool keeps = p.direction != RnnDirection::forward;
    const std::int64_t lines = std::int64_t{p.layers} * p.directions, states = state_of(p);
    std::int64_t used = 0;
    const auto take = [&](std::int64_t count) {
        const std::int64_t at = used;
        used += count;
        return at;
    };
    params.gate_size = (p.projection > 0 ? 5 : 4) * std::int64_t{p.hidden};
    params.at_gates = take(params.gate_size * (keeps ? lines * p.steps : 1));
    params.at_cells = take(p.cell == RnnCell::lstm ? p.hidden * (keeps ? lines * p.steps : 2) : 0);
    params.at_h = take(states * p.steps * (keeps ? lines : 2 * p.directions));
    params.gradient_size = 4 * std::int64_t{p.hidden} + (p.projection > 0 ? states : 0);
    params.at_gradients = take(
        keeps ? params.gradient_size * (p.direction == RnnDirection::backward_weights ? lines * p.steps : 1)
              : 0);
    params.passed_size = std::max<std::int64_t>(p.input, p.directions * states);
    params.at_passed = take(keeps ? 2 * p.steps * params.passed_size : 0);
    params.buffer_size = std::max<std::int64_t>(params.passed_size, p.hidden);
    params.at_buffers = take(kBuffers * params.buffer_size);
    params.at_flag = take(1);
    params.entry_size = used;
}

std::int64_t elements_of(const RnnCheckParams& params) noexcept {
    const RnnProblem& p = params.problem;
    if (p.direction == RnnDirection::backward_weights) return params.weights_checked;
    const bool forward = p.direction == RnnDirection::forward;
    const std::int64_t lines = std::int64_t{p.layers} * p.directions, states = state_of(p);
    std::int64_t count = forward ? p.steps * p.directions * states : std::int64_t{p.steps} * p.input;
    if ((forward ? p.hy : p.dhx) != nullptr) count += lines * states;
    if (p.cell == RnnCell::lstm && (forward ? p.cy : p.dcx) != nullptr) count += lines * p.hidden;
    return count * params.checked;
}

}  // namespace

CheckPlan plan_check(const RnnProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem);
    if (*plan.reason != '\0') return plan;
    plan.reference = "fp64";
    RnnCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    lay_out(params);
    const bool weights = problem.direction == RnnDirection::backward_weights;
    params.weights = weights ? weights_of(problem) : 0;
    params.weights_checked = weights ? sampled_of(coverage, params.weights, 1) : 0;
    params.checked = weights
                         ? problem.batch
                         : sampled_of(coverage, problem.batch,
                                      std::int64_t{problem.steps} * problem.directions * state_of(problem));
    plan.elements = elements_of(params);
    plan.sampled = weights ? params.weights_checked < params.weights : params.checked < problem.batch;

    Scratch scratch(target);
    const auto judges = static_cast<unsigned>(
        std::min<std::int64_t>(kMostBlocks, (params.weights_checked + kDnnThreads - 1) / kDnnThreads));
    const auto entry_bytes = static_cast<std::size_t>(params.entry_size) * kTrackedBytes;
    const auto room = static_cast<std::int64_t>((target.scratch_ceiling - target.scratch_ceiling / 8) /
                                                (entry_bytes + sizeof(ErrorStats)));
    const auto blocks = static_cast<unsigned>(std::min({params.checked, kMostBlocks, room}));
    // For the weights every sequence has memory of its own.
    const std::size_t entries = weights ? static_cast<std::size_t>(problem.batch) : blocks;
    params.common.partials = scratch.take<ErrorStats>(weights ? judges : blocks);
    params.work = scratch.take<double>(entries * entry_bytes / sizeof(double));
    plan.scratch_bytes = scratch.used();
    if (blocks == 0 || !scratch.fits()) {
        plan.reason = "device scratch ceiling too low for the steps of the recurrent net";
        return plan;
    }
    const bool forward = problem.direction == RnnDirection::forward;
    add_launch(plan, forward ? kernel_name::rnn_forward_check : kernel_name::rnn_backward_check, blocks,
               kDnnThreads, params);
    if (weights) add_launch(plan, kernel_name::rnn_weights_check, judges, kDnnThreads, params);
    add_merge(plan, params.common.partials, weights ? judges : blocks, target);
    return plan;
}

}  // namespace fumi
