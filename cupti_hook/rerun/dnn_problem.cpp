#include "cupti_hook/rerun/dnn_problem.h"

#include <algorithm>
#include <new>

#include "cupti_hook/rerun/rnn_layout.h"

namespace fumi::rerun {

namespace {

using libraries::DnnCall;
using libraries::DnnOperation;
using libraries::DnnRole;
using libraries::DnnTensor;

TensorView view(const DnnCall& call, DnnRole role) noexcept {
    TensorView made;
    const DnnTensor* const tensor = call.find(role);
    if (tensor == nullptr) return made;
    made.data = tensor->data;
    made.type = tensor->type;
    made.rank = tensor->rank;
    std::copy_n(tensor->size, kMostDims, made.size);
    std::copy_n(tensor->stride, kMostDims, made.stride);
    return made;
}

const void* data(const DnnCall& call, DnnRole role) noexcept {
    const DnnTensor* const tensor = call.find(role);
    return tensor == nullptr ? nullptr : tensor->data;
}

ScalarValue scalar(double value) noexcept {
    return ScalarValue{value, 0.0, nullptr, DataType::f64};
}

const char* make_convolution(const DnnCall& call, ConvProblem& p) noexcept {
    const libraries::DnnConvolution& c = call.convolution;
    p.direction = call.operation == DnnOperation::convolution_forward ? ConvDirection::forward
                  : call.operation == DnnOperation::convolution_backward_data
                      ? ConvDirection::backward_data
                      : ConvDirection::backward_filter;
    const bool to_x = p.direction == ConvDirection::backward_data,
               to_w = p.direction == ConvDirection::backward_filter;
    p.spatial = c.spatial_rank;
    p.flipped = c.flipped ? 1 : 0;
    p.activation = c.relu ? Activation::relu : Activation::none;
    p.groups = c.groups;
    std::copy_n(c.stride, kMostSpatial, p.stride);
    std::copy_n(c.padding, kMostSpatial, p.padding);
    std::copy_n(c.dilation, kMostSpatial, p.dilation);
    p.x = view(call, to_x ? DnnRole::dx : DnnRole::x);
    p.w = view(call, to_w ? DnnRole::dw : DnnRole::w);
    p.y = view(call, to_x || to_w ? DnnRole::dy : DnnRole::y);
    p.alpha = scalar(call.alpha);
    p.beta = scalar(call.beta);
    p.bias = view(call, DnnRole::bias);
    p.intermediate = c.intermediate;
    if (call.beta != 0) p.addend = to_x ? p.x : to_w ? p.w : p.y;
    if (call.find(DnnRole::z) == nullptr) return nullptr;
    if (call.beta != 0) return "a residual and a beta besides";
    p.addend = view(call, DnnRole::z);
    p.beta = scalar(c.z_scale);
    return nullptr;
}

const char* make_batch_norm(const DnnCall& call, BatchNormProblem& p) noexcept {
    const libraries::DnnNorm& n = call.norm;
    const bool backward = call.operation == DnnOperation::batch_norm_backward;
    const bool inference = call.operation == DnnOperation::batch_norm_inference;
    p.direction = backward    ? NormDirection::backward
                  : inference ? NormDirection::forward_inference
                              : NormDirection::forward_training;
    p.mode = n.per_activation ? NormMode::per_activation : NormMode::spatial;
    p.activation = n.relu ? Activation::relu : Activation::none;
    p.has_addend = n.add ? 1 : 0;
    p.epsilon = n.epsilon;
    p.momentum = n.factor;
    p.x = view(call, DnnRole::x);
    p.y = view(call, DnnRole::y);
    p.z = view(call, DnnRole::z);
    p.dy = view(call, DnnRole::dy);
    p.dx = view(call, DnnRole::dx);
    p.dz = view(call, DnnRole::dz);
    if (const DnnTensor* const scale = call.find(DnnRole::scale)) p.parameters = scale->type;
    p.scale = data(call, DnnRole::scale);
    p.bias = data(call, DnnRole::bias);
    p.saved_mean = data(call, DnnRole::saved_mean);
    p.saved_inv_std = data(call, DnnRole::saved_inverse_variance);
    if (inference) {
        p.mean = data(call, DnnRole::mean);
        p.variance = data(call, DnnRole::variance);
    } else {
        // As they were before: the very addresses that are written, hence saved.
        p.running_mean = p.running_mean_before = data(call, DnnRole::mean);
        p.running_variance = p.running_variance_before = data(call, DnnRole::variance);
    }
    p.dscale = data(call, DnnRole::dscale);
    p.dbias = data(call, DnnRole::dbias);
    p.alpha = scalar(call.alpha);
    p.beta = scalar(call.beta);
    p.parameter_alpha = scalar(n.param_alpha);
    p.parameter_beta = scalar(n.param_beta);
    if (call.beta != 0 || n.param_beta != 0) return "no reference for a batch norm with beta";
    return nullptr;
}

const char* make_attention(const DnnCall& call, AttentionProblem& p) noexcept {
    const libraries::DnnAttention& a = call.attention;
    p.direction = call.operation == DnnOperation::attention_forward ? AttentionDirection::forward
                                                                    : AttentionDirection::backward;
    p.mask = !a.causal        ? AttentionMask::none
             : a.bottom_right ? AttentionMask::causal_bottom_right
                              : AttentionMask::causal_top_left;
    p.scale = a.scale;
    if (a.decomposed && p.direction == AttentionDirection::backward &&
        (a.gradient_scale != a.scale || a.row_sum_scale != 1))
        return "a backward attention that scales otherwise than its forward one";
    if (a.dropout) return "attention with dropout: its random numbers are cuDNN's own";
    p.q = view(call, DnnRole::q);
    p.k = view(call, DnnRole::k);
    p.v = view(call, DnnRole::v);
    p.o = view(call, DnnRole::o);
    p.bias = view(call, DnnRole::mask);
    p.stats = view(call, DnnRole::stats);
    p.d_o = view(call, DnnRole::d_o);
    p.dq = view(call, DnnRole::dq);
    p.dk = view(call, DnnRole::dk);
    p.dv = view(call, DnnRole::dv);
    return nullptr;
}

const char* make_softmax(const DnnCall& call, SoftmaxProblem& p) noexcept {
    p.kind = call.softmax.logarithm ? SoftmaxKind::log_softmax : SoftmaxKind::softmax;
    p.backward = call.operation == DnnOperation::softmax_backward ? 1 : 0;
    p.whole_instance = call.softmax.per_channel ? 0 : 1;
    p.x = view(call, DnnRole::x);
    p.y = view(call, DnnRole::y);
    p.dy = view(call, DnnRole::dy);
    p.dx = view(call, DnnRole::dx);
    p.alpha = scalar(call.alpha);
    p.beta = scalar(call.beta);
    if (call.beta != 0) p.before = p.backward != 0 ? p.dx : p.y;
    return nullptr;
}

const char* make_pooling(const DnnCall& call, PoolProblem& p) noexcept {
    const libraries::DnnPooling& d = call.pooling;
    p.kind = d.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING   ? PoolKind::average_include_padding
             : d.mode == CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING ? PoolKind::average_exclude_padding
                                                                     : PoolKind::max;
    p.backward = call.operation == DnnOperation::pooling_backward ? 1 : 0;
    p.spatial = d.spatial_rank;
    std::copy_n(d.window, kMostSpatial, p.window);
    std::copy_n(d.stride, kMostSpatial, p.stride);
    std::copy_n(d.padding, kMostSpatial, p.padding);
    p.x = view(call, DnnRole::x);
    p.y = view(call, DnnRole::y);
    p.dy = view(call, DnnRole::dy);
    p.dx = view(call, DnnRole::dx);
    p.alpha = scalar(call.alpha);
    p.beta = scalar(call.beta);
    if (call.beta != 0) p.before = p.backward != 0 ? p.dx : p.y;
    return nullptr;
}

bool contiguous(const DnnTensor& tensor) noexcept {
    std::int64_t next = 1;
    for (std::int32_t i = tensor.rank; i-- > 0;) {
        if (tensor.size[i] > 1 && tensor.stride[i] != next) return false;
        next *= tensor.size[i];
    }
    return true;
}

const char* make_ctc(const DnnCall& call, CtcProblem& p) noexcept {
    const DnnTensor* const x = call.find(DnnRole::x);
    if (x == nullptr || x->rank != 3 || x->type != DataType::f32 || !contiguous(*x))
        return "no reference for CTC on this layout";
    const DnnTensor* const dx = call.find(DnnRole::dx);
    if (dx != nullptr && !contiguous(*dx)) return "no reference for CTC on this layout";
    p.steps = static_cast<std::int32_t>(x->size[0]);
    p.batch = static_cast<std::int32_t>(x->size[1]);
    p.classes = static_cast<std::int32_t>(x->size[2]);
    p.blank = call.ctc.blank;
    p.softmax = call.ctc.softmax ? 1 : 0;
    p.inputs = x->data;
    p.labels = data(call, DnnRole::labels);
    p.label_lengths = data(call, DnnRole::label_lengths);
    p.input_lengths = data(call, DnnRole::input_lengths);
    // cuDNN itself takes labels of up to 255; where the descriptor says nothing, that is the limit.
    p.longest_label = call.ctc.most_labels > 0 ? call.ctc.most_labels : 256;
    p.costs = data(call, DnnRole::costs);
    p.gradients = data(call, DnnRole::dx);
    return nullptr;
}

const char* make_grid_sample(const DnnCall& call, GridSampleProblem& p) noexcept {
    p.backward = call.operation == DnnOperation::grid_sample_backward ? 1 : 0;
    p.x = view(call, DnnRole::x);
    p.grid = view(call, DnnRole::grid);
    p.y = view(call, DnnRole::y);
    p.dy = view(call, DnnRole::dy);
    p.dx = view(call, DnnRole::dx);
    p.dgrid = view(call, DnnRole::dgrid);
    p.alpha = scalar(call.alpha);
    p.beta = scalar(call.beta);
    p.grid_alpha = scalar(call.grid_alpha);
    p.grid_beta = scalar(call.grid_beta);
    if (call.beta != 0 || call.grid_beta != 0) return "no reference for a sampler with beta";
    return nullptr;
}

template <class Problem, class Make>
const char* fill(DnnProblem& problem, DnnKind kind, Problem& member, Make make) noexcept {
    new (&member) Problem;
    problem.kind = kind;
    return make(member);
}

}  // namespace

const char* make_problem(const DnnCall& call, const RnnLayout* layout, DnnProblem& problem) noexcept {
    switch (call.operation) {
        case DnnOperation::convolution_forward:
        case DnnOperation::convolution_backward_data:
        case DnnOperation::convolution_backward_filter:
            return fill(problem, DnnKind::convolution, problem.convolution,
                        [&](ConvProblem& p) { return make_convolution(call, p); });
        case DnnOperation::batch_norm_forward:
        case DnnOperation::batch_norm_inference:
        case DnnOperation::batch_norm_backward:
            return fill(problem, DnnKind::batch_norm, problem.batch_norm,
                        [&](BatchNormProblem& p) { return make_batch_norm(call, p); });
        case DnnOperation::rnn_forward:
        case DnnOperation::rnn_backward_data:
        case DnnOperation::rnn_backward_weights:
            return fill(problem, DnnKind::rnn, problem.rnn,
                        [&](RnnProblem& p) { return make_rnn(call, layout, p); });
        case DnnOperation::attention_forward:
        case DnnOperation::attention_backward:
            return fill(problem, DnnKind::attention, problem.attention,
                        [&](AttentionProblem& p) { return make_attention(call, p); });
        case DnnOperation::softmax_forward:
        case DnnOperation::softmax_backward:
            return fill(problem, DnnKind::softmax, problem.softmax,
                        [&](SoftmaxProblem& p) { return make_softmax(call, p); });
        case DnnOperation::pooling_forward:
        case DnnOperation::pooling_backward:
            return fill(problem, DnnKind::pooling, problem.pooling,
                        [&](PoolProblem& p) { return make_pooling(call, p); });
        case DnnOperation::ctc_loss:
            return fill(problem, DnnKind::ctc, problem.ctc, [&](CtcProblem& p) { return make_ctc(call, p); });
        case DnnOperation::grid_sample_forward:
        case DnnOperation::grid_sample_backward:
            return fill(problem, DnnKind::grid_sample, problem.grid_sample,
                        [&](GridSampleProblem& p) { return make_grid_sample(call, p); });
        default:
            return "no reference for this operation";
    }
}

namespace {

// body(problem) with the member that the kind names; `otherwise` where there is none.
template <class Result, class Problem, class Body>
Result visit(Problem& problem, Body body, const Result& otherwise) {
    switch (problem.kind) {
        case DnnKind::convolution:
            return body(problem.convolution);
        case DnnKind::batch_norm:
            return body(problem.batch_norm);
        case DnnKind::attention:
            return body(problem.attention);
        case DnnKind::rnn:
            return body(problem.rnn);
        case DnnKind::softmax:
            return body(problem.softmax);
        case DnnKind::pooling:
            return body(problem.pooling);
        case DnnKind::ctc:
            return body(problem.ctc);
        case DnnKind::grid_sample:
            return body(problem.grid_sample);
        case DnnKind::none:
            break;
    }
    return otherwise;
}

}  // namespace

CheckPlan plan_check(const DnnProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept {
    CheckPlan none;
    none.reason = "no reference for this operation";
    return visit<CheckPlan>(
        problem, [&](const auto& one) { return fumi::plan_check(one, contract, coverage, target); }, none);
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const libraries::DnnCall& call) {
    DnnProblem problem;
    (void)make_problem(call, nullptr, problem);
    return visit<Assessment>(
        problem, [&](const auto& one) { return fumi::assess(stats, contract, one); }, Assessment());
}

}  // namespace fumi::rerun
