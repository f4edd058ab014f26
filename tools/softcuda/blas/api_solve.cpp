// Triangular solves and the batched factorisations.
#include "tools/softcuda/blas/epilogue.h"
#include "tools/softcuda/blas/solve.h"

namespace softcuda::blas {
namespace {

template <class T>
std::string kernel_of(const char* what) {
    return std::string(what) + "_" + short_name(type_of<T>);
}

bool valid(const Triangle& shape) noexcept {
    return (shape.side == CUBLAS_SIDE_LEFT || shape.side == CUBLAS_SIDE_RIGHT) &&
           (shape.uplo == CUBLAS_FILL_MODE_LOWER || shape.uplo == CUBLAS_FILL_MODE_UPPER) &&
           softcuda::blas::valid(shape.operation) &&
           (shape.diag == CUBLAS_DIAG_UNIT || shape.diag == CUBLAS_DIAG_NON_UNIT);
}

struct Size {
    std::int64_t m, n, batch = 1;
};

// The k of a solve is the order of the triangle: what the hook's bound counts.
faults::Shape shape_of(const Triangle& triangle, Size size) noexcept {
    return {size.m, size.n, triangle.side == CUBLAS_SIDE_LEFT ? size.m : size.n, size.batch};
}

cublasStatus_t check(const Triangle& shape, Size size, std::int64_t lda, std::int64_t ldb) noexcept {
    const std::int64_t order = shape.side == CUBLAS_SIDE_LEFT ? size.m : size.n;
    if (!valid(shape) || size.m < 0 || size.n < 0 || size.batch < 0 ||
        lda < std::max<std::int64_t>(1, order) || ldb < std::max<std::int64_t>(1, size.m))
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t trsm(const char* function, cublasHandle_t handle, Triangle shape, Size size, const T* alpha,
                    const T* a, std::int64_t lda, T* b, std::int64_t ldb) noexcept {
    return guarded(handle, [&] {
        const auto status = check(shape, size, lda, ldb);
        if (status != CUBLAS_STATUS_SUCCESS || size.m == 0 || size.n == 0) return status;
        if (alpha == nullptr || a == nullptr || b == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        using S = Standard<T>;
        const Scalar scale = scalar_of(handle, alpha, type_of<T>);
        return enqueue(handle,
                       {function, kernel_of<T>("trsm"), shape_of(shape, size),
                        [=] {
                            solve_triangular(shape, size.m, size.n, scalar_value<S>(scale, 0, 0),
                                             reinterpret_cast<const S*>(view(a)), lda,
                                             reinterpret_cast<S*>(view(b)), ldb);
                        },
                        [=] {
                            return std::vector{faults::View{view(b), type_of<T>, size.m, size.n, 1, ldb}};
                        }});
    });
}

template <class T>
cublasStatus_t trsm_batched(const char* function, cublasHandle_t handle, Triangle shape, Size size,
                            const T* alpha, const T* const* a, std::int64_t lda, T* const* b,
                            std::int64_t ldb) noexcept {
    return guarded(handle, [&] {
        const auto status = check(shape, size, lda, ldb);
        if (status != CUBLAS_STATUS_SUCCESS || size.m == 0 || size.n == 0 || size.batch == 0) return status;
        if (alpha == nullptr || a == nullptr || b == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const Scalar scale = scalar_of(handle, alpha, type_of<T>);
        return enqueue(handle, {function, kernel_of<T>("trsm_batched"), shape_of(shape, size),
                                [=] {
                                    for (std::int64_t i = 0; i < size.batch; ++i)
                                        solve_triangular(shape, size.m, size.n,
                                                         scalar_value<Standard<T>>(scale, 0, 0),
                                                         entry_of(a, i, lda).column(0), lda,
                                                         entry_of(b, i, ldb).column(0), ldb);
                                },
                                [=] { return views_of_entries(b, size.batch, size.m, size.n, ldb); }});
    });
}

template <class T>
cublasStatus_t getrf(const char* function, cublasHandle_t handle, std::int64_t n, T* const* a,
                     std::int64_t lda, int* pivots, int* info, std::int64_t batch) noexcept {
    return guarded(handle, [&] {
        if (n < 0 || batch < 0 || lda < std::max<std::int64_t>(1, n)) return CUBLAS_STATUS_INVALID_VALUE;
        if (n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
        if (a == nullptr || info == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        return enqueue(handle, {function,
                                kernel_of<T>("getrf_batched"),
                                {n, n, n, batch},
                                [=] {
                                    for (std::int64_t i = 0; i < batch; ++i)
                                        view(info)[i] =
                                            factor_lu(entry_of(a, i, lda), n,
                                                      pivots == nullptr ? nullptr : view(pivots) + i * n);
                                },
                                [=] { return views_of_entries(a, batch, n, n, lda); }});
    });
}

// `info` of the solvers is host memory and tells about arguments alone: -i for a bad i-th one.
int first_bad(std::initializer_list<bool> good) noexcept {
    int position = 0;
    for (const bool fine : good) {
        ++position;
        if (!fine) return -position;
    }
    return 0;
}

template <class T>
cublasStatus_t getrs(const char* function, cublasHandle_t handle, cublasOperation_t operation, std::int64_t n,
                     std::int64_t nrhs, const T* const* a, std::int64_t lda, const int* pivots, T* const* b,
                     std::int64_t ldb, int* info, std::int64_t batch) noexcept {
    return guarded(handle, [&] {
        if (info == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const std::int64_t least = std::max<std::int64_t>(1, n);
        *info = first_bad({softcuda::blas::valid(operation), n >= 0, nrhs >= 0, a != nullptr, lda >= least,
                           true, b != nullptr, ldb >= least, true, batch >= 0});
        if (*info != 0) return CUBLAS_STATUS_INVALID_VALUE;
        if (n == 0 || nrhs == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
        return enqueue(handle, {function,
                                kernel_of<T>("getrs_batched"),
                                {n, nrhs, n, batch},
                                [=] {
                                    for (std::int64_t i = 0; i < batch; ++i)
                                        solve_lu(operation, entry_of(a, i, lda), n,
                                                 pivots == nullptr ? nullptr : view(pivots) + i * n,
                                                 entry_of(b, i, ldb), nrhs);
                                },
                                [=] { return views_of_entries(b, batch, n, nrhs, ldb); }});
    });
}

template <class T>
cublasStatus_t geqrf(const char* function, cublasHandle_t handle, std::int64_t m, std::int64_t n, T* const* a,
                     std::int64_t lda, T* const* tau, int* info, std::int64_t batch) noexcept {
    return guarded(handle, [&] {
        if (info == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        *info = first_bad({m >= 0, n >= 0, a != nullptr, lda >= std::max<std::int64_t>(1, m), tau != nullptr,
                           true, batch >= 0});
        if (*info != 0) return CUBLAS_STATUS_INVALID_VALUE;
        if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
        return enqueue(handle, {function,
                                kernel_of<T>("geqrf_batched"),
                                {m, n, m, batch},
                                [=] {
                                    for (std::int64_t i = 0; i < batch; ++i)
                                        factor_qr(entry_of(a, i, lda), m, n, entry_of(tau, i, 1).column(0));
                                },
                                [=] { return views_of_entries(a, batch, m, n, lda); }});
    });
}

// The least-squares solution of one tall system of full rank: R x = Q^H c. Returns 0, or the index of a zero
// on R's diagonal.
template <class S>
int least_squares(InPlace<S> a, std::int64_t m, std::int64_t n, InPlace<S> c, std::int64_t nrhs) {
    Buffer<S> tau(n);
    factor_qr(a, m, n, tau.data());
    for (std::int64_t j = 0; j < n; ++j)
        if (a(j, j) == S{}) return static_cast<int>(j + 1);
    for (std::int64_t l = 0; l < nrhs; ++l)
        for (std::int64_t j = 0; j < n; ++j) reflect(a, m, j, conjugated(tau[j]), c.column(l));
    solve_triangular({CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT}, n, nrhs,
                     S{1}, a.column(0), a.ld(), c.column(0), c.ld());
    return 0;
}

template <class T>
cublasStatus_t gels(const char* function, cublasHandle_t handle, cublasOperation_t operation, std::int64_t m,
                    std::int64_t n, std::int64_t nrhs, T* const* a, std::int64_t lda, T* const* c,
                    std::int64_t ldc, int* info, int* device_info, std::int64_t batch) noexcept {
    return guarded(handle, [&] {
        if (info == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
        const std::int64_t least = std::max<std::int64_t>(1, m);
        *info = first_bad({softcuda::blas::valid(operation), m >= 0, n >= 0, nrhs >= 0, a != nullptr,
                           lda >= least, c != nullptr, ldc >= least, true, true, batch >= 0});
        if (*info != 0) return CUBLAS_STATUS_INVALID_VALUE;
        if (operation != CUBLAS_OP_N || m < n)
            return CUBLAS_STATUS_NOT_SUPPORTED;  // as the library: tall systems only
        if (n == 0 || nrhs == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
        return enqueue(handle, {function,
                                kernel_of<T>("gels_batched"),
                                {n, nrhs, m, batch},
                                [=] {
                                    for (std::int64_t i = 0; i < batch; ++i) {
                                        const int result = least_squares(entry_of(a, i, lda), m, n,
                                                                         entry_of(c, i, ldc), nrhs);
                                        if (device_info != nullptr) view(device_info)[i] = result;
                                    }
                                },
                                [=] { return views_of_entries(c, batch, n, nrhs, ldc); }});
    });
}

}  // namespace
}  // namespace softcuda::blas

using namespace softcuda::blas;

#define SOFTCUDA_TRSM(name, T, I)                                                                            \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, \
                                        cublasOperation_t trans, cublasDiagType_t diag, I m, I n,            \
                                        const T* alpha, const T* a, I lda, T* b, I ldb) {                    \
        return trsm<T>(#name, handle, {side, uplo, trans, diag}, {m, n}, alpha, a, lda, b, ldb);             \
    }
#define SOFTCUDA_TRSM_BATCHED(name, T, I)                                                                    \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, \
                                        cublasOperation_t trans, cublasDiagType_t diag, I m, I n,            \
                                        const T* alpha, const T* const a[], I lda, T* const b[], I ldb,      \
                                        I batch) {                                                           \
        return trsm_batched<T>(#name, handle, {side, uplo, trans, diag}, {m, n, batch}, alpha, a, lda, b,    \
                               ldb);                                                                         \
    }
#define SOFTCUDA_GETRF(name, T)                                                                           \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int n, T* const a[], int lda, int* pivots, \
                                        int* info, int batch) {                                           \
        return getrf<T>(#name, handle, n, a, lda, pivots, info, batch);                                   \
    }
#define SOFTCUDA_GETRS(name, T)                                                                          \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t trans, int n, int nrhs, \
                                        const T* const a[], int lda, const int* pivots, T* const b[],    \
                                        int ldb, int* info, int batch) {                                 \
        return getrs<T>(#name, handle, trans, n, nrhs, a, lda, pivots, b, ldb, info, batch);             \
    }
#define SOFTCUDA_GEQRF(name, T)                                                                     \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, int m, int n, T* const a[], int lda, \
                                        T* const tau[], int* info, int batch) {                     \
        return geqrf<T>(#name, handle, m, n, a, lda, tau, info, batch);                             \
    }
#define SOFTCUDA_GELS(name, T)                                                                             \
    SOFTCUDA_EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t trans, int m, int n,      \
                                        int nrhs, T* const a[], int lda, T* const c[], int ldc, int* info, \
                                        int* device_info, int batch) {                                     \
        return gels<T>(#name, handle, trans, m, n, nrhs, a, lda, c, ldc, info, device_info, batch);        \
    }
#define SOFTCUDA_SOLVERS(letter, T)                                   \
    SOFTCUDA_TRSM(cublas##letter##trsm_v2, T, int)                    \
    SOFTCUDA_TRSM(cublas##letter##trsm_v2_64, T, int64_t)             \
    SOFTCUDA_TRSM_BATCHED(cublas##letter##trsmBatched, T, int)        \
    SOFTCUDA_TRSM_BATCHED(cublas##letter##trsmBatched_64, T, int64_t) \
    SOFTCUDA_GETRF(cublas##letter##getrfBatched, T)                   \
    SOFTCUDA_GETRS(cublas##letter##getrsBatched, T)                   \
    SOFTCUDA_GEQRF(cublas##letter##geqrfBatched, T)                   \
    SOFTCUDA_GELS(cublas##letter##gelsBatched, T)
SOFTCUDA_SOLVERS(S, float)
SOFTCUDA_SOLVERS(D, double)
SOFTCUDA_SOLVERS(C, cuComplex)
SOFTCUDA_SOLVERS(Z, cuDoubleComplex)
