// cuDNN's pooling, softmax, activations and element by element operations. Errors are those that cuDNN's
// documentation of each function lists.
#include <string>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/layers.h"
#include "tools/softcuda/dnn/legacy/real_function.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;
using Descriptor = cudnnTensorDescriptor_t;

cudnnStatus_t read(Descriptor descriptor, const void* data, Operand& operand) noexcept {
    if (descriptor == nullptr || data == nullptr) return CUDNN_STATUS_BAD_PARAM;
    operand.data = data;
    return read(descriptor, operand.tensor);
}

cudnnStatus_t read(Descriptor descriptor, void* data, const void* alpha, const void* beta,
                   Result& result) noexcept {
    if (descriptor == nullptr || data == nullptr || alpha == nullptr || beta == nullptr)
        return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = read(descriptor, result.tensor)) return status;
    result.data = data;
    result.alpha = scaling(alpha, result.tensor.type);
    result.beta = scaling(beta, result.tensor.type);
    return CUDNN_STATUS_SUCCESS;
}

bool alike(const Tensor& a, const Tensor& b) noexcept {
    return a.same_sizes(b) && a.type == b.type;
}

template <class Layer>
cudnnStatus_t launch(cudnnHandle_t handle, const char* function, const char* kernel, const Layer& layer,
                     const Result& out, void (*run)(const Layer&, Deviation&), bool sums) {
    const Tensor& tensor = out.tensor;
    const std::int64_t channels = tensor.rank > 1 ? tensor.size[1] : 1;
    Call call{function,
              std::string(kernel) + "_" + blas::short_name(number_type(tensor.type)),
              {channels, tensor.count() / channels / tensor.size[0], 1, tensor.size[0]},
              [layer, run](Deviation& deviation) { run(layer, deviation); }};
    call.results = [out] { return views_of(out.tensor, out.data); };
    const bool wide = tensor.type == CUDNN_DATA_FLOAT || tensor.type == CUDNN_DATA_DOUBLE;
    if (wide) call.plants.push_back(Kind::round_inputs_tf32);
    if (wide || tensor.type == CUDNN_DATA_HALF) call.plants.push_back(Kind::round_inputs_bf16);
    if (sums) call.plants.push_back(Kind::drop_k);
    return enqueue(handle, std::move(call));
}

// ------------------------------------------------------------------------------------------------ pooling
cudnnStatus_t read_descriptor(cudnnPoolingDescriptor_t descriptor, Pool& pool) noexcept {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetPoolingNdDescriptor);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnPoolingMode_t mode{};
    cudnnNanPropagation_t nan{};
    int window[3] = {}, padding[3] = {}, stride[3] = {};
    if (const auto status = get(descriptor, 3, &mode, &nan, &pool.spatial, window, padding, stride))
        return status;
    if (pool.spatial > 3) return CUDNN_STATUS_NOT_SUPPORTED;
    pool.mode = mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING   ? PoolMode::average_with_padding
                : mode == CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING ? PoolMode::average_without_padding
                                                                      : PoolMode::max;
    pool.propagates_nan = nan == CUDNN_PROPAGATE_NAN;
    for (int i = 0; i < pool.spatial; ++i) {
        pool.window[i] = window[i];
        pool.padding[i] = padding[i];
        pool.stride[i] = stride[i];
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_pool(const Pool& pool, const Tensor& x, const Tensor& y) noexcept {
    if (x.type != y.type || x.rank != y.rank || x.size[0] != y.size[0] || x.size[1] != y.size[1])
        return CUDNN_STATUS_BAD_PARAM;
    if (x.rank != pool.spatial + 2) return CUDNN_STATUS_BAD_PARAM;
    for (int i = 0; i < pool.spatial; ++i) {
        const std::int64_t room = x.size[2 + i] + 2 * pool.padding[i] - pool.window[i];
        if (room < 0 || y.size[2 + i] != 1 + room / pool.stride[i]) return CUDNN_STATUS_BAD_PARAM;
    }
    return CUDNN_STATUS_SUCCESS;
}

// ----------------------------------------------------------------------------------------- softmax,
// activation
cudnnStatus_t read_softmax(Softmax& softmax, cudnnSoftmaxAlgorithm_t algorithm,
                           cudnnSoftmaxMode_t mode) noexcept {
    if (algorithm != CUDNN_SOFTMAX_FAST && algorithm != CUDNN_SOFTMAX_ACCURATE &&
        algorithm != CUDNN_SOFTMAX_LOG)
        return CUDNN_STATUS_BAD_PARAM;
    if (mode != CUDNN_SOFTMAX_MODE_INSTANCE && mode != CUDNN_SOFTMAX_MODE_CHANNEL)
        return CUDNN_STATUS_BAD_PARAM;
    softmax.algorithm = algorithm;
    softmax.whole_instance = mode == CUDNN_SOFTMAX_MODE_INSTANCE;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t read_descriptor(cudnnActivationDescriptor_t descriptor, Activation& activation) noexcept {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetActivationDescriptor);
    const auto get_beta = SOFTCUDA_REAL_CUDNN(cudnnGetActivationDescriptorSwishBeta);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr || get_beta == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnNanPropagation_t nan{};
    if (const auto status = get(descriptor, &activation.mode, &nan, &activation.coefficient)) return status;
    activation.propagates_nan = nan == CUDNN_PROPAGATE_NAN;
    return activation.mode == CUDNN_ACTIVATION_SWISH ? get_beta(descriptor, &activation.coefficient)
                                                     : CUDNN_STATUS_SUCCESS;
}

// ------------------------------------------------------------------------------------------- element by
// element A size of the operand is the result's, or 1.
cudnnStatus_t check_repeated(const Tensor& operand, const Tensor& out) noexcept {
    if (operand.rank != out.rank || operand.type != out.type) return CUDNN_STATUS_BAD_PARAM;
    for (int i = 0; i < out.rank; ++i)
        if (operand.size[i] != out.size[i] && operand.size[i] != 1) return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t read_operation(cudnnOpTensorDescriptor_t descriptor, Elementwise& operation) noexcept {
    using Op = Elementwise::Op;
    constexpr Op ops[] = {Op::add, Op::multiply, Op::minimum, Op::maximum, Op::root, Op::one_minus};
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetOpTensorDescriptor);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnOpTensorOp_t op{};
    cudnnDataType_t type{};
    cudnnNanPropagation_t nan{};
    if (const auto status = get(descriptor, &op, &type, &nan)) return status;
    if (op < CUDNN_OP_TENSOR_ADD || op > CUDNN_OP_TENSOR_NOT) return CUDNN_STATUS_BAD_PARAM;
    operation.op = ops[op];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t launch_elementwise(cudnnHandle_t handle, const char* function, const Elementwise& operation) {
    if (!is_real(operation.out.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
    return launch<Elementwise>(handle, function, "op_tensor_kernel", operation, operation.out, run, false);
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle,
                                                      const cudnnPoolingDescriptor_t descriptor,
                                                      const void* alpha, const Descriptor x_desc,
                                                      const void* x, const void* beta,
                                                      const Descriptor y_desc, void* y) {
    return entry(handle, [&] {
        Pool pool;
        if (const auto status = read_descriptor(descriptor, pool)) return status;
        if (const auto status = read(x_desc, x, pool.x)) return status;
        if (const auto status = read(y_desc, y, alpha, beta, pool.out)) return status;
        if (const auto status = check_pool(pool, pool.x.tensor, pool.out.tensor)) return status;
        if (!is_real(pool.x.tensor.type) && pool.x.tensor.type != CUDNN_DATA_INT8)
            return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Pool>(handle, "cudnnPoolingForward", "pooling_fw_4d_kernel", pool, pool.out,
                            run_forward, true);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle,
                                                       const cudnnPoolingDescriptor_t descriptor,
                                                       const void* alpha, const Descriptor y_desc,
                                                       const void* y, const Descriptor dy_desc,
                                                       const void* dy, const Descriptor x_desc, const void* x,
                                                       const void* beta, const Descriptor dx_desc, void* dx) {
    return entry(handle, [&] {
        Pool pool;
        Operand output;
        if (const auto status = read_descriptor(descriptor, pool)) return status;
        if (const auto status = read(y_desc, y, output)) return status;
        if (const auto status = read(dy_desc, dy, pool.dy)) return status;
        if (const auto status = read(x_desc, x, pool.x)) return status;
        if (const auto status = read(dx_desc, dx, alpha, beta, pool.out)) return status;
        if (const auto status = check_pool(pool, pool.x.tensor, output.tensor)) return status;
        if (!alike(output.tensor, pool.dy.tensor) || !alike(pool.x.tensor, pool.out.tensor))
            return CUDNN_STATUS_BAD_PARAM;
        if (!is_real(pool.x.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Pool>(handle, "cudnnPoolingBackward", "pooling_bw_kernel", pool, pool.out, run_backward,
                            pool.mode != PoolMode::max);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                                                      cudnnSoftmaxMode_t mode, const void* alpha,
                                                      const Descriptor x_desc, const void* x,
                                                      const void* beta, const Descriptor y_desc, void* y) {
    return entry(handle, [&] {
        Softmax softmax;
        if (const auto status = read_softmax(softmax, algorithm, mode)) return status;
        if (const auto status = read(x_desc, x, softmax.x)) return status;
        if (const auto status = read(y_desc, y, alpha, beta, softmax.out)) return status;
        if (!alike(softmax.x.tensor, softmax.out.tensor)) return CUDNN_STATUS_BAD_PARAM;
        if (!is_real(softmax.x.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Softmax>(handle, "cudnnSoftmaxForward", "softmax_fw_kernel", softmax, softmax.out,
                               run_forward, true);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSoftmaxBackward(cudnnHandle_t handle,
                                                       cudnnSoftmaxAlgorithm_t algorithm,
                                                       cudnnSoftmaxMode_t mode, const void* alpha,
                                                       const Descriptor y_desc, const void* y,
                                                       const Descriptor dy_desc, const void* dy,
                                                       const void* beta, const Descriptor dx_desc, void* dx) {
    return entry(handle, [&] {
        Softmax softmax;
        if (const auto status = read_softmax(softmax, algorithm, mode)) return status;
        if (const auto status = read(y_desc, y, softmax.x)) return status;
        if (const auto status = read(dy_desc, dy, softmax.dy)) return status;
        if (const auto status = read(dx_desc, dx, alpha, beta, softmax.out)) return status;
        if (!alike(softmax.x.tensor, softmax.out.tensor) || !alike(softmax.dy.tensor, softmax.out.tensor))
            return CUDNN_STATUS_BAD_PARAM;
        if (!is_real(softmax.x.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Softmax>(handle, "cudnnSoftmaxBackward", "softmax_bw_kernel", softmax, softmax.out,
                               run_backward, true);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnActivationForward(cudnnHandle_t handle,
                                                         cudnnActivationDescriptor_t descriptor,
                                                         const void* alpha, const Descriptor x_desc,
                                                         const void* x, const void* beta,
                                                         const Descriptor y_desc, void* y) {
    return entry(handle, [&] {
        Activation activation;
        if (const auto status = read_descriptor(descriptor, activation)) return status;
        if (const auto status = read(x_desc, x, activation.x)) return status;
        if (const auto status = read(y_desc, y, alpha, beta, activation.out)) return status;
        if (!alike(activation.x.tensor, activation.out.tensor)) return CUDNN_STATUS_BAD_PARAM;
        if (!is_real(activation.x.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Activation>(handle, "cudnnActivationForward", "activation_fw_4d_kernel", activation,
                                  activation.out, run_forward, false);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnActivationBackward(
    cudnnHandle_t handle, cudnnActivationDescriptor_t descriptor, const void* alpha, const Descriptor y_desc,
    const void* y, const Descriptor dy_desc, const void* dy, const Descriptor x_desc, const void* x,
    const void* beta, const Descriptor dx_desc, void* dx) {
    return entry(handle, [&] {
        Activation activation;
        if (const auto status = read_descriptor(descriptor, activation)) return status;
        if (const auto status = read(y_desc, y, activation.y)) return status;
        if (const auto status = read(dy_desc, dy, activation.dy)) return status;
        if (const auto status = read(x_desc, x, activation.x)) return status;
        if (const auto status = read(dx_desc, dx, alpha, beta, activation.out)) return status;
        const Tensor& shape = activation.out.tensor;
        if (!alike(activation.x.tensor, shape) || !alike(activation.y.tensor, shape) ||
            !alike(activation.dy.tensor, shape))
            return CUDNN_STATUS_BAD_PARAM;
        if (!is_real(shape.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch<Activation>(handle, "cudnnActivationBackward", "activation_bw_4d_kernel", activation,
                                  activation.out, run_backward, false);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSetTensor(cudnnHandle_t handle, const Descriptor y_desc, void* y,
                                                 const void* value) {
    return entry(handle, [&] {
        if (y_desc == nullptr || y == nullptr || value == nullptr) return CUDNN_STATUS_BAD_PARAM;
        Elementwise operation;
        operation.op = Elementwise::Op::set;
        if (const auto status = read(y_desc, operation.out.tensor)) return status;
        if (!is_real(operation.out.tensor.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        operation.out.data = y;
        // The value is of the tensor's own type.
        visit_real(operation.out.tensor.type, [&](auto stored, auto) {
            stored = *static_cast<const decltype(stored)*>(value);
            operation.value = static_cast<double>(softcuda::blas::load(stored));
        });
        return launch_elementwise(handle, "cudnnSetTensor", operation);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnScaleTensor(cudnnHandle_t handle, const Descriptor y_desc, void* y,
                                                   const void* alpha) {
    return entry(handle, [&] {
        Elementwise operation;
        if (const auto status = read(y_desc, y, alpha, alpha, operation.out)) return status;
        operation.a = {operation.out.tensor, y};
        operation.out.beta = 0;
        return launch_elementwise(handle, "cudnnScaleTensor", operation);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnTransformTensor(cudnnHandle_t handle, const void* alpha,
                                                       const Descriptor x_desc, const void* x,
                                                       const void* beta, const Descriptor y_desc, void* y) {
    return entry(handle, [&] {
        Elementwise operation;
        if (const auto status = read(x_desc, x, operation.a)) return status;
        if (const auto status = read(y_desc, y, alpha, beta, operation.out)) return status;
        if (!operation.a.tensor.same_sizes(operation.out.tensor)) return CUDNN_STATUS_BAD_PARAM;
        if (operation.a.tensor.type != operation.out.tensor.type) return CUDNN_STATUS_NOT_SUPPORTED;
        return launch_elementwise(handle, "cudnnTransformTensor", operation);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void* alpha,
                                                 const Descriptor a_desc, const void* a, const void* beta,
                                                 const Descriptor c_desc, void* c) {
    return entry(handle, [&] {
        Elementwise operation;
        if (const auto status = read(a_desc, a, operation.a)) return status;
        if (const auto status = read(c_desc, c, alpha, beta, operation.out)) return status;
        if (const auto status = check_repeated(operation.a.tensor, operation.out.tensor)) return status;
        return launch_elementwise(handle, "cudnnAddTensor", operation);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnOpTensor(cudnnHandle_t handle,
                                                const cudnnOpTensorDescriptor_t descriptor,
                                                const void* alpha_a, const Descriptor a_desc, const void* a,
                                                const void* alpha_b, const Descriptor b_desc, const void* b,
                                                const void* beta, const Descriptor c_desc, void* c) {
    return entry(handle, [&] {
        Elementwise operation;
        if (const auto status = read_operation(descriptor, operation)) return status;
        const bool one_operand =
            operation.op == Elementwise::Op::root || operation.op == Elementwise::Op::one_minus;
        if (alpha_a == nullptr || (!one_operand && alpha_b == nullptr)) return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = read(a_desc, a, operation.a)) return status;
        if (const auto status = read(c_desc, c, alpha_a, beta, operation.out)) return status;
        if (!alike(operation.a.tensor, operation.out.tensor)) return CUDNN_STATUS_BAD_PARAM;
        operation.alpha_a = operation.out.alpha;
        operation.out.alpha = 1;
        if (!one_operand) {
            if (const auto status = read(b_desc, b, operation.b)) return status;
            if (const auto status = check_repeated(operation.b.tensor, operation.out.tensor)) return status;
            operation.alpha_b = scaling(alpha_b, operation.out.tensor.type);
        }
        return launch_elementwise(handle, "cudnnOpTensor", operation);
    });
}
