#include "cupti_hook/rerun/rnn_layout.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "cupti_hook/libraries/cudnn_api.h"

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
        if (r.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED && r.ragged) {
            step = 0;  // by step_offsets
            batch = width;
        } else if (r.layout == CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED) {
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
    if (p.direction == RnnDirection::backward_weights) {
        p.weights = layout->weights;
        p.cx = layout->cx;
        p.dy = layout->dy;
        p.dhy = layout->dhy;
        p.dcy = layout->dcy;
        if (r.accumulates) p.dweights_before = p.dweights;
    }
    return nullptr;
}

namespace {

int gates_of(RnnCell cell) noexcept {
    return cell == RnnCell::lstm ? 4 : cell == RnnCell::gru ? 3 : 1;
}

// Two tensor descriptors for cuDNN to fill in.
class Descriptors {
  public:
    Descriptors() noexcept {
        const libraries::CudnnApi& api = *libraries::cudnn_api();
        if (api.cudnnCreateTensorDescriptor == nullptr || api.cudnnDestroyTensorDescriptor == nullptr) return;
        (void)api.cudnnCreateTensorDescriptor(&matrix);
        (void)api.cudnnCreateTensorDescriptor(&bias);
    }
    ~Descriptors() {
        for (const cudnnTensorDescriptor_t each : {matrix, bias})
            if (each != nullptr) (void)libraries::cudnn_api()->cudnnDestroyTensorDescriptor(each);
    }
    Descriptors(const Descriptors&) = delete;
    Descriptors& operator=(const Descriptors&) = delete;
    bool made() const noexcept { return matrix != nullptr && bias != nullptr; }
    cudnnTensorDescriptor_t matrix = nullptr, bias = nullptr;
};

// Asks cuDNN for one matrix and its bias after the other.
class Asker {
  public:
    Asker(const libraries::Call& call, const void* base, DataType type) noexcept
        : call_(call),
          base_(base),
          element_(type == DataType::f64   ? 8
                   : type == DataType::f32 ? 4
                                           : 2) {}

    // Offsets in elements, -1 where there is none. False where cuDNN does not answer.
    bool ask(int layer, int matrix, std::int64_t& of_matrix, std::int64_t& of_bias) noexcept {
        void *found_matrix = nullptr, *found_bias = nullptr;
        const libraries::DnnRnn& r = call_.dnn->rnn;
        const auto get = libraries::cudnn_api()->cudnnGetRNNWeightParams;
        if (get == nullptr || !descriptors_.made() ||
            get(static_cast<cudnnHandle_t>(call_.handle), r.descriptor, layer, r.weight_bytes, base_, matrix,
                descriptors_.matrix, &found_matrix, descriptors_.bias, &found_bias) != CUDNN_STATUS_SUCCESS)
            return false;
        of_matrix = offset(found_matrix);
        of_bias = offset(found_bias);
        return true;
    }

  private:
    std::int64_t offset(const void* found) const noexcept {
        if (found == nullptr) return -1;
        return (static_cast<const char*>(found) - static_cast<const char*>(base_)) / element_;
    }

    const libraries::Call& call_;
    const void* base_;
    std::int64_t element_;
    Descriptors descriptors_;
};

// The gates of one layer and direction: stacked by rows, or the reference cannot read them.
const char* read_layer(Asker& asker, const RnnProblem& p, int layer, RnnWeights& weights) noexcept {
    const int gates = gates_of(p.cell);
    const std::int64_t recurrent = p.projection > 0 ? p.projection : p.hidden;
    const std::int64_t input = layer / p.directions == 0 ? p.input : recurrent * p.directions;
    for (int part = 0; part < 2; ++part) {
        std::int64_t& first_matrix = part == 0 ? weights.w_ih : weights.w_hh;
        std::int64_t& first_bias = part == 0 ? weights.b_ih : weights.b_hh;
        for (int gate = 0; gate < gates; ++gate) {
            std::int64_t matrix = -1, bias = -1;
            if (!asker.ask(layer, part * gates + gate, matrix, bias))
                return "the weights' places cannot be read";
            if (gate == 0) {
                first_matrix = matrix;
                first_bias = bias;
                continue;
            }
            const std::int64_t size = p.hidden * (part == 0 ? input : recurrent);
            if (matrix != first_matrix + gate * size || (bias >= 0 && bias != first_bias + gate * p.hidden))
                return "a recurrent network's gates do not lie one behind the other";
        }
    }
    std::int64_t bias = -1;
    if (p.projection > 0 && !asker.ask(layer, 2 * gates, weights.w_hr, bias))
        return "the weights' places cannot be read";
    return nullptr;
}

}  // namespace

const RnnLayouts::Weights& RnnLayouts::weights_of(const libraries::Call& call) {
    const DnnCall& dnn = *call.dnn;
    const libraries::DnnRnn& r = dnn.rnn;
    RnnProblem p;
    (void)make_rnn(dnn, nullptr, p);
    const Key key{r.cell,
                  r.layers,
                  r.bidirectional ? 2 : 1,
                  r.input_size,
                  r.hidden_size,
                  r.projection_size,
                  r.bias_mode,
                  static_cast<int>(p.weight_type),
                  r.weight_bytes};
    const auto [place, fresh] = weights_.try_emplace(key);
    Weights& weights = place->second;
    if (!fresh) return weights;
    const void* const base = p.weights != nullptr ? p.weights : p.dweights;
    if (p.layers * p.directions > kMostRnnLayers) {
        weights.reason = "a recurrent network of more layers than the reference takes";
        return weights;
    }
    Asker asker(call, base, p.weight_type);
    for (int layer = 0; layer < p.layers * p.directions && weights.reason == nullptr; ++layer)
        weights.reason = read_layer(asker, p, layer, weights.of[layer]);
    return weights;
}

RaggedPlaces ragged_places(const DnnCall& call) noexcept try {
    thread_local std::vector<std::int64_t> memory;  // keeps its size from call to call
    const libraries::DnnRnn& r = call.rnn;
    const auto steps = static_cast<std::size_t>(r.max_length), batch = static_cast<std::size_t>(r.batch);
    RaggedPlaces places;
    places.is_packed = r.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
    places.lengths_offset = steps * sizeof(std::int64_t);
    places.bytes = places.lengths_offset + batch * sizeof(std::int32_t);
    if (memory.size() < steps + batch) memory.resize(steps + batch);
    std::int64_t row = 0;
    for (std::size_t step = 0; step < steps; ++step) {
        memory[step] = row;
        for (std::size_t i = 0; i < batch; ++i) row += r.host_lengths[i] > static_cast<int>(step) ? 1 : 0;
    }
    std::memcpy(memory.data() + steps, r.host_lengths, batch * sizeof(std::int32_t));
    places.host = memory.data();
    return places;
} catch (const std::bad_alloc&) {
    return {};
}

const char* RnnLayouts::find(const libraries::Call& call, RnnLayout& layout) noexcept try {
    const DnnOperation operation = call.dnn->operation;
    if (operation < DnnOperation::rnn_forward || operation > DnnOperation::rnn_backward_weights)
        return nullptr;
    const std::lock_guard lock(mutex_);
    const Weights& weights = weights_of(call);
    std::copy_n(weights.of, kMostRnnLayers, layout.of);
    if (weights.reason != nullptr) return weights.reason;
    layout.ragged = call.dnn->rnn.ragged;
    return nullptr;
} catch (const std::bad_alloc&) {
    return "out of memory";
}

}  // namespace fumi::rerun
