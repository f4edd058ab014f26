// cuDNN's convolution entry points from before the graph API. Errors are those that cuDNN's documentation of
// each function lists.
#include "tools/softcuda/dnn/handle.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/convolution.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {
namespace {

void set_scales(ConvolutionCall& call, const void* alpha, const void* beta) {
    auto& op = std::get<Convolution>(call.graph.operations.front());
    const cudnnDataType_t type = call.graph.tensors[0].type;
    op.alpha = scaling(alpha, type);
    op.beta = beta == nullptr ? 0 : scaling(beta, type);
}

void* writable(const void* data) noexcept {
    return const_cast<void*>(data);
}

struct Space {
    const void* data;
    std::size_t size;
};
bool too_small(const ConvolutionCall& call, Space space) noexcept {
    const auto needed = static_cast<std::size_t>(call.engine.workspace);
    return needed != 0 && (space.data == nullptr || space.size < needed);
}

cudnnStatus_t workspace_size(Direction direction, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                             cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t y,
                             int algorithm, std::size_t* size) {
    if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
    ConvolutionCall call;
    if (const auto status = read_convolution(call, direction, x, w, convolution, y, algorithm)) return status;
    *size = static_cast<std::size_t>(call.engine.workspace);
    return CUDNN_STATUS_SUCCESS;
}

// The answer of the functions that choose an algorithm: each one's place, memory and a made-up time by that
// place.
template <class Perf>
cudnnStatus_t list_algorithms(Direction direction, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                              cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t y,
                              int requested, int* returned, Perf* results) {
    if (requested < 1 || returned == nullptr || results == nullptr) return CUDNN_STATUS_BAD_PARAM;
    int count = 0;
    for (const int algorithm : algorithms_of(direction)) {
        if (count == requested) break;
        ConvolutionCall call;
        if (const auto status = read_convolution(call, direction, x, w, convolution, y, algorithm))
            return status;
        Perf& result = results[count++];
        result = {};
        result.algo = static_cast<decltype(result.algo)>(algorithm);
        result.time = static_cast<float>(count);
        result.memory = static_cast<std::size_t>(call.engine.workspace);
        result.determinism =
            is_deterministic(direction, algorithm) ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
        result.mathType =
            call.engine.algorithm == Algorithm::tensor_cores ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH;
    }
    *returned = count;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t count_algorithms(Direction direction, int* count) {
    if (count == nullptr) return CUDNN_STATUS_BAD_PARAM;
    *count = static_cast<int>(algorithms_of(direction).size());
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;
using softcuda::dnn::Direction;

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha,
                                                          const cudnnTensorDescriptor_t x_desc, const void* x,
                                                          const cudnnFilterDescriptor_t w_desc, const void* w,
                                                          const cudnnConvolutionDescriptor_t convolution,
                                                          cudnnConvolutionFwdAlgo_t algorithm, void* work,
                                                          std::size_t work_size, const void* beta,
                                                          const cudnnTensorDescriptor_t y_desc, void* y) {
    return entry(handle, [&] {
        if (alpha == nullptr || beta == nullptr || x == nullptr || w == nullptr || y == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        ConvolutionCall call;
        if (const auto status =
                read_convolution(call, Direction::forward, x_desc, w_desc, convolution, y_desc, algorithm))
            return status;
        if (too_small(call, {work, work_size})) return CUDNN_STATUS_BAD_PARAM;
        set_scales(call, alpha, beta);
        return launch(handle, "cudnnConvolutionForward", std::move(call), {writable(x), writable(w), y});
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* alpha1, const cudnnTensorDescriptor_t x_desc, const void* x,
    const cudnnFilterDescriptor_t w_desc, const void* w, const cudnnConvolutionDescriptor_t convolution,
    cudnnConvolutionFwdAlgo_t algorithm, void* work, std::size_t work_size, const void* alpha2,
    const cudnnTensorDescriptor_t z_desc, const void* z, const cudnnTensorDescriptor_t bias_desc,
    const void* bias, const cudnnActivationDescriptor_t activation, const cudnnTensorDescriptor_t y_desc,
    void* y) {
    return entry(handle, [&] {
        if (alpha1 == nullptr || alpha2 == nullptr || x == nullptr || w == nullptr || z == nullptr ||
            bias == nullptr || y == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        ConvolutionCall call;
        if (const auto status =
                read_convolution(call, Direction::forward, x_desc, w_desc, convolution, y_desc, algorithm))
            return status;
        if (too_small(call, {work, work_size})) return CUDNN_STATUS_BAD_PARAM;
        set_scales(call, alpha1, nullptr);
        const double scale = scaling(alpha2, call.graph.tensors[0].type);
        if (const auto status = add_bias_and_activation(call, scale, z_desc, bias_desc, activation))
            return status;
        return launch(handle, "cudnnConvolutionBiasActivationForward", std::move(call),
                      {writable(x), writable(w), y, writable(z), writable(bias)});
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnConvolutionBackwardData(
    cudnnHandle_t handle, const void* alpha, const cudnnFilterDescriptor_t w_desc, const void* w,
    const cudnnTensorDescriptor_t dy_desc, const void* dy, const cudnnConvolutionDescriptor_t convolution,
    cudnnConvolutionBwdDataAlgo_t algorithm, void* work, std::size_t work_size, const void* beta,
    const cudnnTensorDescriptor_t dx_desc, void* dx) {
    return entry(handle, [&] {
        if (alpha == nullptr || beta == nullptr || w == nullptr || dy == nullptr || dx == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        ConvolutionCall call;
        if (const auto status = read_convolution(call, Direction::backward_data, dx_desc, w_desc, convolution,
                                                 dy_desc, algorithm))
            return status;
        if (too_small(call, {work, work_size})) return CUDNN_STATUS_BAD_PARAM;
        set_scales(call, alpha, beta);
        return launch(handle, "cudnnConvolutionBackwardData", std::move(call),
                      {dx, writable(w), writable(dy)});
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnConvolutionBackwardFilter(
    cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t x_desc, const void* x,
    const cudnnTensorDescriptor_t dy_desc, const void* dy, const cudnnConvolutionDescriptor_t convolution,
    cudnnConvolutionBwdFilterAlgo_t algorithm, void* work, std::size_t work_size, const void* beta,
    const cudnnFilterDescriptor_t dw_desc, void* dw) {
    return entry(handle, [&] {
        if (alpha == nullptr || beta == nullptr || x == nullptr || dy == nullptr || dw == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        ConvolutionCall call;
        if (const auto status = read_convolution(call, Direction::backward_filter, x_desc, dw_desc,
                                                 convolution, dy_desc, algorithm))
            return status;
        if (too_small(call, {work, work_size})) return CUDNN_STATUS_BAD_PARAM;
        set_scales(call, alpha, beta);
        return launch(handle, "cudnnConvolutionBackwardFilter", std::move(call),
                      {writable(x), dw, writable(dy)});
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y,
    cudnnConvolutionFwdAlgo_t algorithm, std::size_t* size) {
    return entry(handle,
                 [&] { return workspace_size(Direction::forward, x, w, convolution, y, algorithm, size); });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t dx,
    cudnnConvolutionBwdDataAlgo_t algorithm, std::size_t* size) {
    return entry(handle, [&] {
        return workspace_size(Direction::backward_data, dx, w, convolution, dy, algorithm, size);
    });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnFilterDescriptor_t dw,
    cudnnConvolutionBwdFilterAlgo_t algorithm, std::size_t* size) {
    return entry(handle, [&] {
        return workspace_size(Direction::backward_filter, x, dw, convolution, dy, algorithm, size);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle,
                                                                              int* count) {
    return entry(handle, [&] { return count_algorithms(Direction::forward, count); });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t handle,
                                                                                   int* count) {
    return entry(handle, [&] { return count_algorithms(Direction::backward_data, count); });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t handle,
                                                                                     int* count) {
    return entry(handle, [&] { return count_algorithms(Direction::backward_filter, count); });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y, const int requested,
    int* returned, cudnnConvolutionFwdAlgoPerf_t* results) {
    return entry(handle, [&] {
        return list_algorithms(Direction::forward, x, w, convolution, y, requested, returned, results);
    });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t dx, const int requested,
    int* returned, cudnnConvolutionBwdDataAlgoPerf_t* results) {
    return entry(handle, [&] {
        return list_algorithms(Direction::backward_data, dx, w, convolution, dy, requested, returned,
                               results);
    });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnFilterDescriptor_t dw, const int requested,
    int* returned, cudnnConvolutionBwdFilterAlgoPerf_t* results) {
    return entry(handle, [&] {
        return list_algorithms(Direction::backward_filter, x, dw, convolution, dy, requested, returned,
                               results);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x_desc, const void* x,
    const cudnnFilterDescriptor_t w_desc, const void* w, const cudnnConvolutionDescriptor_t convolution,
    const cudnnTensorDescriptor_t y_desc, void* y, const int requested, int* returned,
    cudnnConvolutionFwdAlgoPerf_t* results, void*, std::size_t) {
    return entry(handle, [&] {
        if (x == nullptr || w == nullptr || y == nullptr) return CUDNN_STATUS_BAD_PARAM;
        return list_algorithms(Direction::forward, x_desc, w_desc, convolution, y_desc, requested, returned,
                               results);
    });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w_desc, const void* w,
    const cudnnTensorDescriptor_t dy_desc, const void* dy, const cudnnConvolutionDescriptor_t convolution,
    const cudnnTensorDescriptor_t dx_desc, void* dx, const int requested, int* returned,
    cudnnConvolutionBwdDataAlgoPerf_t* results, void*, std::size_t) {
    return entry(handle, [&] {
        if (w == nullptr || dy == nullptr || dx == nullptr) return CUDNN_STATUS_BAD_PARAM;
        return list_algorithms(Direction::backward_data, dx_desc, w_desc, convolution, dy_desc, requested,
                               returned, results);
    });
}
SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x_desc, const void* x,
    const cudnnTensorDescriptor_t dy_desc, const void* dy, const cudnnConvolutionDescriptor_t convolution,
    const cudnnFilterDescriptor_t dw_desc, void* dw, const int requested, int* returned,
    cudnnConvolutionBwdFilterAlgoPerf_t* results, void*, std::size_t) {
    return entry(handle, [&] {
        if (x == nullptr || dy == nullptr || dw == nullptr) return CUDNN_STATUS_BAD_PARAM;
        return list_algorithms(Direction::backward_filter, x_desc, dw_desc, convolution, dy_desc, requested,
                               returned, results);
    });
}
