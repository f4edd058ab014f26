// The handle behind cublasHandle_t and cublasLtHandle_t, and what every entry point does with it.
#pragma once
#include <cublasLt.h>
#include <cublas_v2.h>

#include <cstdint>
#include <new>

#include "tools/softcuda/blas/gemm.h"

#define SOFTCUDA_EXPORT extern "C" __attribute__((visibility("default")))

// cuBLASLt accepts a cublasHandle_t cast to its own handle type, so one struct serves both.
struct cublasContext {
    std::uint64_t magic = alive;
    cudaStream_t stream = nullptr;
    cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
    cublasAtomicsMode_t atomics_mode = CUBLAS_ATOMICS_NOT_ALLOWED;
    cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
    int sm_count_target = 0;
    cublasEmulationStrategy_t emulation_strategy = CUBLAS_EMULATION_STRATEGY_DEFAULT;
    cudaEmulationSpecialValuesSupport special_values = CUDA_EMULATION_SPECIAL_VALUES_SUPPORT_DEFAULT;
    cudaEmulationMantissaControl mantissa_control = CUDA_EMULATION_MANTISSA_CONTROL_DYNAMIC;
    int most_mantissa_bits = 0, mantissa_bit_offset = 0;

    static constexpr std::uint64_t alive = 0x736f667463756461;  // what a live handle starts with
};

namespace softcuda::blas {

bool valid(cublasHandle_t handle) noexcept;
bool valid(cublasLtHandle_t handle) noexcept;
cublasStatus_t status_of(cudaError_t error) noexcept;

// The body of an entry point: no exception leaves a C function.
template <class Body>
cublasStatus_t guarded(cublasHandle_t handle, Body&& body) noexcept {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return CUBLAS_STATUS_ALLOC_FAILED;
    } catch (...) {
        return CUBLAS_STATUS_INTERNAL_ERROR;
    }
}

// alpha or beta as the handle's pointer mode has it. The pointer must not be null.
Scalar scalar_of(cublasHandle_t handle, const void* value, cudaDataType type) noexcept;

bool valid(cublasOperation_t operation) noexcept;

// The matrix after op(), of a column-major one with leading dimension ld.
Matrix column_major(const void* data, cudaDataType type, std::int64_t ld, cublasOperation_t operation,
                    std::int64_t batch_stride = 0) noexcept;

template <class T>
struct TypeOf;
template <>
struct TypeOf<float> {
    static constexpr cudaDataType value = CUDA_R_32F;
};
template <>
struct TypeOf<double> {
    static constexpr cudaDataType value = CUDA_R_64F;
};
template <>
struct TypeOf<cuComplex> {
    static constexpr cudaDataType value = CUDA_C_32F;
};
template <>
struct TypeOf<cuDoubleComplex> {
    static constexpr cudaDataType value = CUDA_C_64F;
};
template <class T>
inline constexpr cudaDataType type_of = TypeOf<T>::value;

// The arithmetic that cuBLAS uses for `input` data under a compute type, with the handle's math mode where
// there is one.
Arithmetic arithmetic_for(cublasComputeType_t compute, cudaDataType input, cublasMath_t math) noexcept;

}  // namespace softcuda::blas
