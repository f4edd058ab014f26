// Batch normalization: training, inference and backward, plain and fused (Ex).
#include "cupti_hook/libraries/cudnn_legacy.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

struct Parameters {
    cudnnTensorDescriptor_t descriptor;
    Call& call;
    DnnCall& dnn;
    void add(DnnRole role, const void* data) const noexcept { add_tensor(call, dnn, role, descriptor, data); }
};

void set_mode(DnnCall& dnn, cudnnBatchNormMode_t mode, double epsilon) noexcept {
    dnn.norm.per_activation = mode == CUDNN_BATCHNORM_PER_ACTIVATION;
    dnn.norm.epsilon = epsilon;
}

void set_operations(Call& call, DnnCall& dnn, cudnnBatchNormOps_t operations,
                    cudnnActivationDescriptor_t activation) noexcept {
    dnn.norm.relu = operations != CUDNN_BATCHNORM_OPS_BN;
    dnn.norm.add = operations == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION;
    if (!dnn.norm.relu) return;
    cudnnActivationMode_t mode{};
    cudnnNanPropagation_t nan{};
    double coefficient = 0;
    const auto get = cudnn_api()->cudnnGetActivationDescriptor;
    if (get == nullptr || get(activation, &mode, &nan, &coefficient) != CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    if (mode != CUDNN_ACTIVATION_RELU) refuse(call, "no reference for this activation behind a batch norm");
}

void training_ex(Call& call, cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t operations,
                 const void* alpha, const void* beta, cudnnTensorDescriptor_t x_desc, const void* x,
                 cudnnTensorDescriptor_t z_desc, const void* z, cudnnTensorDescriptor_t y_desc, void* y,
                 cudnnTensorDescriptor_t parameters, const void* scale, const void* bias, double factor,
                 void* running_mean, void* running_variance, double epsilon, void* saved_mean,
                 void* saved_inverse_variance, cudnnActivationDescriptor_t activation, void*, std::size_t,
                 void*, std::size_t) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::batch_norm_forward);
    if (dnn == nullptr) return;
    set_mode(*dnn, mode, epsilon);
    set_operations(call, *dnn, operations, activation);
    dnn->norm.factor = factor;
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    if (dnn->norm.add) add_tensor(call, *dnn, DnnRole::z, z_desc, z);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    const Parameters of{parameters, call, *dnn};
    of.add(DnnRole::scale, scale);
    of.add(DnnRole::bias, bias);
    of.add(DnnRole::mean, running_mean);
    of.add(DnnRole::variance, running_variance);
    of.add(DnnRole::saved_mean, saved_mean);
    of.add(DnnRole::saved_inverse_variance, saved_inverse_variance);
    set_scalars(*dnn, alpha, beta);
}

void training(Call& call, cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha,
              const void* beta, cudnnTensorDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t y_desc,
              void* y, cudnnTensorDescriptor_t parameters, const void* scale, const void* bias, double factor,
              void* running_mean, void* running_variance, double epsilon, void* saved_mean,
              void* saved_inverse_variance) noexcept {
    training_ex(call, handle, mode, CUDNN_BATCHNORM_OPS_BN, alpha, beta, x_desc, x, nullptr, nullptr, y_desc,
                y, parameters, scale, bias, factor, running_mean, running_variance, epsilon, saved_mean,
                saved_inverse_variance, nullptr, nullptr, 0, nullptr, 0);
}

void inference(Call& call, cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha,
               const void* beta, cudnnTensorDescriptor_t x_desc, const void* x,
               cudnnTensorDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t parameters, const void* scale,
               const void* bias, const void* mean, const void* variance, double epsilon) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::batch_norm_inference);
    if (dnn == nullptr) return;
    set_mode(*dnn, mode, epsilon);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    const Parameters of{parameters, call, *dnn};
    of.add(DnnRole::scale, scale);
    of.add(DnnRole::bias, bias);
    of.add(DnnRole::mean, mean);
    of.add(DnnRole::variance, variance);
    set_scalars(*dnn, alpha, beta);
}

void backward_ex(Call& call, cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t operations,
                 const void* alpha, const void* beta, const void* param_alpha, const void* param_beta,
                 cudnnTensorDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t y_desc, const void* y,
                 cudnnTensorDescriptor_t dy_desc, const void* dy, cudnnTensorDescriptor_t dz_desc, void* dz,
                 cudnnTensorDescriptor_t dx_desc, void* dx, cudnnTensorDescriptor_t parameters,
                 const void* scale, const void* bias, void* dscale, void* dbias, double epsilon,
                 const void* saved_mean, const void* saved_inverse_variance,
                 cudnnActivationDescriptor_t activation, void*, std::size_t, void*, std::size_t) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::batch_norm_backward);
    if (dnn == nullptr) return;
    set_mode(*dnn, mode, epsilon);
    set_operations(call, *dnn, operations, activation);
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    if (dnn->norm.relu) add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    if (dnn->norm.add) add_tensor(call, *dnn, DnnRole::dz, dz_desc, dz);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    const Parameters of{parameters, call, *dnn};
    of.add(DnnRole::scale, scale);
    if (dnn->norm.relu) of.add(DnnRole::bias, bias);
    of.add(DnnRole::dscale, dscale);
    of.add(DnnRole::dbias, dbias);
    of.add(DnnRole::saved_mean, saved_mean);
    of.add(DnnRole::saved_inverse_variance, saved_inverse_variance);
    set_scalars(*dnn, alpha, beta);
    dnn->norm.param_alpha = host_scalar(param_alpha, dnn->tensors[0].type, 1);
    dnn->norm.param_beta = host_scalar(param_beta, dnn->tensors[0].type, 0);
}

void backward(Call& call, cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha,
              const void* beta, const void* param_alpha, const void* param_beta,
              cudnnTensorDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t dy_desc, const void* dy,
              cudnnTensorDescriptor_t dx_desc, void* dx, cudnnTensorDescriptor_t parameters,
              const void* scale, void* dscale, void* dbias, double epsilon, const void* saved_mean,
              const void* saved_inverse_variance) noexcept {
    backward_ex(call, handle, mode, CUDNN_BATCHNORM_OPS_BN, alpha, beta, param_alpha, param_beta, x_desc, x,
                nullptr, nullptr, dy_desc, dy, nullptr, nullptr, dx_desc, dx, parameters, scale, nullptr,
                dscale, dbias, epsilon, saved_mean, saved_inverse_variance, nullptr, nullptr, 0, nullptr, 0);
}

// cudnnNormalization*: the newer form of the same, which torch does not call.
template <class... Args>
void traced(Call& call, cudnnHandle_t handle, const Args&...) noexcept {
    if (begin_dnn(call, handle, DnnOperation::other) != nullptr) call.not_checkable = no_reference;
}

// clang-format off
#define FUMI_NORM_FUNCTIONS(X) \
    X(cudnnBatchNormalizationForwardTraining, training) X(cudnnBatchNormalizationForwardTrainingEx, training_ex) \
    X(cudnnBatchNormalizationForwardInference, inference) \
    X(cudnnBatchNormalizationBackward, backward) X(cudnnBatchNormalizationBackwardEx, backward_ex) \
    X(cudnnNormalizationForwardTraining, traced) X(cudnnNormalizationForwardInference, traced) \
    X(cudnnNormalizationBackward, traced)
// clang-format on
FUMI_NORM_FUNCTIONS(FUMI_CUDNN_TAG)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cudnn_soname)
const interpose::Hook hooks[] = {FUMI_NORM_FUNCTIONS(FUMI_LINE)};

}  // namespace

std::span<const interpose::Hook> cudnn_norm_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
