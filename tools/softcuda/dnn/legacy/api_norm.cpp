// cuDNN's batch normalization entry points. Errors are those that cuDNN's documentation of each function
// lists.
#include <string>

#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/norm.h"
#include "tools/softcuda/dnn/legacy/real_function.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;

template <class... Pointers>
bool any_null(Pointers... pointers) noexcept {
    return ((pointers == nullptr) || ...);
}

// Both or neither.
bool unpaired(const void* a, const void* b) noexcept {
    return (a == nullptr) != (b == nullptr);
}

bool valid(cudnnBatchNormMode_t mode) noexcept {
    return mode == CUDNN_BATCHNORM_PER_ACTIVATION || mode == CUDNN_BATCHNORM_SPATIAL ||
           mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
}
bool valid(cudnnBatchNormOps_t ops) noexcept {
    return ops == CUDNN_BATCHNORM_OPS_BN || ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION ||
           ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION;
}

cudnnStatus_t check_data(const Tensor& x, const Tensor& other) noexcept {
    if (x.rank != 4 && x.rank != 5) return CUDNN_STATUS_BAD_PARAM;
    if (!x.same_sizes(other) || x.type != other.type) return CUDNN_STATUS_BAD_PARAM;
    return is_real(x.type) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

// Dimensions 1xCx1x1, or 1xCxHxW per activation; float unless the data is double.
cudnnStatus_t check_parameters(const Norm& norm, const Tensor& parameters) noexcept {
    if (parameters.rank != norm.x.rank || parameters.size[0] != 1 || parameters.size[1] != norm.x.size[1])
        return CUDNN_STATUS_BAD_PARAM;
    for (int i = 2; i < norm.x.rank; ++i)
        if (parameters.size[i] != (norm.per_activation ? norm.x.size[i] : 1)) return CUDNN_STATUS_BAD_PARAM;
    const bool wide = norm.x.type == CUDNN_DATA_DOUBLE;
    return parameters.type == (wide ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT) ? CUDNN_STATUS_SUCCESS
                                                                            : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t read_norm(Norm& norm, cudnnBatchNormMode_t mode, cudnnTensorDescriptor_t x,
                        cudnnTensorDescriptor_t y, cudnnTensorDescriptor_t parameters) noexcept {
    if (!valid(mode) || any_null(x, y, parameters)) return CUDNN_STATUS_BAD_PARAM;
    norm.per_activation = mode == CUDNN_BATCHNORM_PER_ACTIVATION;
    Tensor of_parameters;
    for (auto [descriptor, target] : {std::pair{x, &norm.x}, {y, &norm.y}, {parameters, &of_parameters}})
        if (const auto status = read(descriptor, *target); status != CUDNN_STATUS_SUCCESS) return status;
    norm.parameter_type = of_parameters.type;
    if (const auto status = check_data(norm.x, norm.y); status != CUDNN_STATUS_SUCCESS) return status;
    return check_parameters(norm, of_parameters);
}

// relu after the normalization, and the tensor that is added before it.
cudnnStatus_t read_activation(Norm& norm, cudnnBatchNormOps_t ops, cudnnActivationDescriptor_t activation,
                              cudnnTensorDescriptor_t z) noexcept {
    if (!valid(ops)) return CUDNN_STATUS_BAD_PARAM;
    if (ops == CUDNN_BATCHNORM_OPS_BN) return CUDNN_STATUS_SUCCESS;
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetActivationDescriptor);
    if (activation == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnActivationMode_t mode{};
    cudnnNanPropagation_t nan{};
    double coefficient = 0;
    if (const auto status = get(activation, &mode, &nan, &coefficient); status != CUDNN_STATUS_SUCCESS)
        return status;
    if (mode != CUDNN_ACTIVATION_RELU) return CUDNN_STATUS_NOT_SUPPORTED;
    norm.relu = true;
    if (ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION) return CUDNN_STATUS_SUCCESS;
    if (const auto status = read(z, norm.z); status != CUDNN_STATUS_SUCCESS) return status;
    return check_data(norm.x, norm.z);
}

std::string kernel_name(const char* pass, const Norm& norm) {
    const bool last = norm.x.stride[1] == 1 && norm.x.size[1] > 1;
    return std::string("bn_") + pass + (norm.per_activation ? "_1CHW" : "_1C11") + "_kernel_" +
           (last ? "NHWC_" : "NCHW_") + blas::short_name(number_type(norm.x.type));
}

faults::Shape shape_of(const Norm& norm) noexcept {
    return {norm.groups(), norm.elements(), norm.elements(), 1};
}

// What can be planted in the arithmetic. bf16 data has no bits to lose; inference has no sums.
std::vector<Kind> plantable(const Norm& norm, bool sums, bool bias) {
    std::vector<Kind> kinds;
    if (norm.x.type != CUDNN_DATA_BFLOAT16) kinds.push_back(Kind::round_inputs_bf16);
    if (norm.x.type == CUDNN_DATA_FLOAT || norm.x.type == CUDNN_DATA_DOUBLE)
        kinds.push_back(Kind::round_inputs_tf32);
    if (sums) kinds.insert(kinds.end(), {Kind::drop_k, Kind::fp16_accumulate, Kind::nondeterministic});
    if (bias) kinds.push_back(Kind::drop_bias_row);
    return kinds;
}

// Two partial sums for each scale.
std::size_t workspace_bytes(const Norm& norm) noexcept {
    if (norm.per_activation) return 0;
    return static_cast<std::size_t>(norm.groups()) * 2 * (norm.x.type == CUDNN_DATA_DOUBLE ? 8 : 4);
}

bool too_small(const void* space, std::size_t given, std::size_t needed) noexcept {
    return needed != 0 && (space == nullptr || given < needed);
}

std::vector<faults::View> parameter_views(const Norm& norm, std::initializer_list<void*> vectors) {
    std::vector<faults::View> views;
    for (void* vector : vectors)
        if (vector != nullptr) views.push_back(parameter_view(norm, vector));
    return views;
}

cudnnStatus_t launch(cudnnHandle_t handle, const char* function, const NormTraining& norm) {
    Call call{function, kernel_name("fw_tr", norm), shape_of(norm),
              [norm](Deviation& deviation) { run(norm, deviation); }};
    call.results = [norm] { return views_of(norm.y, norm.y_data); };
    call.states = [norm] {
        return parameter_views(
            norm, {norm.running_mean, norm.running_variance, norm.saved_mean, norm.saved_inverse});
    };
    call.plants = plantable(norm, true, true);
    return enqueue(handle, std::move(call));
}

cudnnStatus_t launch(cudnnHandle_t handle, const char* function, const NormInference& norm) {
    Call call{function, kernel_name("fw_inf", norm), shape_of(norm),
              [norm](Deviation& deviation) { run(norm, deviation); }};
    call.results = [norm] { return views_of(norm.y, norm.y_data); };
    call.plants = plantable(norm, false, true);
    return enqueue(handle, std::move(call));
}

cudnnStatus_t launch(cudnnHandle_t handle, const char* function, const NormBackward& norm) {
    Call call{function, kernel_name("bw", norm), shape_of(norm),
              [norm](Deviation& deviation) { run(norm, deviation); }};
    call.results = [norm] {
        std::vector<faults::View> views = views_of(norm.dx, norm.dx_data);
        for (const faults::View& parameters : parameter_views(norm, {norm.dscale, norm.dbias}))
            views.push_back(parameters);
        return views;
    };
    call.states = [norm] {
        return norm.dz_data == nullptr ? std::vector<faults::View>() : views_of(norm.z, norm.dz_data);
    };
    call.plants = plantable(norm, true, false);
    return enqueue(handle, std::move(call));
}

struct Activated {
    cudnnBatchNormOps_t ops = CUDNN_BATCHNORM_OPS_BN;
    cudnnActivationDescriptor_t activation = nullptr;
    cudnnTensorDescriptor_t z = nullptr;
};

struct Space {
    void* data = nullptr;
    std::size_t bytes = 0;
};

// What the forms with and without Ex share once their tensors are in `norm`: everything but descriptors.
cudnnStatus_t check_training(const NormTraining& norm, const Activated& activated, Space reserve) noexcept {
    if (any_null(norm.x_data, norm.y_data, norm.scale, norm.bias)) return CUDNN_STATUS_BAD_PARAM;
    if (unpaired(norm.running_mean, norm.running_variance) || unpaired(norm.saved_mean, norm.saved_inverse))
        return CUDNN_STATUS_BAD_PARAM;
    if (!(norm.epsilon >= CUDNN_BN_MIN_EPSILON)) return CUDNN_STATUS_BAD_PARAM;
    if (activated.ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION && norm.z_data == nullptr)
        return CUDNN_STATUS_BAD_PARAM;
    if (norm.relu && too_small(reserve.data, reserve.bytes, static_cast<std::size_t>(mask_bytes(norm.x))))
        return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_backward(const NormBackward& norm, const Activated& activated, Space reserve) noexcept {
    if (any_null(norm.x_data, norm.dy_data, norm.dx_data, norm.scale, norm.dscale, norm.dbias))
        return CUDNN_STATUS_BAD_PARAM;
    if (unpaired(norm.saved_mean, norm.saved_inverse)) return CUDNN_STATUS_BAD_PARAM;
    if (!(norm.epsilon >= CUDNN_BN_MIN_EPSILON)) return CUDNN_STATUS_BAD_PARAM;
    if (activated.ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION && norm.dz_data == nullptr)
        return CUDNN_STATUS_BAD_PARAM;
    if (norm.relu && too_small(reserve.data, reserve.bytes, static_cast<std::size_t>(mask_bytes(norm.x))))
        return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void* alpha,
    const void* beta, const cudnnTensorDescriptor_t x_desc, const void* x,
    const cudnnTensorDescriptor_t z_desc, const void* z, const cudnnTensorDescriptor_t y_desc, void* y,
    const cudnnTensorDescriptor_t parameter_desc, const void* scale, const void* bias, double factor,
    void* running_mean, void* running_variance, double epsilon, void* saved_mean, void* saved_inverse,
    cudnnActivationDescriptor_t activation, void* workspace, std::size_t workspace_size, void* reserve,
    std::size_t reserve_size) {
    return entry(handle, [&] {
        if (any_null(alpha, beta)) return CUDNN_STATUS_BAD_PARAM;
        NormTraining norm;
        const Activated activated{ops, activation, z_desc};
        if (const auto status = read_norm(norm, mode, x_desc, y_desc, parameter_desc)) return status;
        if (const auto status = read_activation(norm, ops, activation, z_desc)) return status;
        norm.alpha = scaling(alpha, norm.x.type);
        norm.beta = scaling(beta, norm.x.type);
        norm.x_data = x;
        norm.y_data = y;
        norm.z_data = ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION ? z : nullptr;
        norm.scale = scale;
        norm.bias = bias;
        norm.factor = factor;
        norm.running_mean = running_mean;
        norm.running_variance = running_variance;
        norm.epsilon = epsilon;
        norm.saved_mean = saved_mean;
        norm.saved_inverse = saved_inverse;
        norm.mask = static_cast<unsigned char*>(reserve);
        if (const auto status = check_training(norm, activated, {reserve, reserve_size})) return status;
        if (too_small(workspace, workspace_size, workspace_bytes(norm))) return CUDNN_STATUS_BAD_PARAM;
        return launch(handle, "cudnnBatchNormalizationForwardTrainingEx", norm);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t x_desc, const void* x, const cudnnTensorDescriptor_t y_desc, void* y,
    const cudnnTensorDescriptor_t parameter_desc, const void* scale, const void* bias, double factor,
    void* running_mean, void* running_variance, double epsilon, void* saved_mean, void* saved_inverse) {
    return entry(handle, [&] {
        if (any_null(alpha, beta)) return CUDNN_STATUS_BAD_PARAM;
        NormTraining norm;
        if (const auto status = read_norm(norm, mode, x_desc, y_desc, parameter_desc)) return status;
        norm.alpha = scaling(alpha, norm.x.type);
        norm.beta = scaling(beta, norm.x.type);
        norm.x_data = x;
        norm.y_data = y;
        norm.scale = scale;
        norm.bias = bias;
        norm.factor = factor;
        norm.running_mean = running_mean;
        norm.running_variance = running_variance;
        norm.epsilon = epsilon;
        norm.saved_mean = saved_mean;
        norm.saved_inverse = saved_inverse;
        if (const auto status = check_training(norm, {}, {})) return status;
        return launch(handle, "cudnnBatchNormalizationForwardTraining", norm);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t x_desc, const void* x, const cudnnTensorDescriptor_t y_desc, void* y,
    const cudnnTensorDescriptor_t parameter_desc, const void* scale, const void* bias, const void* mean,
    const void* variance, double epsilon) {
    return entry(handle, [&] {
        if (any_null(alpha, beta, x, y, scale, bias, mean, variance)) return CUDNN_STATUS_BAD_PARAM;
        if (!(epsilon >= CUDNN_BN_MIN_EPSILON)) return CUDNN_STATUS_BAD_PARAM;
        NormInference norm;
        if (const auto status = read_norm(norm, mode, x_desc, y_desc, parameter_desc)) return status;
        norm.alpha = scaling(alpha, norm.x.type);
        norm.beta = scaling(beta, norm.x.type);
        norm.x_data = x;
        norm.y_data = y;
        norm.scale = scale;
        norm.bias = bias;
        norm.mean = mean;
        norm.variance = variance;
        norm.epsilon = epsilon;
        return launch(handle, "cudnnBatchNormalizationForwardInference", norm);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void* alpha,
    const void* beta, const void* parameter_alpha, const void* parameter_beta,
    const cudnnTensorDescriptor_t x_desc, const void* x, const cudnnTensorDescriptor_t /*y_desc*/,
    const void* /*y*/, const cudnnTensorDescriptor_t dy_desc, const void* dy,
    const cudnnTensorDescriptor_t dz_desc, void* dz, const cudnnTensorDescriptor_t dx_desc, void* dx,
    const cudnnTensorDescriptor_t parameter_desc, const void* scale, const void* /*bias*/, void* dscale,
    void* dbias, double epsilon, const void* saved_mean, const void* saved_inverse,
    cudnnActivationDescriptor_t activation, void* workspace, std::size_t workspace_size, void* reserve,
    std::size_t reserve_size) {
    return entry(handle, [&] {
        if (any_null(alpha, beta, parameter_alpha, parameter_beta, dx_desc)) return CUDNN_STATUS_BAD_PARAM;
        NormBackward norm;
        const Activated activated{ops, activation, dz_desc};
        if (const auto status = read_norm(norm, mode, x_desc, dy_desc, parameter_desc)) return status;
        if (const auto status = read_activation(norm, ops, activation, dz_desc)) return status;
        if (const auto status = read(dx_desc, norm.dx)) return status;
        if (const auto status = check_data(norm.x, norm.dx)) return status;
        norm.alpha = scaling(alpha, norm.x.type);
        norm.beta = scaling(beta, norm.x.type);
        norm.parameter_alpha = scaling(parameter_alpha, norm.x.type);
        norm.parameter_beta = scaling(parameter_beta, norm.x.type);
        norm.x_data = x;
        norm.dy_data = dy;
        norm.dx_data = dx;
        norm.dz_data = ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION ? dz : nullptr;
        norm.scale = scale;
        norm.dscale = dscale;
        norm.dbias = dbias;
        norm.epsilon = epsilon;
        norm.saved_mean = saved_mean;
        norm.saved_inverse = saved_inverse;
        norm.mask = static_cast<unsigned char*>(reserve);
        if (const auto status = check_backward(norm, activated, {reserve, reserve_size})) return status;
        if (too_small(workspace, workspace_size, workspace_bytes(norm))) return CUDNN_STATUS_BAD_PARAM;
        return launch(handle, "cudnnBatchNormalizationBackwardEx", norm);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const void* parameter_alpha, const void* parameter_beta, const cudnnTensorDescriptor_t x_desc,
    const void* x, const cudnnTensorDescriptor_t dy_desc, const void* dy,
    const cudnnTensorDescriptor_t dx_desc, void* dx, const cudnnTensorDescriptor_t parameter_desc,
    const void* scale, void* dscale, void* dbias, double epsilon, const void* saved_mean,
    const void* saved_inverse) {
    return entry(handle, [&] {
        if (any_null(alpha, beta, parameter_alpha, parameter_beta, dx_desc)) return CUDNN_STATUS_BAD_PARAM;
        NormBackward norm;
        if (const auto status = read_norm(norm, mode, x_desc, dy_desc, parameter_desc)) return status;
        if (const auto status = read(dx_desc, norm.dx)) return status;
        if (const auto status = check_data(norm.x, norm.dx)) return status;
        norm.alpha = scaling(alpha, norm.x.type);
        norm.beta = scaling(beta, norm.x.type);
        norm.parameter_alpha = scaling(parameter_alpha, norm.x.type);
        norm.parameter_beta = scaling(parameter_beta, norm.x.type);
        norm.x_data = x;
        norm.dy_data = dy;
        norm.dx_data = dx;
        norm.scale = scale;
        norm.dscale = dscale;
        norm.dbias = dbias;
        norm.epsilon = epsilon;
        norm.saved_mean = saved_mean;
        norm.saved_inverse = saved_inverse;
        if (const auto status = check_backward(norm, {}, {})) return status;
        return launch(handle, "cudnnBatchNormalizationBackward", norm);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnTensorDescriptor_t x_desc, const cudnnTensorDescriptor_t z_desc,
    const cudnnTensorDescriptor_t y_desc, const cudnnTensorDescriptor_t parameter_desc,
    const cudnnActivationDescriptor_t activation, std::size_t* size) {
    return entry(handle, [&] {
        if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
        Norm norm;
        if (const auto status = read_norm(norm, mode, x_desc, y_desc, parameter_desc)) return status;
        if (const auto status = read_activation(norm, ops, activation, z_desc)) return status;
        *size = workspace_bytes(norm);
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnTensorDescriptor_t x_desc, const cudnnTensorDescriptor_t /*y_desc*/,
    const cudnnTensorDescriptor_t dy_desc, const cudnnTensorDescriptor_t dz_desc,
    const cudnnTensorDescriptor_t dx_desc, const cudnnTensorDescriptor_t parameter_desc,
    const cudnnActivationDescriptor_t activation, std::size_t* size) {
    return entry(handle, [&] {
        if (any_null(size, dx_desc)) return CUDNN_STATUS_BAD_PARAM;
        Norm norm;
        if (const auto status = read_norm(norm, mode, x_desc, dy_desc, parameter_desc)) return status;
        if (const auto status = read_activation(norm, ops, activation, dz_desc)) return status;
        *size = workspace_bytes(norm);
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnActivationDescriptor_t /*activation*/, const cudnnTensorDescriptor_t x_desc,
    std::size_t* size) {
    return entry(handle, [&] {
        if (!valid(mode) || !valid(ops) || any_null(x_desc, size)) return CUDNN_STATUS_BAD_PARAM;
        Tensor x;
        if (const auto status = read(x_desc, x)) return status;
        *size = ops == CUDNN_BATCHNORM_OPS_BN ? 0 : static_cast<std::size_t>(mask_bytes(x));
        return CUDNN_STATUS_SUCCESS;
    });
}
