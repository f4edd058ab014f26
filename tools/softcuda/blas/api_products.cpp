// Matrix-vector, scalar and outer products: matrix products of one column, of one element, of depth one.
#include <string>

#include "tools/softcuda/blas/gemm_call.h"
#include "tools/softcuda/blas/vector.h"

namespace softcuda::blas {
namespace {

Arithmetic plain(cudaDataType type) noexcept {
    return type == CUDA_R_64F || type == CUDA_C_64F ? Arithmetic::f64 : Arithmetic::f32;
}

Scalar constant(double value, cudaDataType type) noexcept {
    Scalar scalar;
    scalar.type = type;
    if (type == CUDA_R_64F || type == CUDA_C_64F) {
        std::memcpy(scalar.value, &value, sizeof value);
    } else {
        const auto single = static_cast<float>(value);
        std::memcpy(scalar.value, &single, sizeof single);
    }
    return scalar;
}

struct GemvSize {
    std::int64_t m, n, batch = 1;
};
struct VectorAt {
    const void* data;
    std::int64_t increment, stride = 0;
};

// y = alpha op(A) x + beta y
cublasStatus_t gemv(const char* function, cublasHandle_t handle, cublasOperation_t operation, GemvSize size,
                    const void* alpha, Stored a, VectorAt x, const void* beta, VectorAt y,
                    bool pointer_array = false) noexcept {
    return guarded(handle, [&] {
        if (!valid(operation) || size.m < 0 || size.n < 0 || size.batch < 0 ||
            a.ld < std::max<std::int64_t>(1, size.m) || x.increment == 0 || y.increment == 0)
            return CUBLAS_STATUS_INVALID_VALUE;
        if (size.m == 0 || size.n == 0 || size.batch == 0) return CUBLAS_STATUS_SUCCESS;
        if (alpha == nullptr || beta == nullptr || a.data == nullptr || x.data == nullptr ||
            y.data == nullptr)
            return CUBLAS_STATUS_INVALID_VALUE;
        // The far end of a reversed vector cannot be told to a pointer that is read on the device only.
        if (pointer_array && (x.increment < 0 || y.increment < 0)) return CUBLAS_STATUS_NOT_SUPPORTED;
        Gemm gemm;
        gemm.function = function;
        gemm.kind = "gemv";
        gemm.m = operation == CUBLAS_OP_N ? size.m : size.n;
        gemm.n = 1;
        gemm.k = operation == CUBLAS_OP_N ? size.n : size.m;
        gemm.batch = size.batch;
        gemm.a = column_major(a.data, a.type, a.ld, operation, a.stride);
        gemm.b = vector_column(x.data, a.type, gemm.k, x.increment);
        gemm.b.batch_stride = x.stride;
        gemm.c = vector_column(y.data, a.type, gemm.m, y.increment);
        gemm.c.batch_stride = y.stride;
        gemm.a.pointer_array = gemm.b.pointer_array = gemm.c.pointer_array = pointer_array;
        gemm.d = gemm.c;
        gemm.alpha = scalar_of(handle, alpha, a.type);
        gemm.beta = scalar_of(handle, beta, a.type);
        gemm.arithmetic = plain(a.type);
        return status_of(launch(handle->stream, std::move(gemm)));
    });
}

// result = sum x_i y_i, x conjugated where asked. An empty sum is zero.
cublasStatus_t dot(const char* function, cublasHandle_t handle, std::int64_t n, const void* x,
                   std::int64_t incx, const void* y, std::int64_t incy, void* result, cudaDataType type,
                   cudaDataType result_type, bool conjugate) noexcept {
    return guarded(handle, [&] {
        if (result == nullptr || (n > 0 && (x == nullptr || y == nullptr)))
            return CUBLAS_STATUS_INVALID_VALUE;
        Gemm gemm;
        gemm.function = function;
        gemm.kind = "dot";
        gemm.m = gemm.n = 1;
        gemm.k = std::max<std::int64_t>(n, 0);
        gemm.a = vector_column(x, type, gemm.k, incx);
        std::swap(gemm.a.row_stride, gemm.a.col_stride);  // a row
        gemm.a.conjugate = conjugate;
        gemm.b = vector_column(y, type, gemm.k, incy);
        gemm.d.data = result;
        gemm.d.type = result_type;
        gemm.c = gemm.d;
        const cudaDataType scale = type == CUDA_R_16F || type == CUDA_R_16BF ? CUDA_R_32F : type;
        gemm.alpha = constant(1, scale);
        gemm.beta = constant(0, scale);
        gemm.arithmetic = plain(type);
        const cudaStream_t stream = handle->stream;
        const bool wait = handle->pointer_mode == CUBLAS_POINTER_MODE_HOST;
        cudaError_t error = launch(stream, std::move(gemm));
        if (error == cudaSuccess && wait) error = synchronize(stream);
        return status_of(error);
    });
}

// The table of cublasDotEx in cuBLAS's documentation.
bool dot_supported(cudaDataType x, cudaDataType y, cudaDataType result, cudaDataType execution) noexcept {
    if (x != y || x != result) return false;
    switch (x) {
        case CUDA_R_16F:
        case CUDA_R_16BF:
            return execution == CUDA_R_32F;
        case CUDA_R_32F:
        case CUDA_R_64F:
        case CUDA_C_32F:
        case CUDA_C_64F:
            return execution == x;
        default:
            return false;
    }
}

cublasStatus_t dot_ex(const char* function, cublasHandle_t handle, std::int64_t n, const void* x,
                      cudaDataType type_x, std::int64_t incx, const void* y, cudaDataType type_y,
                      std::int64_t incy, void* result, cudaDataType type_result, cudaDataType execution,
                      bool conjugate) noexcept {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!dot_supported(type_x, type_y, type_result, execution)) return CUBLAS_STATUS_NOT_SUPPORTED;
    return dot(function, handle, n, x, incx, y, incy, result, type_x, type_result,
               conjugate && is_complex(type_x));
}

// A = alpha x y^T + A, or y^H
cublasStatus_t ger(const char* function, cublasHandle_t handle, std::int64_t m, std::int64_t n,
                   const void* alpha, VectorAt x, VectorAt y, Stored a, bool conjugate) noexcept {
    return guarded(handle, [&] {
        if (m < 0 || n < 0 || x.increment == 0 || y.increment == 0 || a.ld < std::max<std::int64_t>(1, m))
            return CUBLAS_STATUS_INVALID_VALUE;
        if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
        if (alpha == nullptr || x.data == nullptr || y.data == nullptr || a.data == nullptr)
            return CUBLAS_STATUS_INVALID_VALUE;
        Gemm gemm;
        gemm.function = function;
        gemm.kind = "ger";
        gemm.m = m;
        gemm.n = n;
        gemm.k = 1;
        gemm.a = vector_column(x.data, a.type, m, x.increment);
        gemm.b = vector_column(y.data, a.type, n, y.increment);
        std::swap(gemm.b.row_stride, gemm.b.col_stride);
        gemm.b.conjugate = conjugate;
        gemm.c = gemm.d = column_major(a.data, a.type, a.ld, CUBLAS_OP_N);
        gemm.alpha = scalar_of(handle, alpha, a.type);
        gemm.beta = constant(1, a.type);
        gemm.arithmetic = plain(a.type);
        return status_of(launch(handle->stream, std::move(gemm)));
    });
}

}  // namespace
}  // namespace softcuda::blas

using namespace softcuda::blas;

#define SOFTCUDA_GEMV(name, T, I)                                                                           \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t trans, I m, I n,           \
                                        const T* alpha, const T* a, I lda, const T* x, I incx,              \
                                        const T* beta, T* y, I incy) {                                      \
        return gemv(#name, handle, trans, {m, n}, alpha, {a, type_of<T>, lda}, {x, incx}, beta, {y, incy}); \
    }
#define SOFTCUDA_GEMV_STRIDED(name, T, I)                                                                  \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t trans, I m, I n,          \
                                        const T* alpha, const T* a, I lda, long long stride_a, const T* x, \
                                        I incx, long long stride_x, const T* beta, T* y, I incy,           \
                                        long long stride_y, I batch) {                                     \
        return gemv(#name, handle, trans, {m, n, batch}, alpha, {a, type_of<T>, lda, stride_a},            \
                    {x, incx, stride_x}, beta, {y, incy, stride_y});                                       \
    }
#define SOFTCUDA_GEMV_BATCHED(name, T, I)                                                              \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t trans, I m, I n,      \
                                        const T* alpha, const T* const a[], I lda, const T* const x[], \
                                        I incx, const T* beta, T* const y[], I incy, I batch) {        \
        return gemv(#name, handle, trans, {m, n, batch}, alpha, {a, type_of<T>, lda}, {x, incx}, beta, \
                    {y, incy}, true);                                                                  \
    }
#define SOFTCUDA_GER(name, T, I, conjugate)                                                                  \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, I m, I n, const T* alpha, const T* x, I incx, \
                                        const T* y, I incy, T* a, I lda) {                                   \
        return ger(#name, handle, m, n, alpha, {x, incx}, {y, incy}, {a, type_of<T>, lda}, conjugate);       \
    }
#define SOFTCUDA_DOT(name, T, I, conjugate)                                                                 \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, I n, const T* x, I incx, const T* y, I incy, \
                                        T* result) {                                                        \
        return dot(#name, handle, n, x, incx, y, incy, result, type_of<T>, type_of<T>, conjugate);          \
    }
#define SOFTCUDA_DOT_EX(name, I, conjugate)                                                               \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, I n, const void* x, cudaDataType type_x,   \
                                        I incx, const void* y, cudaDataType type_y, I incy, void* result, \
                                        cudaDataType type_result, cudaDataType execution) {               \
        return dot_ex(#name, handle, n, x, type_x, incx, y, type_y, incy, result, type_result, execution, \
                      conjugate);                                                                         \
    }

#define SOFTCUDA_BOTH(macro, name, T) macro(name, T, int) macro(name##_64, T, int64_t)
SOFTCUDA_BOTH(SOFTCUDA_GEMV, cublasSgemv_v2, float)
SOFTCUDA_BOTH(SOFTCUDA_GEMV, cublasDgemv_v2, double)
SOFTCUDA_BOTH(SOFTCUDA_GEMV, cublasCgemv_v2, cuComplex)
SOFTCUDA_BOTH(SOFTCUDA_GEMV, cublasZgemv_v2, cuDoubleComplex)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_STRIDED, cublasSgemvStridedBatched, float)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_STRIDED, cublasDgemvStridedBatched, double)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_STRIDED, cublasCgemvStridedBatched, cuComplex)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_STRIDED, cublasZgemvStridedBatched, cuDoubleComplex)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_BATCHED, cublasSgemvBatched, float)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_BATCHED, cublasDgemvBatched, double)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_BATCHED, cublasCgemvBatched, cuComplex)
SOFTCUDA_BOTH(SOFTCUDA_GEMV_BATCHED, cublasZgemvBatched, cuDoubleComplex)

#define SOFTCUDA_BOTH_CONJUGATE(macro, name, T, conjugate) \
    macro(name, T, int, conjugate) macro(name##_64, T, int64_t, conjugate)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasSger_v2, float, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasDger_v2, double, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasCgeru_v2, cuComplex, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasCgerc_v2, cuComplex, true)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasZgeru_v2, cuDoubleComplex, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_GER, cublasZgerc_v2, cuDoubleComplex, true)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasSdot_v2, float, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasDdot_v2, double, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasCdotu_v2, cuComplex, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasCdotc_v2, cuComplex, true)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasZdotu_v2, cuDoubleComplex, false)
SOFTCUDA_BOTH_CONJUGATE(SOFTCUDA_DOT, cublasZdotc_v2, cuDoubleComplex, true)
SOFTCUDA_DOT_EX(cublasDotEx, int, false)
SOFTCUDA_DOT_EX(cublasDotEx_64, int64_t, false)
SOFTCUDA_DOT_EX(cublasDotcEx, int, true)
SOFTCUDA_DOT_EX(cublasDotcEx_64, int64_t, true)
