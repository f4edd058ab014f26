// cuDNN's recurrent nets. Errors are those that cuDNN's documentation of each function lists. The sequence
// lengths on the device are not read, as of cuDNN 8.9.1: those in the data descriptors count.
#include <string>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/real_function.h"
#include "tools/softcuda/dnn/legacy/rnn.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;
using faults::View;

struct Spaces {
    std::size_t weights_size = 0;
    const void* weights = nullptr;
    std::size_t work_size = 0;
    const void* work = nullptr;
    std::size_t reserve_size = 0;
    const void* reserve = nullptr;
};

// The gates of one step of all layers' worth of products.
std::size_t work_bytes(const Net& net, std::int64_t rows) noexcept {
    return static_cast<std::size_t>(rows * net.rows() * net.compute_size());
}

cudnnStatus_t check_layout(const Net& net, const Sequences& sequences) noexcept {
    if (sequences.type != net.type) return CUDNN_STATUS_BAD_PARAM;
    const bool packed = sequences.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
    return packed || net.padded_io ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t read_sequences(Pass& pass, cudnnRNNDataDescriptor_t x, cudnnRNNDataDescriptor_t y) {
    if (const auto status = read(x, pass.x_sequences)) return status;
    if (const auto status = read(y, pass.y_sequences)) return status;
    const Sequences &in = pass.x_sequences, &out = pass.y_sequences;
    if (in.width != pass.net.input || out.width != pass.net.width()) return CUDNN_STATUS_BAD_PARAM;
    if (in.steps != out.steps || in.lengths != out.lengths || in.layout != out.layout)
        return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = check_layout(pass.net, in)) return status;
    return check_layout(pass.net, out);
}

// States are pseudo layers x batch x size (x 1 x 1), without gaps.
cudnnStatus_t check_state(cudnnTensorDescriptor_t descriptor, const Pass& pass, std::int64_t size) noexcept {
    Tensor state;
    if (read(descriptor, state) != CUDNN_STATUS_SUCCESS) return CUDNN_STATUS_BAD_PARAM;
    const std::int64_t batch = pass.x_sequences.batch;
    for (int i = 3; i < state.rank; ++i)
        if (state.size[i] != 1) return CUDNN_STATUS_BAD_PARAM;
    const bool fits = state.rank >= 3 && state.type == pass.net.type &&
                      state.size[0] == pass.net.pseudo_layers() && state.size[1] == batch &&
                      state.size[2] == size && state.stride[2] == 1 && state.stride[1] == size &&
                      (state.size[0] == 1 || state.stride[0] == batch * size);
    return fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t check_states(const Pass& pass, cudnnTensorDescriptor_t h, cudnnTensorDescriptor_t c) noexcept {
    if (const auto status = check_state(h, pass, pass.net.output())) return status;
    return pass.net.cell == CUDNN_LSTM ? check_state(c, pass, pass.net.hidden) : CUDNN_STATUS_SUCCESS;
}

std::int64_t rows_of(const Sequences& sequences) noexcept {
    std::int64_t rows = 0;
    for (const int length : sequences.lengths) rows += length;
    return rows;
}

cudnnStatus_t check_spaces(const Pass& pass, const Spaces& spaces, bool training) {
    const std::int64_t rows = rows_of(pass.x_sequences);
    const auto weights = static_cast<std::size_t>(weight_space(pass.net).elements * pass.net.element_size());
    if (spaces.weights == nullptr || spaces.weights_size < weights) return CUDNN_STATUS_BAD_PARAM;
    if (spaces.work == nullptr || spaces.work_size < work_bytes(pass.net, rows))
        return CUDNN_STATUS_BAD_PARAM;
    if (!training) return CUDNN_STATUS_SUCCESS;
    const auto reserve = static_cast<std::size_t>(reserve_space(pass.net, rows).bytes);
    if (spaces.reserve == nullptr || spaces.reserve_size < reserve) return CUDNN_STATUS_BAD_PARAM;
    if (pass.net.drops() && pass.net.dropout.states == nullptr) return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

std::string kernel_name(const char* pass, const Net& net) {
    const char* cell = net.cell == CUDNN_LSTM       ? "LSTM"
                       : net.cell == CUDNN_GRU      ? "GRU"
                       : net.cell == CUDNN_RNN_TANH ? "TANH"
                                                    : "RELU";
    return std::string("RNN_") + pass + "_" + cell + "_" + blas::short_name(number_type(net.type));
}

// Rows of the program's buffer, features down, one view for each run of rows that hold data.
void add_sequence_views(std::vector<View>& views, void* data, const Net& net, const Sequences& sequences) {
    if (data == nullptr) return;
    const Packing packing = pack(sequences);
    std::vector<bool> used(static_cast<std::size_t>(sequences.steps * sequences.batch));
    for (const std::int64_t row : packing.source_row) used[row] = true;
    const auto rows = static_cast<std::int64_t>(used.size());
    for (std::int64_t first = 0; first < rows; ++first) {
        if (!used[first]) continue;
        std::int64_t last = first;
        while (last < rows && used[last]) ++last;
        views.push_back({static_cast<char*>(host_view(data)) + first * sequences.width * net.element_size(),
                         number_type(net.type), sequences.width, last - first, 1, sequences.width});
        first = last;
    }
}

void add_state_view(std::vector<View>& views, void* data, const Pass& pass, std::int64_t size) {
    if (data == nullptr) return;
    views.push_back({host_view(data), number_type(pass.net.type), size,
                     pass.net.pseudo_layers() * pass.x_sequences.batch, 1, size});
}

std::vector<View> views_of(const ForwardPass& pass) {
    std::vector<View> views;
    add_sequence_views(views, pass.y, pass.net, pass.y_sequences);
    add_state_view(views, pass.hy, pass, pass.net.output());
    if (pass.net.cell == CUDNN_LSTM) add_state_view(views, pass.cy, pass, pass.net.hidden);
    return views;
}

std::vector<View> views_of(const DataPass& pass) {
    std::vector<View> views;
    add_sequence_views(views, pass.dx, pass.net, pass.x_sequences);
    add_state_view(views, pass.dhx, pass, pass.net.output());
    if (pass.net.cell == CUDNN_LSTM) add_state_view(views, pass.dcx, pass, pass.net.hidden);
    return views;
}

std::vector<View> views_of(const WeightsPass& pass) {
    std::vector<View> views;
    const Net& net = pass.net;
    auto* base = static_cast<char*>(host_view(pass.dweights));
    const auto matrix = [&](std::int64_t place, std::int64_t rows, std::int64_t cols) {
        if (place >= 0)
            views.push_back({base + place * net.element_size(), number_type(net.type), rows, cols, cols, 1});
    };
    const WeightSpace space = weight_space(net);
    for (int pseudo = 0; pseudo < net.pseudo_layers(); ++pseudo) {
        const Weights& weights = space.of[pseudo];
        matrix(weights.w, net.rows(), net.input_of(pseudo / net.directions));
        matrix(weights.r, net.rows(), net.output());
        matrix(weights.p, net.projection, net.hidden);
        matrix(weights.bw, net.rows(), 1);
        matrix(weights.br, net.rows(), 1);
    }
    return views;
}

// A second run draws the same numbers.
std::vector<View> random_state(const ForwardPass& pass) {
    if (pass.reserve == nullptr || !pass.net.drops()) return {};
    return {{host_view(pass.net.dropout.states), CUDA_R_32I, sizeof(DropoutState) / 4, 1, 1, 1}};
}

std::vector<Kind> plantable(const Net& net, bool bias) {
    std::vector<Kind> kinds{Kind::drop_k, Kind::fp16_accumulate, Kind::nondeterministic};
    if (net.type != CUDNN_DATA_BFLOAT16) kinds.push_back(Kind::round_inputs_bf16);
    if (net.type == CUDNN_DATA_FLOAT || net.type == CUDNN_DATA_DOUBLE)
        kinds.push_back(Kind::round_inputs_tf32);
    if (bias && net.input_bias) kinds.push_back(Kind::drop_bias_row);
    return kinds;
}

template <class PassType>
Call call_of(const char* function, const char* pass_name, const PassType& pass) {
    const Net& net = pass.net;
    Call call{function,
              kernel_name(pass_name, net),
              {net.rows(), rows_of(pass.x_sequences), net.input, net.pseudo_layers()},
              [pass](Deviation& deviation) { run(pass, deviation); }};
    call.results = [pass] { return views_of(pass); };
    call.plants = plantable(net, std::is_same_v<PassType, ForwardPass>);
    return call;
}

// The row-major matrix of one gate, as cuDNN describes it: 1 x rows x cols. Null where there is none.
cudnnStatus_t describe(cudnnTensorDescriptor_t descriptor, void** address, const Net& net, const void* space,
                       std::int64_t place, std::int64_t rows, std::int64_t cols) noexcept {
    const auto set = SOFTCUDA_REAL_CUDNN(cudnnSetTensorNdDescriptor);
    if (set == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    if (address != nullptr)
        *address =
            place < 0 ? nullptr : static_cast<char*>(const_cast<void*>(space)) + place * net.element_size();
    if (descriptor == nullptr || place < 0) return CUDNN_STATUS_SUCCESS;
    const int size[] = {1, static_cast<int>(rows), static_cast<int>(cols)};
    const int stride[] = {static_cast<int>(rows * cols), static_cast<int>(cols), 1};
    return set(descriptor, net.type, 3, size, stride);
}

cudnnStatus_t weight_params(const Net& net, int pseudo, int id, const void* space,
                            cudnnTensorDescriptor_t m_desc, void** m, cudnnTensorDescriptor_t b_desc,
                            void** b) {
    const Weights weights = weight_space(net).of[pseudo];
    const std::int64_t hidden = net.hidden;
    if (net.projection != 0 && id == 2 * net.gates()) {
        if (const auto status = describe(b_desc, b, net, space, -1, 0, 0)) return status;
        return describe(m_desc, m, net, space, weights.p, net.projection, hidden);
    }
    if (id >= 2 * net.gates()) return CUDNN_STATUS_BAD_PARAM;
    const bool recurrent = id >= net.gates();
    const std::int64_t gate = recurrent ? id - net.gates() : id;
    const std::int64_t cols = recurrent ? net.output() : net.input_of(pseudo / net.directions);
    const std::int64_t matrix = recurrent ? weights.r : weights.w, bias = recurrent ? weights.br : weights.bw;
    if (const auto status = describe(b_desc, b, net, space, bias < 0 ? -1 : bias + gate * hidden, hidden, 1))
        return status;
    return describe(m_desc, m, net, space, matrix < 0 ? -1 : matrix + gate * hidden * cols, hidden, cols);
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnRNNForward(
    cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, cudnnForwardMode_t mode,
    const std::int32_t* /*lengths*/, cudnnRNNDataDescriptor_t x_desc, const void* x,
    cudnnRNNDataDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t h_desc, const void* hx, void* hy,
    cudnnTensorDescriptor_t c_desc, const void* cx, void* cy, std::size_t weights_size, const void* weights,
    std::size_t work_size, void* work, std::size_t reserve_size, void* reserve) {
    return entry(handle, [&] {
        if (mode != CUDNN_FWD_MODE_INFERENCE && mode != CUDNN_FWD_MODE_TRAINING)
            return CUDNN_STATUS_BAD_PARAM;
        const bool training = mode == CUDNN_FWD_MODE_TRAINING;
        ForwardPass pass;
        if (const auto status = read(descriptor, pass.net)) return status;
        if (const auto status = read_sequences(pass, x_desc, y_desc)) return status;
        if (const auto status = check_states(pass, h_desc, c_desc)) return status;
        const Spaces spaces{weights_size, weights, work_size, work, reserve_size, reserve};
        if (const auto status = check_spaces(pass, spaces, training)) return status;
        if (x == nullptr || y == nullptr) return CUDNN_STATUS_BAD_PARAM;
        pass.x = x;
        pass.y = y;
        pass.hx = hx;
        pass.hy = hy;
        pass.cx = cx;
        pass.cy = cy;
        pass.weights = weights;
        pass.reserve = training ? reserve : nullptr;
        Call call = call_of("cudnnRNNForward", "fp", pass);
        call.states = [pass] { return random_state(pass); };
        return enqueue(handle, std::move(call));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnRNNBackwardData_v8(
    cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, const std::int32_t* /*lengths*/,
    cudnnRNNDataDescriptor_t y_desc, const void* y, const void* dy, cudnnRNNDataDescriptor_t x_desc, void* dx,
    cudnnTensorDescriptor_t h_desc, const void* hx, const void* dhy, void* dhx,
    cudnnTensorDescriptor_t c_desc, const void* cx, const void* dcy, void* dcx, std::size_t weights_size,
    const void* weights, std::size_t work_size, void* work, std::size_t reserve_size, void* reserve) {
    return entry(handle, [&] {
        DataPass pass;
        if (const auto status = read(descriptor, pass.net)) return status;
        if (const auto status = read_sequences(pass, x_desc, y_desc)) return status;
        if (const auto status = check_states(pass, h_desc, c_desc)) return status;
        const Spaces spaces{weights_size, weights, work_size, work, reserve_size, reserve};
        if (const auto status = check_spaces(pass, spaces, true)) return status;
        if (y == nullptr || dy == nullptr || dx == nullptr) return CUDNN_STATUS_BAD_PARAM;
        pass.weights = weights;
        pass.hx = hx;
        pass.cx = cx;
        pass.dy = dy;
        pass.dhy = dhy;
        pass.dcy = dcy;
        pass.dx = dx;
        pass.dhx = dhx;
        pass.dcx = dcx;
        pass.reserve = reserve;
        return enqueue(handle, call_of("cudnnRNNBackwardData_v8", "bp", pass));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnRNNBackwardWeights_v8(
    cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, cudnnWgradMode_t add_gradient,
    const std::int32_t* /*lengths*/, cudnnRNNDataDescriptor_t x_desc, const void* x,
    cudnnTensorDescriptor_t h_desc, const void* hx, cudnnRNNDataDescriptor_t y_desc, const void* y,
    std::size_t weights_size, void* dweights, std::size_t work_size, void* work, std::size_t reserve_size,
    void* reserve) {
    return entry(handle, [&] {
        if (add_gradient != CUDNN_WGRAD_MODE_ADD && add_gradient != CUDNN_WGRAD_MODE_SET)
            return CUDNN_STATUS_BAD_PARAM;
        WeightsPass pass;
        if (const auto status = read(descriptor, pass.net)) return status;
        if (const auto status = read_sequences(pass, x_desc, y_desc)) return status;
        if (const auto status = check_state(h_desc, pass, pass.net.output())) return status;
        const Spaces spaces{weights_size, dweights, work_size, work, reserve_size, reserve};
        if (const auto status = check_spaces(pass, spaces, true)) return status;
        if (x == nullptr || y == nullptr) return CUDNN_STATUS_BAD_PARAM;
        pass.x = x;
        pass.hx = hx;
        pass.dweights = dweights;
        pass.add = add_gradient == CUDNN_WGRAD_MODE_ADD;
        pass.reserve = reserve;
        return enqueue(handle, call_of("cudnnRNNBackwardWeights_v8", "wgrad", pass));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle,
                                                             cudnnRNNDescriptor_t descriptor,
                                                             std::size_t* size) {
    return entry(handle, [&] {
        Net net;
        if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = read(descriptor, net)) return status;
        *size = static_cast<std::size_t>(weight_space(net).elements * net.element_size());
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetRNNTempSpaceSizes(
    cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, cudnnForwardMode_t mode,
    cudnnRNNDataDescriptor_t x_desc, std::size_t* work_size, std::size_t* reserve_size) {
    return entry(handle, [&] {
        if (mode != CUDNN_FWD_MODE_INFERENCE && mode != CUDNN_FWD_MODE_TRAINING)
            return CUDNN_STATUS_BAD_PARAM;
        Net net;
        Sequences sequences;
        if (const auto status = read(descriptor, net)) return status;
        if (const auto status = read(x_desc, sequences)) return status;
        if (const auto status = check_layout(net, sequences)) return status;
        const std::int64_t rows = rows_of(sequences);
        if (work_size != nullptr) *work_size = work_bytes(net, rows);
        if (reserve_size != nullptr)
            *reserve_size = mode == CUDNN_FWD_MODE_TRAINING
                                ? static_cast<std::size_t>(reserve_space(net, rows).bytes)
                                : 0;
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle,
                                                          cudnnRNNDescriptor_t descriptor,
                                                          std::int32_t pseudo_layer, std::size_t size,
                                                          const void* space, std::int32_t id,
                                                          cudnnTensorDescriptor_t m_desc, void** m,
                                                          cudnnTensorDescriptor_t b_desc, void** b) {
    return entry(handle, [&] {
        Net net;
        if (const auto status = read(descriptor, net)) return status;
        if (space == nullptr || pseudo_layer < 0 || pseudo_layer >= net.pseudo_layers() || id < 0)
            return CUDNN_STATUS_BAD_PARAM;
        if (size < static_cast<std::size_t>(weight_space(net).elements * net.element_size()))
            return CUDNN_STATUS_BAD_PARAM;
        return weight_params(net, pseudo_layer, id, space, m_desc, m, b_desc, b);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBuildRNNDynamic(cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor,
                                                       int batch) {
    return entry(handle, [&] {
        Net net;
        if (batch <= 0) return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = read(descriptor, net)) return status;
        // There is nothing to compile; only one algorithm may ask for it.
        return net.algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC ? CUDNN_STATUS_SUCCESS
                                                               : CUDNN_STATUS_BAD_PARAM;
    });
}
