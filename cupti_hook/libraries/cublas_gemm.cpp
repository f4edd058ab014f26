// cublas*gemm*: every general matrix product of cuBLAS, each with its 64-bit twin.
#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/cublas_decode.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/wrapper.h"

namespace fumi::libraries {

namespace {

using Op = cublasOperation_t;
using Stride = long long;

DataType as_type(cudaDataType type) noexcept {
    return static_cast<DataType>(type);
}

template <class T, class Int>
void gemm(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const T* alpha, const T* a,
          Int lda, const T* b, Int ldb, const T* beta, T* c, Int ldc) noexcept {
    constexpr DataType t = data_type_of<T>;
    decode_gemm(call, handle,
                {ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, t, t, t, t, default_compute_type(t)});
}

// SgemmEx and CgemmEx: fp32 arithmetic over narrower storage.
template <class T, class Int>
void gemm_typed(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const T* alpha,
                const void* a, cudaDataType type_a, Int lda, const void* b, cudaDataType type_b, Int ldb,
                const T* beta, void* c, cudaDataType type_c, Int ldc) noexcept {
    decode_gemm(call, handle,
                {ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, as_type(type_a), as_type(type_b),
                 as_type(type_c), data_type_of<T>, CUBLAS_COMPUTE_32F});
}

template <class T, class Int>
void gemm_strided(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const T* alpha,
                  const T* a, Int lda, Stride stride_a, const T* b, Int ldb, Stride stride_b, const T* beta,
                  T* c, Int ldc, Stride stride_c, Int batch) noexcept {
    constexpr DataType t = data_type_of<T>;
    decode_gemm(call, handle,
                {ta,  tb,    m,        n,        k,       alpha, a, lda, b,
                 ldb, beta,  c,        ldc,      t,       t,     t, t,   default_compute_type(t),
                 -1,  batch, stride_a, stride_b, stride_c});
}

template <class T, class Int>
void gemm_batched(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const T* alpha,
                  const T* const* a, Int lda, const T* const* b, Int ldb, const T* beta, T* const* c, Int ldc,
                  Int batch) noexcept {
    constexpr DataType t = data_type_of<T>;
    decode_gemm(call, handle,
                {ta, tb,    m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, t, t, t, t, default_compute_type(t),
                 -1, batch, 0, 0, 0, true});
}

template <class Int>
void gemm_ex(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const void* alpha,
             const void* a, cudaDataType type_a, Int lda, const void* b, cudaDataType type_b, Int ldb,
             const void* beta, void* c, cudaDataType type_c, Int ldc, cublasComputeType_t compute,
             cublasGemmAlgo_t algorithm) noexcept {
    decode_gemm(call, handle,
                {ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, as_type(type_a), as_type(type_b),
                 as_type(type_c), scalar_type(compute, as_type(type_a)), compute, algorithm});
}

template <class Int>
void gemm_strided_ex(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const void* alpha,
                     const void* a, cudaDataType type_a, Int lda, Stride stride_a, const void* b,
                     cudaDataType type_b, Int ldb, Stride stride_b, const void* beta, void* c,
                     cudaDataType type_c, Int ldc, Stride stride_c, Int batch, cublasComputeType_t compute,
                     cublasGemmAlgo_t algorithm) noexcept {
    decode_gemm(call, handle,
                {ta,
                 tb,
                 m,
                 n,
                 k,
                 alpha,
                 a,
                 lda,
                 b,
                 ldb,
                 beta,
                 c,
                 ldc,
                 as_type(type_a),
                 as_type(type_b),
                 as_type(type_c),
                 scalar_type(compute, as_type(type_a)),
                 compute,
                 algorithm,
                 batch,
                 stride_a,
                 stride_b,
                 stride_c});
}

template <class Int>
void gemm_batched_ex(Call& call, cublasHandle_t handle, Op ta, Op tb, Int m, Int n, Int k, const void* alpha,
                     const void* const* a, cudaDataType type_a, Int lda, const void* const* b,
                     cudaDataType type_b, Int ldb, const void* beta, void* const* c, cudaDataType type_c,
                     Int ldc, Int batch, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) noexcept {
    decode_gemm(call, handle,
                {ta,
                 tb,
                 m,
                 n,
                 k,
                 alpha,
                 a,
                 lda,
                 b,
                 ldb,
                 beta,
                 c,
                 ldc,
                 as_type(type_a),
                 as_type(type_b),
                 as_type(type_c),
                 scalar_type(compute, as_type(type_a)),
                 compute,
                 algorithm,
                 batch,
                 0,
                 0,
                 0,
                 true});
}

// cublas_api.h overloads these three for C++, so that decltype of the name is ambiguous.
using GemmEx = cublasStatus_t(cublasHandle_t, Op, Op, int, int, int, const void*, const void*, cudaDataType,
                              int, const void*, cudaDataType, int, const void*, void*, cudaDataType, int,
                              cublasComputeType_t, cublasGemmAlgo_t);
using GemmStridedBatchedEx = cublasStatus_t(cublasHandle_t, Op, Op, int, int, int, const void*, const void*,
                                            cudaDataType, int, Stride, const void*, cudaDataType, int, Stride,
                                            const void*, void*, cudaDataType, int, Stride, int,
                                            cublasComputeType_t, cublasGemmAlgo_t);
using GemmBatchedEx = cublasStatus_t(cublasHandle_t, Op, Op, int, int, int, const void*, const void* const*,
                                     cudaDataType, int, const void* const*, cudaDataType, int, const void*,
                                     void* const*, cudaDataType, int, int, cublasComputeType_t,
                                     cublasGemmAlgo_t);

// clang-format off
#define FUMI_GEMM_FUNCTIONS(X) \
    X(cublasSgemm_v2, gemm) X(cublasDgemm_v2, gemm) X(cublasCgemm_v2, gemm) X(cublasZgemm_v2, gemm) \
    X(cublasHgemm, gemm) X(cublasSgemm_v2_64, gemm) X(cublasDgemm_v2_64, gemm) \
    X(cublasCgemm_v2_64, gemm) X(cublasZgemm_v2_64, gemm) X(cublasHgemm_64, gemm) \
    X(cublasSgemmEx, gemm_typed) X(cublasCgemmEx, gemm_typed) X(cublasSgemmEx_64, gemm_typed) \
    X(cublasCgemmEx_64, gemm_typed) \
    X(cublasSgemmStridedBatched, gemm_strided) X(cublasDgemmStridedBatched, gemm_strided) \
    X(cublasCgemmStridedBatched, gemm_strided) X(cublasZgemmStridedBatched, gemm_strided) \
    X(cublasHgemmStridedBatched, gemm_strided) X(cublasSgemmStridedBatched_64, gemm_strided) \
    X(cublasDgemmStridedBatched_64, gemm_strided) X(cublasCgemmStridedBatched_64, gemm_strided) \
    X(cublasZgemmStridedBatched_64, gemm_strided) X(cublasHgemmStridedBatched_64, gemm_strided) \
    X(cublasSgemmBatched, gemm_batched) X(cublasDgemmBatched, gemm_batched) \
    X(cublasCgemmBatched, gemm_batched) X(cublasZgemmBatched, gemm_batched) \
    X(cublasHgemmBatched, gemm_batched) X(cublasSgemmBatched_64, gemm_batched) \
    X(cublasDgemmBatched_64, gemm_batched) X(cublasCgemmBatched_64, gemm_batched) \
    X(cublasZgemmBatched_64, gemm_batched) X(cublasHgemmBatched_64, gemm_batched) \
    X(cublasGemmEx_64, gemm_ex) \
    X(cublasGemmStridedBatchedEx_64, gemm_strided_ex) \
    X(cublasGemmBatchedEx_64, gemm_batched_ex)
// clang-format on

FUMI_GEMM_FUNCTIONS(FUMI_TAG)
FUMI_TAG(cublasGemmEx, gemm_ex)
FUMI_TAG(cublasGemmStridedBatchedEx, gemm_strided_ex)
FUMI_TAG(cublasGemmBatchedEx, gemm_batched_ex)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cublas_soname)
const interpose::Hook hooks[] = {
    FUMI_GEMM_FUNCTIONS(FUMI_LINE)                                                 //
    FUMI_HOOK_AS(cublasGemmEx, GemmEx, cublas_soname)                              //
    FUMI_HOOK_AS(cublasGemmStridedBatchedEx, GemmStridedBatchedEx, cublas_soname)  //
    FUMI_HOOK_AS(cublasGemmBatchedEx, GemmBatchedEx, cublas_soname)                //
};

}  // namespace

std::span<const interpose::Hook> cublas_gemm_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
