// From the arguments of cuBLAS functions to a Call.
#pragma once
#include <cublas_api.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cupti_hook/libraries/call.h"

namespace fumi::libraries {

template <class T>
inline constexpr DataType data_type_of = DataType::none;
template <>
inline constexpr DataType data_type_of<float> = DataType::f32;
template <>
inline constexpr DataType data_type_of<double> = DataType::f64;
template <>
inline constexpr DataType data_type_of<cuComplex> = DataType::c32;
template <>
inline constexpr DataType data_type_of<cuDoubleComplex> = DataType::c64;
template <>
inline constexpr DataType data_type_of<__half> = DataType::f16;
template <>
inline constexpr DataType data_type_of<__nv_bfloat16> = DataType::bf16;

// The compute type that a function without such an argument stands for.
cublasComputeType_t default_compute_type(DataType type) noexcept;
// The type of alpha and beta: by the compute type, complex where the matrices are.
DataType scalar_type(std::int32_t compute_type, DataType matrix) noexcept;
// alpha or beta, which lies on the host or the device.
ScalarValue read_scalar(const void* where, DataType type, bool on_device) noexcept;

// Library, handle, stream and math mode. Returns false, and sets the reason, where the Get functions are not
// there.
bool decode_handle(Call& call, cublasHandle_t handle) noexcept;

// C = alpha op(A) op(B) + beta C, column-major. batch matrices lie `stride` elements apart, or behind arrays
// of pointers.
struct GemmArguments {
    cublasOperation_t op_a, op_b;
    std::int64_t m, n, k;
    const void* alpha;
    const void* a;
    std::int64_t lda;
    const void* b;
    std::int64_t ldb;
    const void* beta;
    const void* c;
    std::int64_t ldc;
    DataType type_a, type_b, type_c, type_scalar;
    std::int32_t compute_type;
    std::int32_t algorithm = -1;
    std::int64_t batch = 1;
    std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;
    bool pointer_arrays = false;
};
void decode_gemm(Call& call, cublasHandle_t handle, const GemmArguments& arguments) noexcept;

// y = alpha op(A) x + beta y. A is m x n before op. Negative increments run from the other end, as BLAS has
// it.
struct GemvArguments {
    cublasOperation_t op;
    std::int64_t m, n;
    const void* alpha;
    const void* a;
    std::int64_t lda;
    const void* x;
    std::int64_t incx;
    const void* beta;
    const void* y;
    std::int64_t incy;
    DataType type_a, type_y, type_scalar;
    std::int64_t batch = 1;
    std::int64_t stride_a = 0, stride_x = 0, stride_y = 0;
    bool pointer_arrays = false;
};
void decode_gemv(Call& call, cublasHandle_t handle, const GemvArguments& arguments) noexcept;

// result = op(x) . y
struct DotArguments {
    std::int64_t n;
    const void* x;
    std::int64_t incx;
    const void* y;
    std::int64_t incy;
    const void* result;
    DataType type_x, type_y, type_result;
    std::int32_t compute_type;
    bool conjugate;
};
void decode_dot(Call& call, cublasHandle_t handle, const DotArguments& arguments) noexcept;

}  // namespace fumi::libraries
