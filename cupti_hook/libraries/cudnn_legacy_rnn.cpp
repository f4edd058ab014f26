// Recurrent networks.
#include <algorithm>
#include <new>
#include <vector>

#include "cupti_hook/libraries/cudnn_legacy.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

void read_network(Call& call, DnnCall& dnn, cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor) noexcept {
    const CudnnApi& api = *cudnn_api();
    DnnRnn& r = dnn.rnn;
    cudnnRNNAlgo_t algorithm{};
    cudnnDirectionMode_t direction{};
    cudnnRNNInputMode_t input{};
    cudnnDataType_t type{}, precision{};
    cudnnMathType_t math{};
    cudnnDropoutDescriptor_t dropout = nullptr;
    std::uint32_t flags = 0;
    if (api.cudnnGetRNNDescriptor_v8 == nullptr || api.cudnnGetRNNDataDescriptor == nullptr ||
        api.cudnnGetRNNDescriptor_v8(descriptor, &algorithm, &r.cell, &r.bias_mode, &direction, &input, &type,
                                     &precision, &math, &r.input_size, &r.hidden_size, &r.projection_size,
                                     &r.layers, &dropout, &flags) != CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    r.descriptor = descriptor;
    r.bidirectional = direction == CUDNN_BIDIRECTIONAL;
    r.skip_input = input == CUDNN_SKIP_INPUT;
    dnn.algorithm = algorithm;
    dnn.math_type = math;
    dnn.compute_type = data_type(precision);
    void* states = nullptr;
    unsigned long long seed = 0;
    if (dropout != nullptr && api.cudnnGetDropoutDescriptor != nullptr)
        (void)api.cudnnGetDropoutDescriptor(dropout, handle, &r.dropout, &states, &seed);
    cudnnRNNClipMode_t clip{};
    double low = 0, high = 0;
    if (api.cudnnRNNGetClip_v9 != nullptr &&
        api.cudnnRNNGetClip_v9(descriptor, &clip, &low, &high) == CUDNN_STATUS_SUCCESS)
        r.clipped = clip != CUDNN_RNN_CLIP_NONE;
}

// Lengths of the sequences, for as long as the call lasts.
std::vector<int>& lengths() noexcept {
    thread_local std::vector<int> of_this_thread;
    return of_this_thread;
}

bool room_for_lengths(std::size_t count) noexcept try {
    if (lengths().size() < count) lengths().resize(std::max<std::size_t>(count, 64));
    return true;
} catch (const std::bad_alloc&) {
    return false;
}

// Sequence data: steps x batch x vector, or batch first, or packed without gaps (then one row of `size` is a
// step of one sequence).
void add_sequences(Call& call, DnnCall& dnn, DnnRole role, cudnnRNNDataDescriptor_t descriptor,
                   const void* data) noexcept {
    if (data == nullptr) return;
    DnnRnn& r = dnn.rnn;
    cudnnDataType_t type{};
    cudnnRNNDataLayout_t layout{};
    int steps = 0, batch = 0, vector = 0;
    double fill = 0;
    const auto get = cudnn_api()->cudnnGetRNNDataDescriptor;
    if (get == nullptr ||
        get(descriptor, &type, &layout, &steps, &batch, &vector, 0, nullptr, &fill) != CUDNN_STATUS_SUCCESS ||
        batch < 0 || !room_for_lengths(static_cast<std::size_t>(batch)) ||
        get(descriptor, &type, &layout, &steps, &batch, &vector, batch, lengths().data(), &fill) !=
            CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    r.max_length = steps;
    r.batch = batch;
    r.layout = layout;
    r.host_lengths = lengths().data();
    std::int64_t rows = 0;
    for (int i = 0; i < batch; ++i) {
        rows += r.host_lengths[i];
        r.ragged = r.ragged || r.host_lengths[i] != steps;
    }
    DnnTensor* const tensor = dnn.add(role);
    if (tensor == nullptr) return refuse(call, "a call of more tensors than FuMi has room for");
    tensor->data = data;
    tensor->type = data_type(type);
    const bool is_packed = layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED && r.ragged;
    const bool batch_first = layout == CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED;
    tensor->rank = is_packed ? 2 : 3;
    if (is_packed) {
        tensor->size[0] = rows;
    } else {
        tensor->size[0] = batch_first ? batch : steps;
        tensor->size[1] = batch_first ? steps : batch;
    }
    tensor->size[tensor->rank - 1] = vector;
    std::int64_t next = 1;
    for (std::int32_t i = tensor->rank; i-- > 0;) {
        tensor->stride[i] = next;
        next *= tensor->size[i];
    }
}

DataType input_type(const DnnCall& dnn) noexcept {
    return dnn.tensor_count > 0 ? dnn.tensors[0].type : DataType::f32;
}

void add_weights(Call& call, DnnCall& dnn, DnnRole role, std::size_t bytes, const void* data) noexcept {
    dnn.rnn.weight_bytes = bytes;
    const DataType type = input_type(dnn);
    const int element = type == DataType::f64 ? 8 : type == DataType::f32 ? 4 : 2;
    add_values(call, dnn, role, type, static_cast<std::int64_t>(bytes) / element, data);
}

void forward(Call& call, cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, cudnnForwardMode_t mode,
             const std::int32_t* device_lengths, cudnnRNNDataDescriptor_t x_desc, const void* x,
             cudnnRNNDataDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t h_desc, const void* hx,
             void* hy, cudnnTensorDescriptor_t c_desc, const void* cx, void* cy, std::size_t weight_bytes,
             const void* weights, std::size_t, void*, std::size_t, void* reserve) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::rnn_forward);
    if (dnn == nullptr) return;
    read_network(call, *dnn, handle, descriptor);
    dnn->rnn.training = mode == CUDNN_FWD_MODE_TRAINING;
    dnn->rnn.reserve = reserve;
    add_sequences(call, *dnn, DnnRole::x, x_desc, x);
    add_sequences(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::hx, h_desc, hx);
    add_tensor(call, *dnn, DnnRole::hy, h_desc, hy);
    add_tensor(call, *dnn, DnnRole::cx, c_desc, cx);
    add_tensor(call, *dnn, DnnRole::cy, c_desc, cy);
    add_weights(call, *dnn, DnnRole::weights, weight_bytes, weights);
    add_values(call, *dnn, DnnRole::lengths, DataType::i32, dnn->rnn.batch, device_lengths);
}

void backward_data(Call& call, cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor,
                   const std::int32_t* device_lengths, cudnnRNNDataDescriptor_t y_desc, const void* y,
                   const void* dy, cudnnRNNDataDescriptor_t x_desc, void* dx, cudnnTensorDescriptor_t h_desc,
                   const void* hx, const void* dhy, void* dhx, cudnnTensorDescriptor_t c_desc, const void* cx,
                   const void* dcy, void* dcx, std::size_t weight_bytes, const void* weights, std::size_t,
                   void*, std::size_t, void* reserve) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::rnn_backward_data);
    if (dnn == nullptr) return;
    read_network(call, *dnn, handle, descriptor);
    dnn->rnn.reserve = reserve;
    add_sequences(call, *dnn, DnnRole::y, y_desc, y);
    add_sequences(call, *dnn, DnnRole::dy, y_desc, dy);
    add_sequences(call, *dnn, DnnRole::dx, x_desc, dx);
    add_tensor(call, *dnn, DnnRole::hx, h_desc, hx);
    add_tensor(call, *dnn, DnnRole::dhy, h_desc, dhy);
    add_tensor(call, *dnn, DnnRole::dhx, h_desc, dhx);
    add_tensor(call, *dnn, DnnRole::cx, c_desc, cx);
    add_tensor(call, *dnn, DnnRole::dcy, c_desc, dcy);
    add_tensor(call, *dnn, DnnRole::dcx, c_desc, dcx);
    add_weights(call, *dnn, DnnRole::weights, weight_bytes, weights);
    add_values(call, *dnn, DnnRole::lengths, DataType::i32, dnn->rnn.batch, device_lengths);
}

void backward_weights(Call& call, cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor,
                      cudnnWgradMode_t mode, const std::int32_t* device_lengths,
                      cudnnRNNDataDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t h_desc,
                      const void* hx, cudnnRNNDataDescriptor_t y_desc, const void* y,
                      std::size_t weight_bytes, void* dweights, std::size_t, void*, std::size_t,
                      void* reserve) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::rnn_backward_weights);
    if (dnn == nullptr) return;
    read_network(call, *dnn, handle, descriptor);
    dnn->rnn.accumulates = mode == CUDNN_WGRAD_MODE_ADD;
    dnn->rnn.reserve = reserve;
    add_sequences(call, *dnn, DnnRole::x, x_desc, x);
    add_sequences(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::hx, h_desc, hx);
    add_weights(call, *dnn, DnnRole::dweights, weight_bytes, dweights);
    add_values(call, *dnn, DnnRole::lengths, DataType::i32, dnn->rnn.batch, device_lengths);
}

FUMI_CUDNN_TAG(cudnnRNNForward, forward)
FUMI_CUDNN_TAG(cudnnRNNBackwardData_v8, backward_data)
FUMI_CUDNN_TAG(cudnnRNNBackwardWeights_v8, backward_weights)
const interpose::Hook hooks[] = {FUMI_HOOK(cudnnRNNForward, cudnn_soname)          //
                                 FUMI_HOOK(cudnnRNNBackwardData_v8, cudnn_soname)  //
                                 FUMI_HOOK(cudnnRNNBackwardWeights_v8, cudnn_soname)};

}  // namespace

std::span<const interpose::Hook> cudnn_rnn_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
