#include "tools/softcuda/blas/handle.h"

#include <library_types.h>

#include "tools/softcuda/core/device.h"

namespace softcuda::blas {

bool valid(cublasHandle_t handle) noexcept {
    return handle != nullptr && handle->magic == cublasContext::alive;
}
bool valid(cublasLtHandle_t handle) noexcept {
    return valid(reinterpret_cast<cublasHandle_t>(handle));
}

bool valid(cublasOperation_t operation) noexcept {
    return operation == CUBLAS_OP_N || operation == CUBLAS_OP_T || operation == CUBLAS_OP_C;
}

cublasStatus_t status_of(cudaError_t error) noexcept {
    switch (error) {
        case cudaSuccess:
            return CUBLAS_STATUS_SUCCESS;
        case cudaErrorMemoryAllocation:
            return CUBLAS_STATUS_ALLOC_FAILED;
        default:
            return CUBLAS_STATUS_EXECUTION_FAILED;
    }
}

Scalar scalar_of(cublasHandle_t handle, const void* value, cudaDataType type) noexcept {
    return handle->pointer_mode == CUBLAS_POINTER_MODE_HOST ? host_scalar(value, type)
                                                            : device_scalar(value, type);
}

Matrix column_major(const void* data, cudaDataType type, std::int64_t ld, cublasOperation_t operation,
                    std::int64_t batch_stride) noexcept {
    Matrix matrix;
    matrix.data = data;
    matrix.type = type;
    matrix.row_stride = operation == CUBLAS_OP_N ? 1 : ld;
    matrix.col_stride = operation == CUBLAS_OP_N ? ld : 1;
    matrix.batch_stride = batch_stride;
    matrix.conjugate = operation == CUBLAS_OP_C && (type == CUDA_C_32F || type == CUDA_C_64F);
    return matrix;
}

namespace {

Arithmetic for_single_precision(cublasComputeType_t compute, unsigned math) noexcept {
    switch (compute) {
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            return Arithmetic::tensor_tf32;
        case CUBLAS_COMPUTE_32F_FAST_16F:
            return Arithmetic::tensor_from_f16;
        case CUBLAS_COMPUTE_32F_FAST_16BF:
            return Arithmetic::tensor_from_bf16;
        case CUBLAS_COMPUTE_32F:
            if (math == CUBLAS_TF32_TENSOR_OP_MATH) return Arithmetic::tensor_tf32;
            if (math == CUBLAS_TENSOR_OP_MATH) return Arithmetic::tensor_from_f16;
            return Arithmetic::f32;
        default:
            return Arithmetic::f32;  // pedantic; emulated with three bf16 parts, which is as exact
    }
}

}  // namespace

Arithmetic arithmetic_for(cublasComputeType_t compute, cudaDataType input, cublasMath_t math) noexcept {
    const unsigned mode = static_cast<unsigned>(math) & 0xfu;  // the rest are flags
    const bool pedantic = mode == CUBLAS_PEDANTIC_MATH;
    switch (compute) {
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return Arithmetic::f64;
        case CUBLAS_COMPUTE_32I:
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return Arithmetic::s32;
        case CUBLAS_COMPUTE_16F:
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return Arithmetic::tensor_f16;
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            return Arithmetic::f32;
        default:
            break;
    }
    switch (input) {
        case CUDA_R_16F:
        case CUDA_R_16BF:
            return pedantic ? Arithmetic::f32 : Arithmetic::tensor_low;
        case CUDA_R_8F_E4M3:
        case CUDA_R_8F_E5M2:
            return Arithmetic::tensor_fp8;
        case CUDA_R_32F:
        case CUDA_C_32F:
            return pedantic ? Arithmetic::f32 : for_single_precision(compute, mode);
        default:
            return Arithmetic::f32;
    }
}

namespace {

template <class Field, class Value>
cublasStatus_t get(cublasHandle_t handle, Field field, Value* value) noexcept {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *value = handle->*field;
    return CUBLAS_STATUS_SUCCESS;
}

template <class Field, class Value>
cublasStatus_t set(cublasHandle_t handle, Field field, Value value, bool is_known) noexcept {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!is_known) return CUBLAS_STATUS_INVALID_VALUE;
    handle->*field = value;
    return CUBLAS_STATUS_SUCCESS;
}

// The library whose headers this is built against, and whose descriptors stay in use.
constexpr int version_major = CUBLAS_VER_MAJOR, version_minor = CUBLAS_VER_MINOR,
              version_patch = CUBLAS_VER_PATCH;

}  // namespace
}  // namespace softcuda::blas

using softcuda::blas::get;
using softcuda::blas::set;
using softcuda::blas::valid;

SOFTCUDA_EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new (std::nothrow) cublasContext;
    return *handle == nullptr ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->magic = 0;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    return cublasCreate_v2(reinterpret_cast<cublasHandle_t*>(handle));
}
SOFTCUDA_EXPORT cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    return cublasDestroy_v2(reinterpret_cast<cublasHandle_t>(handle));
}

SOFTCUDA_EXPORT cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int* version) {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
    if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    switch (type) {
        case MAJOR_VERSION:
            *value = softcuda::blas::version_major;
            break;
        case MINOR_VERSION:
            *value = softcuda::blas::version_minor;
            break;
        case PATCH_LEVEL:
            *value = softcuda::blas::version_patch;
            break;
        default:
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    return CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT size_t cublasGetCudartVersion() {
    return CUDART_VERSION;
}

// Setting a stream gives the handle its default workspace back; there is none here.
SOFTCUDA_EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    return set(handle, &cublasContext::stream, stream, true);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
    return get(handle, &cublasContext::stream, stream);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
    return set(handle, &cublasContext::pointer_mode, mode,
               mode == CUBLAS_POINTER_MODE_HOST || mode == CUBLAS_POINTER_MODE_DEVICE);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
    return get(handle, &cublasContext::pointer_mode, mode);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
    return set(handle, &cublasContext::atomics_mode, mode,
               mode == CUBLAS_ATOMICS_ALLOWED || mode == CUBLAS_ATOMICS_NOT_ALLOWED);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t* mode) {
    return get(handle, &cublasContext::atomics_mode, mode);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    const unsigned low = static_cast<unsigned>(mode) & 0xfu;
    return set(handle, &cublasContext::math_mode, mode,
               low <= CUBLAS_FP32_EMULATED_BF16X9_MATH || low == CUBLAS_FP64_EMULATED_FIXEDPOINT_MATH);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
    return get(handle, &cublasContext::math_mode, mode);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int count) {
    return set(handle, &cublasContext::sm_count_target, count, count >= 0);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetSmCountTarget(cublasHandle_t handle, int* count) {
    return get(handle, &cublasContext::sm_count_target, count);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetEmulationStrategy(cublasHandle_t handle,
                                                          cublasEmulationStrategy_t strategy) {
    return set(handle, &cublasContext::emulation_strategy, strategy,
               strategy <= CUBLAS_EMULATION_STRATEGY_EAGER);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetEmulationStrategy(cublasHandle_t handle,
                                                          cublasEmulationStrategy_t* strategy) {
    return get(handle, &cublasContext::emulation_strategy, strategy);
}
// How fp64 is emulated: kept, and never acted upon, since the sums here are fp64's own.
SOFTCUDA_EXPORT cublasStatus_t
cublasSetEmulationSpecialValuesSupport(cublasHandle_t handle, cudaEmulationSpecialValuesSupport mask) {
    return set(handle, &cublasContext::special_values, mask, true);
}
SOFTCUDA_EXPORT cublasStatus_t
cublasGetEmulationSpecialValuesSupport(cublasHandle_t handle, cudaEmulationSpecialValuesSupport* mask) {
    return get(handle, &cublasContext::special_values, mask);
}
SOFTCUDA_EXPORT cublasStatus_t
cublasSetFixedPointEmulationMantissaControl(cublasHandle_t handle, cudaEmulationMantissaControl control) {
    return set(handle, &cublasContext::mantissa_control, control, true);
}
SOFTCUDA_EXPORT cublasStatus_t
cublasGetFixedPointEmulationMantissaControl(cublasHandle_t handle, cudaEmulationMantissaControl* control) {
    return get(handle, &cublasContext::mantissa_control, control);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetFixedPointEmulationMaxMantissaBitCount(cublasHandle_t handle,
                                                                               int bits) {
    return set(handle, &cublasContext::most_mantissa_bits, bits, bits >= 0);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetFixedPointEmulationMaxMantissaBitCount(cublasHandle_t handle,
                                                                               int* bits) {
    return get(handle, &cublasContext::most_mantissa_bits, bits);
}
SOFTCUDA_EXPORT cublasStatus_t cublasSetFixedPointEmulationMantissaBitOffset(cublasHandle_t handle,
                                                                             int offset) {
    return set(handle, &cublasContext::mantissa_bit_offset, offset, true);
}
SOFTCUDA_EXPORT cublasStatus_t cublasGetFixedPointEmulationMantissaBitOffset(cublasHandle_t handle,
                                                                             int* offset) {
    return get(handle, &cublasContext::mantissa_bit_offset, offset);
}
// Workspaces are never used; the arguments are checked as the library checks them.
SOFTCUDA_EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t) {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    return reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0 ? CUBLAS_STATUS_SUCCESS
                                                                  : CUBLAS_STATUS_INVALID_VALUE;
}
