// Vector operations, triangular solves and batched factorisations against their definitions.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/softcuda/blas/device_array.h"
#include "tests/softcuda/blas/reference.h"
#include "tools/softcuda/blas/handle.h"

using namespace reference;
using fake::DeviceArray;

namespace {

class Handle {
  public:
    Handle() { cublasCreate_v2(&handle_); }
    ~Handle() { cublasDestroy_v2(handle_); }
    operator cublasHandle_t() const { return handle_; }

  private:
    cublasHandle_t handle_ = nullptr;
};

template <class T>
struct CudaType {
    using type = T;
};
template <>
struct CudaType<std::complex<float>> {
    using type = cuComplex;
};
template <>
struct CudaType<std::complex<double>> {
    using type = cuDoubleComplex;
};
template <class T>
using Cuda = typename CudaType<T>::type;
template <class T>
Cuda<T>* cuda(T* p) {
    return reinterpret_cast<Cuda<T>*>(p);
}
template <class T>
const Cuda<T>* cuda(const T* p) {
    return reinterpret_cast<const Cuda<T>*>(p);
}

// Element i of n, walking backwards for a negative increment.
std::size_t at(std::int64_t i, std::int64_t n, std::int64_t increment) {
    return increment > 0 ? i * increment : (n - 1 - i) * -increment;
}

template <class T, class Function>
void expect_gemv(Function function) {
    const Handle handle;
    const int m = 13, n = 7, lda = 15;
    for (const auto operation : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C})
        for (const int incx : {1, 2, -3})
            for (const int incy : {1, -2}) {
                const std::int64_t rows = operation == CUBLAS_OP_N ? m : n,
                                   cols = operation == CUBLAS_OP_N ? n : m;
                const auto a = random_values<T>(lda * n, 1), x = random_values<T>(64, 2),
                           y = random_values<T>(64, 3);
                const DeviceArray<T> da(a), dx(x), dy(y);
                const T alpha{2}, beta{-0.5};
                ASSERT_EQ(function(handle, operation, m, n, cuda(&alpha), cuda(da.get()), lda, cuda(dx.get()),
                                   incx, cuda(&beta), cuda(dy.get()), incy),
                          CUBLAS_STATUS_SUCCESS);
                const auto result = dy.values();
                const auto matrix = column_major(a, lda, operation);
                for (std::int64_t i = 0; i < rows; ++i) {
                    Value right = -0.5L * value_of(y[at(i, rows, incy)]);
                    for (std::int64_t l = 0; l < cols; ++l)
                        right += 2.0L * matrix(i, l) * value_of(x[at(l, cols, incx)]);
                    ASSERT_LE(std::abs(value_of(result[at(i, rows, incy)]) - right), 200 * unit<T>());
                }
                for (std::size_t i = 0; i < y.size(); ++i) {
                    bool element = false;
                    for (std::int64_t r = 0; r < rows; ++r) element |= at(r, rows, incy) == i;
                    ASSERT_TRUE(element || result[i] == y[i]) << "written between the elements";
                }
            }
}

template <class T, class Function>
void expect_dot(Function function, bool conjugate) {
    const Handle handle;
    for (const auto mode : {CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE}) {
        cublasSetPointerMode_v2(handle, mode);
        for (const int incx : {1, -2, 3}) {
            const int n = 17, incy = 2;
            const auto x = random_values<T>(64, 1), y = random_values<T>(64, 2);
            const DeviceArray<T> dx(x), dy(y), device_result(std::vector<T>(1));
            T host_result{};
            T* result = mode == CUBLAS_POINTER_MODE_HOST ? &host_result : device_result.get();
            ASSERT_EQ(function(handle, n, cuda(dx.get()), incx, cuda(dy.get()), incy, cuda(result)),
                      CUBLAS_STATUS_SUCCESS);
            Value right{};
            for (int i = 0; i < n; ++i) {
                const Value left = value_of(x[at(i, n, incx)]);
                right += (conjugate ? std::conj(left) : left) * value_of(y[at(i, n, incy)]);
            }
            const T got = mode == CUBLAS_POINTER_MODE_HOST ? host_result : device_result.values()[0];
            ASSERT_LE(std::abs(value_of(got) - right), 100 * unit<T>());
            ASSERT_EQ(function(handle, 0, cuda(dx.get()), incx, cuda(dy.get()), incy, cuda(result)),
                      CUBLAS_STATUS_SUCCESS);
            EXPECT_EQ(mode == CUBLAS_POINTER_MODE_HOST ? host_result : device_result.values()[0], T{});
        }
    }
}

// A triangle whose solve is well conditioned.
template <class T>
std::vector<T> triangle(std::int64_t n, std::int64_t ld) {
    auto a = random_values<T>(ld * n, 1);
    for (std::int64_t i = 0; i < n; ++i) a[i * ld + i] += T{4};
    return a;
}

template <class T, class Function>
void expect_trsm(Function function) {
    const Handle handle;
    const int m = 9, n = 6, ldb = 11;
    for (const auto side : {CUBLAS_SIDE_LEFT, CUBLAS_SIDE_RIGHT})
        for (const auto uplo : {CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER})
            for (const auto operation : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C})
                for (const auto diag : {CUBLAS_DIAG_NON_UNIT, CUBLAS_DIAG_UNIT}) {
                    const int order = side == CUBLAS_SIDE_LEFT ? m : n, lda = order + 2;
                    auto a = triangle<T>(order, lda);
                    if (diag == CUBLAS_DIAG_UNIT)
                        for (T& x : a) x *= T{0.1f};
                    const auto b = random_values<T>(ldb * n, 2);
                    const DeviceArray<T> da(a), db(b);
                    const T alpha{2};
                    ASSERT_EQ(function(handle, side, uplo, operation, diag, m, n, cuda(&alpha),
                                       cuda(da.get()), lda, cuda(db.get()), ldb),
                              CUBLAS_STATUS_SUCCESS);
                    const auto x = db.values();
                    const Element stored = [&](std::int64_t i, std::int64_t j) -> Value {
                        if (i == j) return diag == CUBLAS_DIAG_UNIT ? Value{1} : value_of(a[i + j * lda]);
                        const bool inside = uplo == CUBLAS_FILL_MODE_LOWER ? i > j : i < j;
                        return inside ? value_of(a[i + j * lda]) : Value{};
                    };
                    const Element op = [&](std::int64_t i, std::int64_t j) {
                        if (operation == CUBLAS_OP_N) return stored(i, j);
                        return operation == CUBLAS_OP_T ? stored(j, i) : std::conj(stored(j, i));
                    };
                    const auto solution = column_major(x, ldb);
                    for (std::int64_t j = 0; j < n; ++j)
                        for (std::int64_t i = 0; i < m; ++i) {
                            const Value back = side == CUBLAS_SIDE_LEFT
                                                   ? product(op, solution, i, j, m).value
                                                   : product(solution, op, i, j, n).value;
                            ASSERT_LE(std::abs(back - 2.0L * value_of(b[i + j * ldb])), 1000 * unit<T>());
                        }
                }
}

template <class T>
DeviceArray<Cuda<T>*> entries(const DeviceArray<T>& array, std::int64_t stride, int batch) {
    std::vector<Cuda<T>*> pointers;
    for (int i = 0; i < batch; ++i) pointers.push_back(cuda(array.get() + i * stride));
    return DeviceArray<Cuda<T>*>(pointers);
}

template <class T, class Factor, class Solve>
void expect_lu(Factor factor, Solve solve) {
    const Handle handle;
    const int n = 8, nrhs = 3, ld = 9, batch = 2;
    const auto a = random_values<T>(ld * n * batch, 1), b = random_values<T>(ld * nrhs * batch, 2);
    const DeviceArray<int> pivots(std::vector<int>(n * batch)), info(std::vector<int>(batch, -1));
    const DeviceArray<T> da(a);
    const auto pa = entries(da, ld * n, batch);
    ASSERT_EQ(factor(handle, n, pa.get(), ld, pivots.get(), info.get(), batch), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(info.values(), std::vector<int>(batch, 0));
    for (const auto operation : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
        const DeviceArray<T> db(b);
        const auto pb = entries(db, ld * nrhs, batch);
        int host_info = -1;
        ASSERT_EQ(
            solve(handle, operation, n, nrhs, pa.get(), ld, pivots.get(), pb.get(), ld, &host_info, batch),
            CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(host_info, 0);
        const auto x = db.values();
        for (int index = 0; index < batch; ++index)
            for (int j = 0; j < nrhs; ++j)
                for (int i = 0; i < n; ++i) {
                    const auto back = product(column_major(a, ld, operation, index * ld * n),
                                              column_major(x, ld, CUBLAS_OP_N, index * ld * nrhs), i, j, n);
                    ASSERT_LE(std::abs(back.value - value_of(b[index * ld * nrhs + i + j * ld])),
                              20000 * unit<T>());
                }
    }
}

// The least-squares residual is orthogonal to the columns.
template <class T, class Function>
void expect_least_squares(Function gels) {
    const Handle handle;
    const int m = 12, n = 5, nrhs = 2, ld = 13, batch = 2;
    const auto a = random_values<T>(ld * n * batch, 1), b = random_values<T>(ld * nrhs * batch, 2);
    const DeviceArray<T> da(a), db(b);
    const DeviceArray<int> device_info(std::vector<int>(batch, -1));
    const auto pa = entries(da, ld * n, batch), pb = entries(db, ld * nrhs, batch);
    int info = -1;
    ASSERT_EQ(
        gels(handle, CUBLAS_OP_N, m, n, nrhs, pa.get(), ld, pb.get(), ld, &info, device_info.get(), batch),
        CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(device_info.values(), std::vector<int>(batch, 0));
    const auto x = db.values();
    for (int index = 0; index < batch; ++index) {
        const auto matrix = column_major(a, ld, CUBLAS_OP_N, index * ld * n);
        const auto solution = column_major(x, ld, CUBLAS_OP_N, index * ld * nrhs);
        for (int j = 0; j < nrhs; ++j)
            for (int column = 0; column < n; ++column) {
                Value inner{};
                for (int i = 0; i < m; ++i) {
                    const Value residual = value_of(b[index * ld * nrhs + i + j * ld]) -
                                           product(matrix, solution, i, j, n).value;
                    inner += std::conj(matrix(i, column)) * residual;
                }
                ASSERT_LE(std::abs(inner), 1000 * unit<T>());
            }
    }
}

}  // namespace

TEST(Vector, Gemv) {
    expect_gemv<float>(cublasSgemv_v2);
    expect_gemv<double>(cublasDgemv_v2);
    expect_gemv<std::complex<float>>(cublasCgemv_v2);
    expect_gemv<std::complex<double>>(cublasZgemv_v2);
}

TEST(Vector, Dot) {
    expect_dot<float>(cublasSdot_v2, false);
    expect_dot<double>(cublasDdot_v2, false);
    expect_dot<std::complex<float>>(cublasCdotu_v2, false);
    expect_dot<std::complex<float>>(cublasCdotc_v2, true);
    expect_dot<std::complex<double>>(cublasZdotu_v2, false);
    expect_dot<std::complex<double>>(cublasZdotc_v2, true);
}

TEST(Vector, DotExRoundsOnce) {
    const Handle handle;
    const auto x = random_values<BFloat16>(100, 1), y = random_values<BFloat16>(100, 2);
    const DeviceArray<BFloat16> dx(x), dy(y);
    BFloat16 result{};
    ASSERT_EQ(cublasDotEx(handle, 100, dx.get(), CUDA_R_16BF, 1, dy.get(), CUDA_R_16BF, 1, &result,
                          CUDA_R_16BF, CUDA_R_32F),
              CUBLAS_STATUS_SUCCESS);
    long double right = 0;
    for (int i = 0; i < 100; ++i) right += (value_of(x[i]) * value_of(y[i])).real();
    EXPECT_EQ(result.bits, softcuda::blas::to_bfloat16(static_cast<float>(right)).bits);
    EXPECT_EQ(cublasDotEx(handle, 1, dx.get(), CUDA_R_16BF, 1, dy.get(), CUDA_R_16F, 1, &result, CUDA_R_16BF,
                          CUDA_R_32F),
              CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(cublasDotEx(handle, 1, dx.get(), CUDA_R_16BF, 1, dy.get(), CUDA_R_16BF, 1, &result, CUDA_R_16BF,
                          CUDA_R_16BF),
              CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST(Vector, StridedAndBatchedGemv) {
    const Handle handle;
    const std::int64_t m = 5, n = 4, batch = 3;
    const auto a = random_values<float>(m * n * batch, 1), x = random_values<float>(n * batch, 2);
    const DeviceArray<float> da(a), dx(x), dy(std::vector<float>(m * batch)),
        dz(std::vector<float>(m * batch));
    const float one = 1, zero = 0;
    ASSERT_EQ(cublasSgemvStridedBatched(handle, CUBLAS_OP_N, m, n, &one, da.get(), m, m * n, dx.get(), 1, n,
                                        &zero, dy.get(), 1, m, batch),
              CUBLAS_STATUS_SUCCESS);
    const auto pa = entries(da, m * n, batch), px = entries(dx, n, batch), pz = entries(dz, m, batch);
    ASSERT_EQ(cublasSgemvBatched(handle, CUBLAS_OP_N, m, n, &one, pa.get(), m, px.get(), 1, &zero, pz.get(),
                                 1, batch),
              CUBLAS_STATUS_SUCCESS);
    for (std::int64_t index = 0; index < batch; ++index)
        for (std::int64_t i = 0; i < m; ++i) {
            float right = 0;
            for (std::int64_t l = 0; l < n; ++l) right += a[index * m * n + i + l * m] * x[index * n + l];
            EXPECT_NEAR(dy.values()[index * m + i], right, 1e-6);
            EXPECT_EQ(dz.values()[index * m + i], dy.values()[index * m + i]);
        }
}

TEST(Vector, OuterProducts) {
    using C = std::complex<float>;
    const Handle handle;
    const std::int64_t m = 3, n = 4;
    const auto x = random_values<C>(m, 1), y = random_values<C>(n, 2), a = random_values<C>(m * n, 3);
    for (const bool conjugate : {false, true}) {
        const DeviceArray<C> dx(x), dy(y), da(a);
        const C alpha{0, 1};
        const auto function = conjugate ? cublasCgerc_v2 : cublasCgeru_v2;
        ASSERT_EQ(
            function(handle, m, n, cuda(&alpha), cuda(dx.get()), 1, cuda(dy.get()), 1, cuda(da.get()), m),
            CUBLAS_STATUS_SUCCESS);
        for (std::int64_t j = 0; j < n; ++j)
            for (std::int64_t i = 0; i < m; ++i) {
                const C right = a[i + j * m] + alpha * x[i] * (conjugate ? std::conj(y[j]) : y[j]);
                EXPECT_LE(std::abs(da.values()[i + j * m] - right), 1e-6);
            }
    }
}

TEST(Vector, LevelOne) {
    const Handle handle;
    const DeviceArray<float> x({3, -4, 1, -9}), y({1, 1, 1, 1});
    const float alpha = 2;
    EXPECT_EQ(cublasSaxpy_v2(handle, 4, &alpha, x.get(), 1, y.get(), 1), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(y.values(), (std::vector<float>{7, -7, 3, -17}));
    EXPECT_EQ(cublasSscal_v2(handle, 2, &alpha, y.get(), 2), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(y.values(), (std::vector<float>{14, -7, 6, -17}));
    float result = 0;
    EXPECT_EQ(cublasSnrm2_v2(handle, 2, x.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(result, 5);
    EXPECT_EQ(cublasSasum_v2(handle, 4, x.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(result, 17);
    int index = 0;
    EXPECT_EQ(cublasIsamax_v2(handle, 4, x.get(), 1, &index), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(index, 4);
    EXPECT_EQ(cublasIsamin_v2(handle, 4, x.get(), 1, &index), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(index, 3);
    EXPECT_EQ(cublasIsamin_v2(handle, 0, x.get(), 1, &index), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(index, 0);
    EXPECT_EQ(cublasSswap_v2(handle, 2, x.get(), 1, y.get(), -1), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(x.values(), (std::vector<float>{-7, 14, 1, -9}));
    EXPECT_EQ(cublasScopy_v2(handle, 2, x.get(), 1, y.get(), 1), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(y.values()[1], 14);
    const DeviceArray<float> huge({3e38f, 3e38f});
    EXPECT_EQ(cublasSnrm2_v2(handle, 1, huge.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(result, 3e38f);
}

TEST(Solve, Triangular) {
    expect_trsm<float>(cublasStrsm_v2);
    expect_trsm<double>(cublasDtrsm_v2);
    expect_trsm<std::complex<float>>(cublasCtrsm_v2);
    expect_trsm<std::complex<double>>(cublasZtrsm_v2);
}

TEST(Solve, BatchedTriangular) {
    expect_trsm<double>([](cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                           cublasOperation_t operation, cublasDiagType_t diag, std::int64_t m, std::int64_t n,
                           const double* alpha, const double* a, std::int64_t lda, double* b,
                           std::int64_t ldb) {
        const DeviceArray<double*> pa({const_cast<double*>(a)}), pb({b});
        return cublasDtrsmBatched(handle, side, uplo, operation, diag, static_cast<int>(m),
                                  static_cast<int>(n), alpha, pa.get(), static_cast<int>(lda), pb.get(),
                                  static_cast<int>(ldb), 1);
    });
}

TEST(Solve, Lu) {
    expect_lu<float>(cublasSgetrfBatched, cublasSgetrsBatched);
    expect_lu<double>(cublasDgetrfBatched, cublasDgetrsBatched);
    expect_lu<std::complex<float>>(cublasCgetrfBatched, cublasCgetrsBatched);
    expect_lu<std::complex<double>>(cublasZgetrfBatched, cublasZgetrsBatched);
}

TEST(Solve, SingularMatrixSaysWhere) {
    const Handle handle;
    const DeviceArray<double> a({1, 0, 0, 0});
    const DeviceArray<double*> entry({a.get()});
    const DeviceArray<int> pivots({0, 0}), info({-1});
    ASSERT_EQ(cublasDgetrfBatched(handle, 2, entry.get(), 2, pivots.get(), info.get(), 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(info.values()[0], 2);
}

TEST(Solve, LeastSquares) {
    expect_least_squares<float>(cublasSgelsBatched);
    expect_least_squares<double>(cublasDgelsBatched);
    expect_least_squares<std::complex<float>>(cublasCgelsBatched);
    expect_least_squares<std::complex<double>>(cublasZgelsBatched);
}

// R is what Q^H A must be; the norms of A's columns survive.
TEST(Solve, QrKeepsTheColumnNorms) {
    const Handle handle;
    const int m = 7, n = 4;
    const auto a = random_values<double>(m * n, 1);
    const DeviceArray<double> da(a), tau(std::vector<double>{0, 0, 0, 0});
    const DeviceArray<double*> pa({da.get()}), pt({tau.get()});
    int info = -1;
    ASSERT_EQ(cublasDgeqrfBatched(handle, m, n, pa.get(), m, pt.get(), &info, 1), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(info, 0);
    const auto r = da.values();
    for (int j = 0; j < n; ++j) {
        double before = 0, after = 0;
        for (int i = 0; i < m; ++i) before += a[i + j * m] * a[i + j * m];
        for (int i = 0; i <= j; ++i) after += r[i + j * m] * r[i + j * m];
        EXPECT_NEAR(after, before, 1e-12);
    }
    EXPECT_EQ(cublasDgeqrfBatched(handle, m, -1, pa.get(), m, pt.get(), &info, 1),
              CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(info, -2);
}
