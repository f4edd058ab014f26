#include "tools/softcuda/blas/solve.h"

#include <cblas.h>

namespace softcuda::blas {
namespace {

struct CblasTriangle {
    explicit CblasTriangle(const Triangle& shape) noexcept
        : side(shape.side == CUBLAS_SIDE_LEFT ? CblasLeft : CblasRight),
          uplo(shape.uplo == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper),
          operation(shape.operation == CUBLAS_OP_N   ? CblasNoTrans
                    : shape.operation == CUBLAS_OP_T ? CblasTrans
                                                     : CblasConjTrans),
          diag(shape.diag == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit) {}
    CBLAS_SIDE side;
    CBLAS_UPLO uplo;
    CBLAS_TRANSPOSE operation;
    CBLAS_DIAG diag;
};

void trsm(const CblasTriangle& s, int m, int n, float alpha, const float* a, int lda, float* b) {
    cblas_strsm(CblasColMajor, s.side, s.uplo, s.operation, s.diag, m, n, alpha, a, lda, b, m);
}
void trsm(const CblasTriangle& s, int m, int n, double alpha, const double* a, int lda, double* b) {
    cblas_dtrsm(CblasColMajor, s.side, s.uplo, s.operation, s.diag, m, n, alpha, a, lda, b, m);
}
void trsm(const CblasTriangle& s, int m, int n, std::complex<float> alpha, const std::complex<float>* a,
          int lda, std::complex<float>* b) {
    cblas_ctrsm(CblasColMajor, s.side, s.uplo, s.operation, s.diag, m, n, &alpha, a, lda, b, m);
}
void trsm(const CblasTriangle& s, int m, int n, std::complex<double> alpha, const std::complex<double>* a,
          int lda, std::complex<double>* b) {
    cblas_ztrsm(CblasColMajor, s.side, s.uplo, s.operation, s.diag, m, n, &alpha, a, lda, b, m);
}

}  // namespace

template <class S>
void solve_triangular(const Triangle& shape, std::int64_t m, std::int64_t n, S alpha, const S* a,
                      std::int64_t lda, S* b, std::int64_t ldb) {
    if (m == 0 || n == 0) return;
    const std::int64_t order = shape.side == CUBLAS_SIDE_LEFT ? m : n;
    // Through dense copies, so that the result does not depend on how the program's buffers lie; only the
    // triangle that is asked for is read.
    Buffer<S> triangle(order * order), right(m * n);
    const bool lower = shape.uplo == CUBLAS_FILL_MODE_LOWER;
    for (std::int64_t j = 0; j < order; ++j)
        for (std::int64_t i = 0; i < order; ++i)
            triangle[j * order + i] = (lower ? i >= j : i <= j) && alpha != S{} ? a[j * lda + i] : S{};
    for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t i = 0; i < m; ++i) right[j * m + i] = alpha == S{} ? S{} : b[j * ldb + i];
    if (alpha != S{})
        trsm(CblasTriangle(shape), static_cast<int>(m), static_cast<int>(n), alpha, triangle.data(),
             static_cast<int>(order), right.data());
    for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t i = 0; i < m; ++i) b[j * ldb + i] = right[j * m + i];
}

template void solve_triangular(const Triangle&, std::int64_t, std::int64_t, float, const float*, std::int64_t,
                               float*, std::int64_t);
template void solve_triangular(const Triangle&, std::int64_t, std::int64_t, double, const double*,
                               std::int64_t, double*, std::int64_t);
template void solve_triangular(const Triangle&, std::int64_t, std::int64_t, std::complex<float>,
                               const std::complex<float>*, std::int64_t, std::complex<float>*, std::int64_t);
template void solve_triangular(const Triangle&, std::int64_t, std::int64_t, std::complex<double>,
                               const std::complex<double>*, std::int64_t, std::complex<double>*,
                               std::int64_t);

}  // namespace softcuda::blas
