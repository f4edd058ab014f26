// Softmax, pooling and activation, and what else works element by element.
#include <algorithm>

#include "cupti_hook/libraries/cudnn_legacy.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

void softmax_forward(Call& call, cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                     cudnnSoftmaxMode_t mode, const void* alpha, cudnnTensorDescriptor_t x_desc,
                     const void* x, const void* beta, cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::softmax_forward);
    if (dnn == nullptr) return;
    dnn->softmax = {algorithm == CUDNN_SOFTMAX_LOG, mode == CUDNN_SOFTMAX_MODE_CHANNEL};
    dnn->algorithm = algorithm;
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    set_scalars(*dnn, alpha, beta);
}

void softmax_backward(Call& call, cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                      cudnnSoftmaxMode_t mode, const void* alpha, cudnnTensorDescriptor_t y_desc,
                      const void* y, cudnnTensorDescriptor_t dy_desc, const void* dy, const void* beta,
                      cudnnTensorDescriptor_t dx_desc, void* dx) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::softmax_backward);
    if (dnn == nullptr) return;
    dnn->softmax = {algorithm == CUDNN_SOFTMAX_LOG, mode == CUDNN_SOFTMAX_MODE_CHANNEL};
    dnn->algorithm = algorithm;
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    set_scalars(*dnn, alpha, beta);
}

void read_pooling(Call& call, DnnCall& dnn, cudnnPoolingDescriptor_t descriptor) noexcept {
    DnnPooling& p = dnn.pooling;
    cudnnNanPropagation_t nan{};
    int rank = 0, window[3] = {}, padding[3] = {}, stride[3] = {};
    const auto get = cudnn_api()->cudnnGetPoolingNdDescriptor;
    if (get == nullptr ||
        get(descriptor, 3, &p.mode, &nan, &rank, window, padding, stride) != CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    p.spatial_rank = std::min(rank, 3);
    std::copy_n(window, p.spatial_rank, p.window);
    std::copy_n(padding, p.spatial_rank, p.padding);
    std::copy_n(stride, p.spatial_rank, p.stride);
}

void pooling_forward(Call& call, cudnnHandle_t handle, cudnnPoolingDescriptor_t descriptor, const void* alpha,
                     cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                     cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::pooling_forward);
    if (dnn == nullptr) return;
    read_pooling(call, *dnn, descriptor);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    set_scalars(*dnn, alpha, beta);
}

void pooling_backward(Call& call, cudnnHandle_t handle, cudnnPoolingDescriptor_t descriptor,
                      const void* alpha, cudnnTensorDescriptor_t y_desc, const void* y,
                      cudnnTensorDescriptor_t dy_desc, const void* dy, cudnnTensorDescriptor_t x_desc,
                      const void* x, const void* beta, cudnnTensorDescriptor_t dx_desc, void* dx) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::pooling_backward);
    if (dnn == nullptr) return;
    read_pooling(call, *dnn, descriptor);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    set_scalars(*dnn, alpha, beta);
}

void activation_forward(Call& call, cudnnHandle_t handle, cudnnActivationDescriptor_t, const void* alpha,
                        cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                        cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::activation_forward);
    if (dnn == nullptr) return;
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    set_scalars(*dnn, alpha, beta);
    call.not_checkable = no_reference;
}

void activation_backward(Call& call, cudnnHandle_t handle, cudnnActivationDescriptor_t, const void* alpha,
                         cudnnTensorDescriptor_t y_desc, const void* y, cudnnTensorDescriptor_t dy_desc,
                         const void* dy, cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                         cudnnTensorDescriptor_t dx_desc, void* dx) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::activation_backward);
    if (dnn == nullptr) return;
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    set_scalars(*dnn, alpha, beta);
    call.not_checkable = no_reference;
}

// Told, without reference.
template <class... Args>
void traced(Call& call, cudnnHandle_t handle, const Args&...) noexcept {
    if (begin_dnn(call, handle, DnnOperation::other) != nullptr) call.not_checkable = no_reference;
}

// clang-format off
#define FUMI_POINTWISE_FUNCTIONS(X) \
    X(cudnnSoftmaxForward, softmax_forward) X(cudnnSoftmaxBackward, softmax_backward) \
    X(cudnnPoolingForward, pooling_forward) X(cudnnPoolingBackward, pooling_backward) \
    X(cudnnActivationForward, activation_forward) X(cudnnActivationBackward, activation_backward) \
    X(cudnnLRNCrossChannelForward, traced) X(cudnnLRNCrossChannelBackward, traced) \
    X(cudnnDivisiveNormalizationForward, traced) X(cudnnDivisiveNormalizationBackward, traced) \
    X(cudnnAddTensor, traced) X(cudnnOpTensor, traced) X(cudnnReduceTensor, traced) \
    X(cudnnScaleTensor, traced)
// clang-format on
FUMI_POINTWISE_FUNCTIONS(FUMI_CUDNN_TAG)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cudnn_soname)
const interpose::Hook hooks[] = {FUMI_POINTWISE_FUNCTIONS(FUMI_LINE)};

}  // namespace

std::span<const interpose::Hook> cudnn_pointwise_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
