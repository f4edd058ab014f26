// Vector operations: axpy, scal, copy, swap, norms and extrema.
#include <cmath>

#include "tools/softcuda/blas/epilogue.h"
#include "tools/softcuda/blas/vector.h"

namespace softcuda::blas {
namespace {

faults::Shape length(std::int64_t n) noexcept {
    return {.m = n, .n = 1, .k = 1, .batch = 1};
}

template <class T>
cublasStatus_t axpy(const char* function, cublasHandle_t handle, std::int64_t n, const T* alpha, const T* x,
                    std::int64_t incx, T* y, std::int64_t incy) noexcept {
    return guarded(handle, [&] {
        if (n <= 0) return CUBLAS_STATUS_SUCCESS;
        if (alpha == nullptr || x == nullptr || y == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const Scalar scale = scalar_of(handle, alpha, type_of<T>);
        return enqueue(handle, {function, std::string("axpy_") + short_name(type_of<T>), length(n),
                                [=] {
                                    const auto a = scalar_value<Standard<T>>(scale, 0, 0);
                                    const Vector<T> from(x, n, incx), to(y, n, incy);
                                    for (std::int64_t i = 0; i < n; ++i) to[i] += a * from[i];
                                },
                                [=] { return std::vector{vector_view(y, n, incy)}; }});
    });
}

// T is the vector's type, S the scalar's: a complex vector can be scaled by a real number.
template <class T, class S>
cublasStatus_t scal(const char* function, cublasHandle_t handle, std::int64_t n, const S* alpha, T* x,
                    std::int64_t incx) noexcept {
    return guarded(handle, [&] {
        if (n <= 0 || incx <= 0) return CUBLAS_STATUS_SUCCESS;
        if (alpha == nullptr || x == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const Scalar scale = scalar_of(handle, alpha, type_of<S>);
        return enqueue(handle, {function, std::string("scal_") + short_name(type_of<T>), length(n),
                                [=] {
                                    const auto a = scalar_value<Standard<S>>(scale, 0, 0);
                                    const Vector<T> vector(x, n, incx);
                                    for (std::int64_t i = 0; i < n; ++i) vector[i] *= a;
                                },
                                [=] { return std::vector{vector_view(x, n, incx)}; }});
    });
}

template <class T>
cublasStatus_t copy(const char* function, cublasHandle_t handle, std::int64_t n, const T* x,
                    std::int64_t incx, T* y, std::int64_t incy) noexcept {
    return guarded(handle, [&] {
        if (n <= 0) return CUBLAS_STATUS_SUCCESS;
        if (x == nullptr || y == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        return enqueue(handle, {function, std::string("copy_") + short_name(type_of<T>), length(n),
                                [=] {
                                    const Vector<T> from(x, n, incx), to(y, n, incy);
                                    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
                                },
                                [=] { return std::vector{vector_view(y, n, incy)}; }});
    });
}

template <class T>
cublasStatus_t swap(const char* function, cublasHandle_t handle, std::int64_t n, T* x, std::int64_t incx,
                    T* y, std::int64_t incy) noexcept {
    return guarded(handle, [&] {
        if (n <= 0) return CUBLAS_STATUS_SUCCESS;
        if (x == nullptr || y == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        return enqueue(handle, {function, std::string("swap_") + short_name(type_of<T>), length(n),
                                [=] {
                                    const Vector<T> a(x, n, incx), b(y, n, incy);
                                    for (std::int64_t i = 0; i < n; ++i) std::swap(a[i], b[i]);
                                },
                                [=] {
                                    return std::vector{vector_view(x, n, incx), vector_view(y, n, incy)};
                                }});
    });
}

template <class S>
Real<S> absolute_sum(S x) noexcept {
    if constexpr (is_complex_v<S>)
        return std::abs(x.real()) + std::abs(x.imag());
    else
        return std::abs(x);
}

// Scaled by the largest magnitude, so that squares neither overflow nor vanish.
template <class T>
Real<Standard<T>> norm2(const Vector<T>& x, std::int64_t n) noexcept {
    Real<Standard<T>> largest = 0, sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto size = std::abs(x[i]);
        if (std::isnan(size)) return size;
        largest = std::max(largest, size);
    }
    if (largest == 0 || std::isinf(largest)) return largest;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto size = std::abs(x[i]) / largest;
        sum += size * size;
    }
    return largest * std::sqrt(sum);
}

template <class T>
Real<Standard<T>> sum_of_sizes(const Vector<T>& x, std::int64_t n) noexcept {
    Real<Standard<T>> sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += absolute_sum(x[i]);
    return sum;
}

// One-based, the first of equals; 0 for no elements.
template <bool largest, class T>
std::int64_t extreme(const Vector<T>& x, std::int64_t n) noexcept {
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < n; ++i) {
        const auto a = absolute_sum(x[i]), b = absolute_sum(x[best]);
        if (largest ? a > b : a < b) best = i;
    }
    return best + 1;
}

// `reduce` of the vector into *result, which is 0 where there are no elements.
template <class T, class R, class Reduce>
cublasStatus_t reduce(const char* function, const char* kernel, cublasHandle_t handle, std::int64_t n,
                      const T* x, std::int64_t incx, R* result, Reduce operation) noexcept {
    return guarded(handle, [&] {
        if (result == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const bool empty = n <= 0 || incx <= 0;
        if (!empty && x == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const cudaDataType type = std::is_same_v<R, double>  ? CUDA_R_64F
                                  : std::is_same_v<R, float> ? CUDA_R_32F
                                                             : CUDA_R_32I;
        return enqueue(
            handle,
            {function, std::string(kernel) + "_" + short_name(type_of<T>), length(n),
             [=] { *view(result) = empty ? R{} : static_cast<R>(operation(Vector<T>(x, n, incx), n)); },
             [=] {
                 return std::vector{faults::View{view(result), type, 1, 1, 1, 1}};
             }},
            handle->pointer_mode == CUBLAS_POINTER_MODE_HOST);
    });
}

}  // namespace
}  // namespace softcuda::blas

using namespace softcuda::blas;

#define SOFTCUDA_AXPY(name, T)                                                                              \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, const T* alpha, const T* x, int incx, \
                                        T* y, int incy) {                                                   \
        return axpy<T>(#name, handle, n, alpha, x, incx, y, incy);                                          \
    }
#define SOFTCUDA_SCAL(name, T, S)                                                                       \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, const S* alpha, T* x, int incx) { \
        return scal<T, S>(#name, handle, n, alpha, x, incx);                                            \
    }
#define SOFTCUDA_COPY(name, T)                                                                    \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, const T* x, int incx, T* y, \
                                        int incy) {                                               \
        return copy<T>(#name, handle, n, x, incx, y, incy);                                       \
    }
#define SOFTCUDA_SWAP(name, T)                                                                          \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, T* x, int incx, T* y, int incy) { \
        return softcuda::blas::swap<T>(#name, handle, n, x, incx, y, incy);                             \
    }
#define SOFTCUDA_REDUCE(name, kernel, T, R, operation)                                                   \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, const T* x, int incx, R* result) { \
        return reduce(#name, kernel, handle, n, x, incx, result,                                         \
                      [](const Vector<T>& v, std::int64_t count) { return operation(v, count); });       \
    }
#define SOFTCUDA_TYPES(macro, operation)                                         \
    macro(cublasS##operation##_v2, float) macro(cublasD##operation##_v2, double) \
        macro(cublasC##operation##_v2, cuComplex) macro(cublasZ##operation##_v2, cuDoubleComplex)

SOFTCUDA_TYPES(SOFTCUDA_AXPY, axpy)
SOFTCUDA_TYPES(SOFTCUDA_COPY, copy)
SOFTCUDA_TYPES(SOFTCUDA_SWAP, swap)
SOFTCUDA_SCAL(cublasSscal_v2, float, float)
SOFTCUDA_SCAL(cublasDscal_v2, double, double)
SOFTCUDA_SCAL(cublasCscal_v2, cuComplex, cuComplex)
SOFTCUDA_SCAL(cublasZscal_v2, cuDoubleComplex, cuDoubleComplex)
SOFTCUDA_SCAL(cublasCsscal_v2, cuComplex, float)
SOFTCUDA_SCAL(cublasZdscal_v2, cuDoubleComplex, double)
SOFTCUDA_REDUCE(cublasSnrm2_v2, "nrm2", float, float, norm2)
SOFTCUDA_REDUCE(cublasDnrm2_v2, "nrm2", double, double, norm2)
SOFTCUDA_REDUCE(cublasScnrm2_v2, "nrm2", cuComplex, float, norm2)
SOFTCUDA_REDUCE(cublasDznrm2_v2, "nrm2", cuDoubleComplex, double, norm2)
SOFTCUDA_REDUCE(cublasSasum_v2, "asum", float, float, sum_of_sizes)
SOFTCUDA_REDUCE(cublasDasum_v2, "asum", double, double, sum_of_sizes)
SOFTCUDA_REDUCE(cublasScasum_v2, "asum", cuComplex, float, sum_of_sizes)
SOFTCUDA_REDUCE(cublasDzasum_v2, "asum", cuDoubleComplex, double, sum_of_sizes)
SOFTCUDA_REDUCE(cublasIsamax_v2, "amax", float, int, extreme<true>)
SOFTCUDA_REDUCE(cublasIdamax_v2, "amax", double, int, extreme<true>)
SOFTCUDA_REDUCE(cublasIcamax_v2, "amax", cuComplex, int, extreme<true>)
SOFTCUDA_REDUCE(cublasIzamax_v2, "amax", cuDoubleComplex, int, extreme<true>)
SOFTCUDA_REDUCE(cublasIsamin_v2, "amin", float, int, extreme<false>)
SOFTCUDA_REDUCE(cublasIdamin_v2, "amin", double, int, extreme<false>)
SOFTCUDA_REDUCE(cublasIcamin_v2, "amin", cuComplex, int, extreme<false>)
SOFTCUDA_REDUCE(cublasIzamin_v2, "amin", cuDoubleComplex, int, extreme<false>)
