// Factorisations and triangular solves on one matrix, unblocked, in the arithmetic of S.
#pragma once
#include "tools/softcuda/blas/vector.h"

namespace softcuda::blas {

// op(A) X = B, or X op(A) = B, in place of B (m x n); A triangular.
struct Triangle {
    cublasSideMode_t side;
    cublasFillMode_t uplo;
    cublasOperation_t operation;
    cublasDiagType_t diag;
};
template <class S>
void solve_triangular(const Triangle& shape, std::int64_t m, std::int64_t n, S alpha, const S* a,
                      std::int64_t lda, S* b, std::int64_t ldb);

// P A = L U in place of A (n x n). pivots (one-based row exchanges) may be null: no pivoting. Returns 0, or
// the one-based index of the first zero pivot.
template <class S>
int factor_lu(InPlace<S> a, std::int64_t n, int* pivots) noexcept {
    int info = 0;
    for (std::int64_t j = 0; j < n; ++j) {
        std::int64_t pivot = j;
        if (pivots != nullptr) {
            for (std::int64_t i = j + 1; i < n; ++i)
                if (std::abs(a(i, j)) > std::abs(a(pivot, j))) pivot = i;
            pivots[j] = static_cast<int>(pivot + 1);
        }
        if (a(pivot, j) == S{}) {
            if (info == 0) info = static_cast<int>(j + 1);
            continue;
        }
        if (pivot != j)
            for (std::int64_t l = 0; l < n; ++l) std::swap(a(j, l), a(pivot, l));
        for (std::int64_t i = j + 1; i < n; ++i) a(i, j) /= a(j, j);
        for (std::int64_t l = j + 1; l < n; ++l)
            for (std::int64_t i = j + 1; i < n; ++i) a(i, l) -= a(i, j) * a(j, l);
    }
    return info;
}

// A X = B (or its transpose, conjugate transpose) from factor_lu's result, in place of B (n x nrhs).
template <class S>
void solve_lu(cublasOperation_t operation, InPlace<S> a, std::int64_t n, const int* pivots, InPlace<S> b,
              std::int64_t nrhs) {
    const auto exchange = [&](std::int64_t i) {
        const std::int64_t pivot = pivots[i] - 1;
        if (pivot != i)
            for (std::int64_t j = 0; j < nrhs; ++j) std::swap(b(i, j), b(pivot, j));
    };
    const Triangle lower{CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, operation, CUBLAS_DIAG_UNIT};
    const Triangle upper{CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_UPPER, operation, CUBLAS_DIAG_NON_UNIT};
    const bool plain = operation == CUBLAS_OP_N;
    if (plain && pivots != nullptr)
        for (std::int64_t i = 0; i < n; ++i) exchange(i);
    for (const Triangle& triangle : {plain ? lower : upper, plain ? upper : lower})
        solve_triangular(triangle, n, nrhs, S{1}, a.column(0), a.ld(), b.column(0), b.ld());
    if (!plain && pivots != nullptr)
        for (std::int64_t i = n - 1; i >= 0; --i) exchange(i);
}

// c <- (I - scale v v^H) c for v = (1, a(j+1..m-1, j)), rows j..m-1 of one column c.
template <class S>
void reflect(InPlace<S> a, std::int64_t m, std::int64_t j, S scale, S* c) noexcept {
    S sum = c[j];
    for (std::int64_t i = j + 1; i < m; ++i) sum += conjugated(a(i, j)) * c[i];
    sum *= scale;
    c[j] -= sum;
    for (std::int64_t i = j + 1; i < m; ++i) c[i] -= a(i, j) * sum;
}

// A = Q R in place of A (m x n): R above, Householder vectors below the diagonal, their factors in tau
// (min(m, n)), as LAPACK.
template <class S>
void factor_qr(InPlace<S> a, std::int64_t m, std::int64_t n, S* tau) noexcept {
    for (std::int64_t j = 0; j < std::min(m, n); ++j) {
        Real<S> rest = 0;
        for (std::int64_t i = j + 1; i < m; ++i) rest += std::norm(a(i, j));
        const S head = a(j, j);
        if (rest == 0 && std::imag(head) == 0) {
            tau[j] = S{};
            continue;
        }
        const Real<S> norm = std::sqrt(rest + std::norm(head));
        const Real<S> beta = std::real(head) > 0 ? -norm : norm;
        tau[j] = (S{beta} - head) / beta;
        const S divisor = head - S{beta};
        for (std::int64_t i = j + 1; i < m; ++i) a(i, j) /= divisor;
        a(j, j) = S{beta};
        for (std::int64_t l = j + 1; l < n; ++l) reflect(a, m, j, conjugated(tau[j]), a.column(l));
    }
}

}  // namespace softcuda::blas
