#include "cupti_hook/rerun/rnn_layout.h"

#include <algorithm>

namespace fumi::rerun {

namespace {

using libraries::DnnCall;
using libraries::DnnOperation;
using libraries::DnnRole;
using libraries::DnnTensor;

const void* data(const DnnCall& call, DnnRole role) noexcept {
    const DnnTensor* const tensor = call.find(role);
    return tensor == nullptr ? nullptr : tensor->data;
}

RnnCell cell_of(cudnnRNNMode_t mode) noexcept {
    switch (mode) {
        case CUDNN_RNN_RELU:
            return RnnCell::relu;
        case CUDNN_RNN_TANH:
            return RnnCell::tanh;
        case CUDNN_GRU:
            return RnnCell::gru;
        default:
            return RnnCell::lstm;
    }
}

bool is_projected(const libraries::DnnRnn& r) noexcept {
    return r.projection_size > 0 && r.projection_size != r.hidden_size;
}

void set_strides(const libraries::DnnRnn& r, RnnProblem& p) noexcept {
    const std::int64_t output =
        static_cast<std::int64_t>(p.projection > 0 ? p.projection : p.hidden) * p.directions;
    const auto set = [&](std::int64_t width, std::int64_t& step, std::int64_t& batch) {
        if (r.layout == CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED) {
            step = width;
            batch = width * p.steps;
        } else {
            step = width * p.batch;
            batch = width;
        }
    };
    set(p.input, p.x_step, p.x_batch);
    set(output, p.y_step, p.y_batch);
}

}  // namespace

const char* make_rnn(const DnnCall& call, const RnnLayout* layout, RnnProblem& p) noexcept {
    const libraries::DnnRnn& r = call.rnn;
    p.direction = call.operation == DnnOperation::rnn_forward         ? RnnDirection::forward
                  : call.operation == DnnOperation::rnn_backward_data ? RnnDirection::backward_data
                                                                      : RnnDirection::backward_weights;
    p.cell = cell_of(r.cell);
    p.layers = r.layers;
    p.directions = r.bidirectional ? 2 : 1;
    p.steps = r.max_length;
    p.batch = r.batch;
    p.input = r.input_size;
    p.hidden = r.hidden_size;
    p.projection = is_projected(r) ? r.projection_size : 0;
    const bool training = p.direction != RnnDirection::forward || r.training;
    p.dropout = training && r.layers > 1 ? static_cast<double>(r.dropout) : 0;
    const DnnTensor* const weights =
        call.find(p.direction == RnnDirection::backward_weights ? DnnRole::dweights : DnnRole::weights);
    if (weights != nullptr) p.weight_type = weights->type;
    if (call.tensor_count > 0) p.type = call.tensors[0].type;
    p.weights = data(call, DnnRole::weights);
    set_strides(r, p);
    p.x = data(call, DnnRole::x);
    p.y = data(call, DnnRole::y);
    p.hx = data(call, DnnRole::hx);
    p.cx = data(call, DnnRole::cx);
    p.hy = data(call, DnnRole::hy);
    p.cy = data(call, DnnRole::cy);
    p.dy = data(call, DnnRole::dy);
    p.dhy = data(call, DnnRole::dhy);
    p.dcy = data(call, DnnRole::dcy);
    p.dx = data(call, DnnRole::dx);
    p.dhx = data(call, DnnRole::dhx);
    p.dcx = data(call, DnnRole::dcx);
    p.dweights = data(call, DnnRole::dweights);
    if (r.skip_input) return "no reference for a recurrent network that skips its input matrix";
    if (r.clipped) return "no reference for a recurrent network with clipped cells";
    if (layout == nullptr) return nullptr;
    std::copy_n(layout->of, kMostRnnLayers, p.of);
    p.lengths = layout->lengths;
    p.step_offsets = layout->step_offsets;
    if (p.direction == RnnDirection::backward_data) p.x = layout->x;
    if (layout->weights != nullptr) p.weights = layout->weights;
    return nullptr;
}

}  // namespace fumi::rerun
