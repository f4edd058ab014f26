// cublas*gemv* and cublas*dot*: products with vectors.
#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/cublas_decode.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/wrapper.h"

namespace fumi::libraries {

namespace {

using Op = cublasOperation_t;
using Stride = long long;

template <class T, class Int>
void gemv(Call& call, cublasHandle_t handle, Op op, Int m, Int n, const T* alpha, const T* a, Int lda,
          const T* x, Int incx, const T* beta, T* y, Int incy) noexcept {
    constexpr DataType t = data_type_of<T>;
    decode_gemv(call, handle, {op, m, n, alpha, a, lda, x, incx, beta, y, incy, t, t, t});
}

// Scalars of type S, A and x of type T, y of type Y: HSH is half, single, half.
template <class S, class T, class Y, class Int>
void gemv_strided(Call& call, cublasHandle_t handle, Op op, Int m, Int n, const S* alpha, const T* a, Int lda,
                  Stride stride_a, const T* x, Int incx, Stride stride_x, const S* beta, Y* y, Int incy,
                  Stride stride_y, Int batch) noexcept {
    decode_gemv(call, handle,
                {op, m, n, alpha, a, lda, x, incx, beta, y, incy, data_type_of<T>, data_type_of<Y>,
                 data_type_of<S>, batch, stride_a, stride_x, stride_y});
}

template <class S, class T, class Y, class Int>
void gemv_batched(Call& call, cublasHandle_t handle, Op op, Int m, Int n, const S* alpha, const T* const* a,
                  Int lda, const T* const* x, Int incx, const S* beta, Y* const* y, Int incy,
                  Int batch) noexcept {
    decode_gemv(call, handle,
                {op, m, n, alpha, a, lda, x, incx, beta, y, incy, data_type_of<T>, data_type_of<Y>,
                 data_type_of<S>, batch, 0, 0, 0, true});
}

template <bool conjugate, class T, class Int>
void dot_of(Call& call, cublasHandle_t handle, Int n, const T* x, Int incx, const T* y, Int incy,
            T* result) noexcept {
    constexpr DataType t = data_type_of<T>;
    decode_dot(call, handle, {n, x, incx, y, incy, result, t, t, t, default_compute_type(t), conjugate});
}
template <class... Args>
void dot(Call& call, const Args&... args) noexcept {
    dot_of<false>(call, args...);
}
template <class... Args>
void dotc(Call& call, const Args&... args) noexcept {
    dot_of<true>(call, args...);
}

template <bool conjugate, class Int>
void dot_ex_of(Call& call, cublasHandle_t handle, Int n, const void* x, cudaDataType type_x, Int incx,
               const void* y, cudaDataType type_y, Int incy, void* result, cudaDataType type_result,
               cudaDataType execution_type) noexcept {
    const auto type = [](cudaDataType t) { return static_cast<DataType>(t); };
    const bool complex = type_x == CUDA_C_32F || type_x == CUDA_C_64F;
    decode_dot(call, handle,
               {n, x, incx, y, incy, result, type(type_x), type(type_y), type(type_result),
                default_compute_type(type(execution_type)), conjugate && complex});
}
template <class... Args>
void dot_ex(Call& call, const Args&... args) noexcept {
    dot_ex_of<false>(call, args...);
}
template <class... Args>
void dotc_ex(Call& call, const Args&... args) noexcept {
    dot_ex_of<true>(call, args...);
}

// clang-format off
#define FUMI_VECTOR_FUNCTIONS(X) \
    X(cublasSgemv_v2, gemv) X(cublasDgemv_v2, gemv) X(cublasCgemv_v2, gemv) X(cublasZgemv_v2, gemv) \
    X(cublasSgemv_v2_64, gemv) X(cublasDgemv_v2_64, gemv) X(cublasCgemv_v2_64, gemv) \
    X(cublasZgemv_v2_64, gemv) \
    X(cublasSgemvStridedBatched, gemv_strided) X(cublasDgemvStridedBatched, gemv_strided) \
    X(cublasCgemvStridedBatched, gemv_strided) X(cublasZgemvStridedBatched, gemv_strided) \
    X(cublasHSHgemvStridedBatched, gemv_strided) X(cublasHSSgemvStridedBatched, gemv_strided) \
    X(cublasTSTgemvStridedBatched, gemv_strided) X(cublasTSSgemvStridedBatched, gemv_strided) \
    X(cublasSgemvStridedBatched_64, gemv_strided) X(cublasDgemvStridedBatched_64, gemv_strided) \
    X(cublasCgemvStridedBatched_64, gemv_strided) X(cublasZgemvStridedBatched_64, gemv_strided) \
    X(cublasHSHgemvStridedBatched_64, gemv_strided) X(cublasHSSgemvStridedBatched_64, gemv_strided) \
    X(cublasTSTgemvStridedBatched_64, gemv_strided) X(cublasTSSgemvStridedBatched_64, gemv_strided) \
    X(cublasSgemvBatched, gemv_batched) X(cublasDgemvBatched, gemv_batched) \
    X(cublasCgemvBatched, gemv_batched) X(cublasZgemvBatched, gemv_batched) \
    X(cublasHSHgemvBatched, gemv_batched) X(cublasHSSgemvBatched, gemv_batched) \
    X(cublasTSTgemvBatched, gemv_batched) X(cublasTSSgemvBatched, gemv_batched) \
    X(cublasSgemvBatched_64, gemv_batched) X(cublasDgemvBatched_64, gemv_batched) \
    X(cublasCgemvBatched_64, gemv_batched) X(cublasZgemvBatched_64, gemv_batched) \
    X(cublasHSHgemvBatched_64, gemv_batched) X(cublasHSSgemvBatched_64, gemv_batched) \
    X(cublasTSTgemvBatched_64, gemv_batched) X(cublasTSSgemvBatched_64, gemv_batched) \
    X(cublasSdot_v2, dot) X(cublasDdot_v2, dot) X(cublasCdotu_v2, dot) X(cublasZdotu_v2, dot) \
    X(cublasCdotc_v2, dotc) X(cublasZdotc_v2, dotc) \
    X(cublasSdot_v2_64, dot) X(cublasDdot_v2_64, dot) X(cublasCdotu_v2_64, dot) \
    X(cublasZdotu_v2_64, dot) \
    X(cublasCdotc_v2_64, dotc) X(cublasZdotc_v2_64, dotc) \
    X(cublasDotEx, dot_ex) X(cublasDotEx_64, dot_ex) \
    X(cublasDotcEx, dotc_ex) X(cublasDotcEx_64, dotc_ex)
// clang-format on

FUMI_VECTOR_FUNCTIONS(FUMI_TAG)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cublas_soname)
const interpose::Hook hooks[] = {FUMI_VECTOR_FUNCTIONS(FUMI_LINE)};

}  // namespace

std::span<const interpose::Hook> cublas_vector_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
