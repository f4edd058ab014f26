// The entry points of cuBLAS that multiply matrices. Each states its types; gemm_call.cpp does the rest.
#include "tools/softcuda/blas/gemm_call.h"

namespace softcuda::blas {
namespace {

template <class T>
constexpr cublasComputeType_t compute_of() noexcept {
    if constexpr (std::is_same_v<T, double> || std::is_same_v<T, cuDoubleComplex>)
        return CUBLAS_COMPUTE_64F;
    else if constexpr (std::is_same_v<T, __half>)
        return CUBLAS_COMPUTE_16F;
    else
        return CUBLAS_COMPUTE_32F;
}

template <class T>
constexpr cudaDataType stored_type() noexcept {
    if constexpr (std::is_same_v<T, __half>)
        return CUDA_R_16F;
    else
        return type_of<T>;
}

struct Ops {
    cublasOperation_t a, b;
};
struct Size {
    std::int64_t m, n, k, batch = 1;
};

template <class T>
cublasStatus_t typed(const char* function, cublasHandle_t handle, Ops ops, Size size, const T* alpha,
                     Stored a, Stored b, const T* beta, Stored c, bool pointer_array = false) noexcept {
    a.type = b.type = c.type = stored_type<T>();
    return gemm(handle, {.function = function,
                         .transa = ops.a,
                         .transb = ops.b,
                         .m = size.m,
                         .n = size.n,
                         .k = size.k,
                         .alpha = alpha,
                         .a = a,
                         .b = b,
                         .beta = beta,
                         .c = c,
                         .batch = size.batch,
                         .pointer_array = pointer_array,
                         .compute = compute_of<T>()});
}

cublasStatus_t mixed(const char* function, cublasHandle_t handle, Ops ops, Size size, const void* alpha,
                     Stored a, Stored b, const void* beta, Stored c, cublasComputeType_t compute,
                     bool pointer_array = false) noexcept {
    return gemm(handle, {.function = function,
                         .transa = ops.a,
                         .transb = ops.b,
                         .m = size.m,
                         .n = size.n,
                         .k = size.k,
                         .alpha = alpha,
                         .a = a,
                         .b = b,
                         .beta = beta,
                         .c = c,
                         .batch = size.batch,
                         .pointer_array = pointer_array,
                         .compute = compute,
                         .typed = false});
}

}  // namespace
}  // namespace softcuda::blas

using softcuda::blas::mixed;
using softcuda::blas::typed;

#define SOFTCUDA_GEMM(name, T, I)                                                                            \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,   \
                                        I m, I n, I k, const T* alpha, const T* a, I lda, const T* b, I ldb, \
                                        const T* beta, T* c, I ldc) {                                        \
        return typed<T>(#name, handle, {ta, tb}, {m, n, k}, alpha, {.data = a, .ld = lda},                   \
                        {.data = b, .ld = ldb}, beta, {.data = c, .ld = ldc});                               \
    }
#define SOFTCUDA_GEMM_BOTH(name, T) SOFTCUDA_GEMM(name, T, int) SOFTCUDA_GEMM(name##_64, T, int64_t)
SOFTCUDA_GEMM_BOTH(cublasSgemm_v2, float)
SOFTCUDA_GEMM_BOTH(cublasDgemm_v2, double)
SOFTCUDA_GEMM_BOTH(cublasCgemm_v2, cuComplex)
SOFTCUDA_GEMM_BOTH(cublasZgemm_v2, cuDoubleComplex)
SOFTCUDA_GEMM_BOTH(cublasCgemm3m, cuComplex)
SOFTCUDA_GEMM_BOTH(cublasZgemm3m, cuDoubleComplex)
SOFTCUDA_GEMM_BOTH(cublasHgemm, __half)

#define SOFTCUDA_STRIDED(name, T, I)                                                                       \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, \
                                        I m, I n, I k, const T* alpha, const T* a, I lda,                  \
                                        long long stride_a, const T* b, I ldb, long long stride_b,         \
                                        const T* beta, T* c, I ldc, long long stride_c, I batch) {         \
        return typed<T>(                                                                                   \
            #name, handle, {ta, tb}, {m, n, k, batch}, alpha, {.data = a, .ld = lda, .stride = stride_a},  \
            {.data = b, .ld = ldb, .stride = stride_b}, beta, {.data = c, .ld = ldc, .stride = stride_c}); \
    }
#define SOFTCUDA_STRIDED_BOTH(name, T) SOFTCUDA_STRIDED(name, T, int) SOFTCUDA_STRIDED(name##_64, T, int64_t)
SOFTCUDA_STRIDED_BOTH(cublasSgemmStridedBatched, float)
SOFTCUDA_STRIDED_BOTH(cublasDgemmStridedBatched, double)
SOFTCUDA_STRIDED_BOTH(cublasCgemmStridedBatched, cuComplex)
SOFTCUDA_STRIDED_BOTH(cublasZgemmStridedBatched, cuDoubleComplex)
SOFTCUDA_STRIDED_BOTH(cublasCgemm3mStridedBatched, cuComplex)
SOFTCUDA_STRIDED_BOTH(cublasHgemmStridedBatched, __half)

#define SOFTCUDA_BATCHED(name, T, I)                                                                         \
    SOFTCUDA_EXPORT cublasStatus_t name(                                                                     \
        cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T* alpha,    \
        const T* const a[], I lda, const T* const b[], I ldb, const T* beta, T* const c[], I ldc, I batch) { \
        return typed<T>(#name, handle, {ta, tb}, {m, n, k, batch}, alpha, {.data = a, .ld = lda},            \
                        {.data = b, .ld = ldb}, beta, {.data = c, .ld = ldc}, true);                         \
    }
#define SOFTCUDA_BATCHED_BOTH(name, T) SOFTCUDA_BATCHED(name, T, int) SOFTCUDA_BATCHED(name##_64, T, int64_t)
SOFTCUDA_BATCHED_BOTH(cublasSgemmBatched, float)
SOFTCUDA_BATCHED_BOTH(cublasDgemmBatched, double)
SOFTCUDA_BATCHED_BOTH(cublasCgemmBatched, cuComplex)
SOFTCUDA_BATCHED_BOTH(cublasZgemmBatched, cuDoubleComplex)
SOFTCUDA_BATCHED_BOTH(cublasHgemmBatched, __half)

// The algorithm argument has had no effect on these since Ampere, except that it must be one of the enum's.
#define SOFTCUDA_GEMM_EX(name, I)                                                                          \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, \
                                        I m, I n, I k, const void* alpha, const void* a,                   \
                                        cudaDataType type_a, I lda, const void* b, cudaDataType type_b,    \
                                        I ldb, const void* beta, void* c, cudaDataType type_c, I ldc,      \
                                        cublasComputeType_t compute, cublasGemmAlgo_t) {                   \
        return mixed(#name, handle, {ta, tb}, {m, n, k}, alpha, {a, type_a, lda}, {b, type_b, ldb}, beta,  \
                     {c, type_c, ldc}, compute);                                                           \
    }
SOFTCUDA_GEMM_EX(cublasGemmEx, int)
SOFTCUDA_GEMM_EX(cublasGemmEx_64, int64_t)

#define SOFTCUDA_STRIDED_EX(name, I)                                                                         \
    SOFTCUDA_EXPORT cublasStatus_t name(                                                                     \
        cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void* alpha, \
        const void* a, cudaDataType type_a, I lda, long long stride_a, const void* b, cudaDataType type_b,   \
        I ldb, long long stride_b, const void* beta, void* c, cudaDataType type_c, I ldc,                    \
        long long stride_c, I batch, cublasComputeType_t compute, cublasGemmAlgo_t) {                        \
        return mixed(#name, handle, {ta, tb}, {m, n, k, batch}, alpha, {a, type_a, lda, stride_a},           \
                     {b, type_b, ldb, stride_b}, beta, {c, type_c, ldc, stride_c}, compute);                 \
    }
SOFTCUDA_STRIDED_EX(cublasGemmStridedBatchedEx, int)
SOFTCUDA_STRIDED_EX(cublasGemmStridedBatchedEx_64, int64_t)

#define SOFTCUDA_BATCHED_EX(name, I)                                                                         \
    SOFTCUDA_EXPORT cublasStatus_t name(                                                                     \
        cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void* alpha, \
        const void* const a[], cudaDataType type_a, I lda, const void* const b[], cudaDataType type_b,       \
        I ldb, const void* beta, void* const c[], cudaDataType type_c, I ldc, I batch,                       \
        cublasComputeType_t compute, cublasGemmAlgo_t) {                                                     \
        return mixed(#name, handle, {ta, tb}, {m, n, k, batch}, alpha, {a, type_a, lda}, {b, type_b, ldb},   \
                     beta, {c, type_c, ldc}, compute, true);                                                 \
    }
SOFTCUDA_BATCHED_EX(cublasGemmBatchedEx, int)
SOFTCUDA_BATCHED_EX(cublasGemmBatchedEx_64, int64_t)

// Single-precision arithmetic on lower storage types.
#define SOFTCUDA_STORED_EX(name, T, I)                                                                     \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, \
                                        I m, I n, I k, const T* alpha, const void* a, cudaDataType type_a, \
                                        I lda, const void* b, cudaDataType type_b, I ldb, const T* beta,   \
                                        void* c, cudaDataType type_c, I ldc) {                             \
        return mixed(#name, handle, {ta, tb}, {m, n, k}, alpha, {a, type_a, lda}, {b, type_b, ldb}, beta,  \
                     {c, type_c, ldc}, CUBLAS_COMPUTE_32F);                                                \
    }
SOFTCUDA_STORED_EX(cublasSgemmEx, float, int)
SOFTCUDA_STORED_EX(cublasSgemmEx_64, float, int64_t)
SOFTCUDA_STORED_EX(cublasCgemmEx, cuComplex, int)
SOFTCUDA_STORED_EX(cublasCgemmEx_64, cuComplex, int64_t)
