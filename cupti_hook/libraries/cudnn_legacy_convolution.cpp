// The convolution functions that came before the backend API.
#include <algorithm>

#include "cupti_hook/libraries/cudnn_legacy.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

void read_convolution(Call& call, DnnCall& dnn, cudnnConvolutionDescriptor_t descriptor) noexcept {
    const CudnnApi& api = *cudnn_api();
    DnnConvolution& c = dnn.convolution;
    int rank = 0, padding[3] = {}, stride[3] = {}, dilation[3] = {};
    cudnnConvolutionMode_t mode{};
    cudnnDataType_t compute{};
    int groups = 1;
    cudnnMathType_t math{};
    if (api.cudnnGetConvolutionNdDescriptor == nullptr || api.cudnnGetConvolutionGroupCount == nullptr ||
        api.cudnnGetConvolutionMathType == nullptr ||
        api.cudnnGetConvolutionNdDescriptor(descriptor, 3, &rank, padding, stride, dilation, &mode,
                                            &compute) != CUDNN_STATUS_SUCCESS ||
        api.cudnnGetConvolutionGroupCount(descriptor, &groups) != CUDNN_STATUS_SUCCESS ||
        api.cudnnGetConvolutionMathType(descriptor, &math) != CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    c.spatial_rank = std::min(rank, 3);
    c.groups = groups;
    c.flipped = mode == CUDNN_CONVOLUTION;
    for (int i = 0; i < c.spatial_rank; ++i) {
        c.padding[i] = c.post_padding[i] = padding[i];
        c.stride[i] = stride[i];
        c.dilation[i] = dilation[i];
    }
    dnn.compute_type = data_type(compute);
    dnn.math_type = math;
}

void forward(Call& call, cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t x_desc,
             const void* x, cudnnFilterDescriptor_t w_desc, const void* w,
             cudnnConvolutionDescriptor_t descriptor, cudnnConvolutionFwdAlgo_t algorithm, void*, std::size_t,
             const void* beta, cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::convolution_forward);
    if (dnn == nullptr) return;
    read_convolution(call, *dnn, descriptor);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_filter(call, *dnn, DnnRole::w, w_desc, w);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    set_scalars(*dnn, alpha, beta);
    dnn->algorithm = algorithm;
}

void fused(Call& call, cudnnHandle_t handle, const void* alpha1, cudnnTensorDescriptor_t x_desc,
           const void* x, cudnnFilterDescriptor_t w_desc, const void* w,
           cudnnConvolutionDescriptor_t descriptor, cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
           std::size_t bytes, const void* alpha2, cudnnTensorDescriptor_t z_desc, const void* z,
           cudnnTensorDescriptor_t bias_desc, const void* bias, cudnnActivationDescriptor_t activation,
           cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    forward(call, handle, alpha1, x_desc, x, w_desc, w, descriptor, algorithm, workspace, bytes, nullptr,
            y_desc, y);
    if (call.dnn == nullptr) return;
    DnnCall& dnn = this_threads_dnn_call();
    dnn.convolution.z_scale = host_scalar(alpha2, dnn.tensors[0].type, 0);
    if (dnn.convolution.z_scale != 0) add_tensor(call, dnn, DnnRole::z, z_desc, z);
    add_tensor(call, dnn, DnnRole::bias, bias_desc, bias);
    cudnnActivationMode_t mode{};
    cudnnNanPropagation_t nan{};
    double coefficient = 0;
    const auto get = cudnn_api()->cudnnGetActivationDescriptor;
    if (get == nullptr || get(activation, &mode, &nan, &coefficient) != CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    dnn.convolution.relu = mode == CUDNN_ACTIVATION_RELU;
    if (mode != CUDNN_ACTIVATION_RELU && mode != CUDNN_ACTIVATION_IDENTITY)
        refuse(call, "no reference for this activation behind a convolution");
}

void backward_data(Call& call, cudnnHandle_t handle, const void* alpha, cudnnFilterDescriptor_t w_desc,
                   const void* w, cudnnTensorDescriptor_t dy_desc, const void* dy,
                   cudnnConvolutionDescriptor_t descriptor, cudnnConvolutionBwdDataAlgo_t algorithm, void*,
                   std::size_t, const void* beta, cudnnTensorDescriptor_t dx_desc, void* dx) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::convolution_backward_data);
    if (dnn == nullptr) return;
    read_convolution(call, *dnn, descriptor);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    add_filter(call, *dnn, DnnRole::w, w_desc, w);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    set_scalars(*dnn, alpha, beta);
    dnn->algorithm = algorithm;
}

void backward_filter(Call& call, cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t x_desc,
                     const void* x, cudnnTensorDescriptor_t dy_desc, const void* dy,
                     cudnnConvolutionDescriptor_t descriptor, cudnnConvolutionBwdFilterAlgo_t algorithm,
                     void*, std::size_t, const void* beta, cudnnFilterDescriptor_t dw_desc,
                     void* dw) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::convolution_backward_filter);
    if (dnn == nullptr) return;
    read_convolution(call, *dnn, descriptor);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_filter(call, *dnn, DnnRole::dw, dw_desc, dw);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    set_scalars(*dnn, alpha, beta);
    dnn->algorithm = algorithm;
}

void backward_bias(Call& call, cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t dy_desc,
                   const void* dy, const void* beta, cudnnTensorDescriptor_t db_desc, void* db) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::convolution_backward_bias);
    if (dnn == nullptr) return;
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    add_tensor(call, *dnn, DnnRole::dbias, db_desc, db);
    set_scalars(*dnn, alpha, beta);
    call.not_checkable = no_reference;
}

FUMI_CUDNN_TAG(cudnnConvolutionForward, forward)
FUMI_CUDNN_TAG(cudnnConvolutionBiasActivationForward, fused)
FUMI_CUDNN_TAG(cudnnConvolutionBackwardData, backward_data)
FUMI_CUDNN_TAG(cudnnConvolutionBackwardFilter, backward_filter)
FUMI_CUDNN_TAG(cudnnConvolutionBackwardBias, backward_bias)

const interpose::Hook hooks[] = {FUMI_HOOK(cudnnConvolutionForward, cudnn_soname)                //
                                 FUMI_HOOK(cudnnConvolutionBiasActivationForward, cudnn_soname)  //
                                 FUMI_HOOK(cudnnConvolutionBackwardData, cudnn_soname)           //
                                 FUMI_HOOK(cudnnConvolutionBackwardFilter, cudnn_soname)         //
                                 FUMI_HOOK(cudnnConvolutionBackwardBias, cudnn_soname)};

}  // namespace

std::span<const interpose::Hook> cudnn_convolution_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
