// Every matrix product of cuBLAS against the naive one, in every layout. Built twice: ieee and tensor-core
// numerics.
#include <cblas.h>
#include <gtest/gtest.h>

#include "tests/softcuda/blas/device_array.h"
#include "tests/softcuda/blas/reference.h"
#include "tools/softcuda/blas/handle.h"

using namespace reference;
using fake::DeviceArray;

namespace {

bool tensor() {
    return softcuda::settings().numerics == softcuda::Numerics::tensorcore;
}

class Handle {
  public:
    Handle() { EXPECT_EQ(cublasCreate_v2(&handle_), CUBLAS_STATUS_SUCCESS); }
    ~Handle() { EXPECT_EQ(cublasDestroy_v2(handle_), CUBLAS_STATUS_SUCCESS); }
    operator cublasHandle_t() const { return handle_; }

  private:
    cublasHandle_t handle_ = nullptr;
};

struct Layout {
    cublasOperation_t ta, tb;
    std::int64_t m, n, k, pad = 3;
    std::int64_t batch = 1;
    bool shared_a = false;  // batch stride 0
    std::int64_t rows_a() const { return ta == CUBLAS_OP_N ? m : k; }
    std::int64_t rows_b() const { return tb == CUBLAS_OP_N ? k : n; }
    std::int64_t lda() const { return rows_a() + pad; }
    std::int64_t ldb() const { return rows_b() + pad; }
    std::int64_t ldc() const { return m + pad; }
    std::int64_t stride_a() const { return shared_a ? 0 : lda() * (ta == CUBLAS_OP_N ? k : m) + 5; }
    std::int64_t stride_b() const { return ldb() * (tb == CUBLAS_OP_N ? n : k) + 7; }
    std::int64_t stride_c() const { return ldc() * n + 1; }
    std::int64_t size_a() const { return lda() * (ta == CUBLAS_OP_N ? k : m) + stride_a() * batch; }
    std::int64_t size_b() const { return stride_b() * batch; }
    std::int64_t size_c() const { return stride_c() * batch; }
};

std::vector<Layout> layouts() {
    std::vector<Layout> all;
    for (const auto ta : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C})
        for (const auto tb : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
            all.push_back({ta, tb, 17, 9, 33});
            all.push_back({ta, tb, 1, 5, 7, 0, 3});
            all.push_back({ta, tb, 6, 1, 20, 1, 2, true});
        }
    all.push_back({CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 0});
    return all;
}

// A call under test, told the operands' addresses on the device.
template <class In, class Out>
using Call = std::function<cublasStatus_t(const Layout&, const void* alpha, const In* a, const In* b,
                                          const void* beta, Out* c)>;

// `unit_sum` is the unit of the accumulation. Everything between the columns' ends must stay as it was.
template <class In, class Out, class Scale>
void expect_product(const Call<In, Out>& call, const Layout& x, Scale alpha, Scale beta, double unit_sum) {
    const auto a = random_values<In>(x.size_a(), 1), b = random_values<In>(x.size_b(), 2);
    const auto c = random_values<Out>(x.size_c(), 3);
    const DeviceArray<In> da(a), db(b);
    const DeviceArray<Out> dc(c);
    ASSERT_EQ(call(x, &alpha, da.get(), db.get(), &beta, dc.get()), CUBLAS_STATUS_SUCCESS);
    const auto result = dc.values();
    std::vector<bool> written(c.size());
    for (std::int64_t batch = 0; batch < x.batch; ++batch) {
        const auto at_a = column_major(a, x.lda(), x.ta, batch * x.stride_a());
        const auto at_b = column_major(b, x.ldb(), x.tb, batch * x.stride_b());
        for (std::int64_t j = 0; j < x.n; ++j)
            for (std::int64_t i = 0; i < x.m; ++i) {
                const std::int64_t at = batch * x.stride_c() + i + j * x.ldc();
                written[at] = true;
                const Entry sum = product(at_a, at_b, i, j, x.k);
                const Value right = value_of(alpha) * sum.value + value_of(beta) * value_of(c[at]);
                const long double size =
                    std::abs(value_of(alpha)) * sum.size + std::abs(value_of(beta) * value_of(c[at]));
                const long double bound = 2 * (static_cast<long double>(x.k) + 4) * unit_sum * size +
                                          unit<Out>() * std::abs(right) * 1.01L + 1e-44L;
                ASSERT_LE(std::abs(value_of(result[at]) - right), bound)
                    << "op " << x.ta << x.tb << " (" << i << ", " << j << ") batch " << batch << " k " << x.k;
            }
    }
    for (std::size_t i = 0; i < c.size(); ++i)
        ASSERT_TRUE(written[i] || value_of(result[i]) == value_of(c[i])) << "written outside the matrix";
}

template <class In, class Out, class Scale>
void expect_products(const Call<In, Out>& call, bool batched, double unit_sum) {
    for (const Layout& x : layouts()) {
        if (!batched && x.batch != 1) continue;
        for (const auto& [alpha, beta] : {std::pair{1.0, 0.0}, {-0.5, 2.0}, {0.0, 1.0}, {0.0, 0.0}})
            expect_product<In, Out, Scale>(call, x, softcuda::blas::store<Scale>(alpha),
                                           softcuda::blas::store<Scale>(beta), unit_sum);
    }
}

template <class Cuda, class T>
auto cast(T* pointer) {
    if constexpr (std::is_const_v<T>)
        return reinterpret_cast<const Cuda*>(pointer);
    else
        return reinterpret_cast<Cuda*>(pointer);
}

template <class T, class Cuda, class Function>
Call<T, T> plain(cublasHandle_t handle, Function function) {
    return [=](const Layout& x, const void* alpha, const T* a, const T* b, const void* beta, T* c) {
        using I = int;
        return function(handle, x.ta, x.tb, static_cast<I>(x.m), static_cast<I>(x.n), static_cast<I>(x.k),
                        static_cast<const Cuda*>(alpha), cast<Cuda>(a), static_cast<I>(x.lda()),
                        cast<Cuda>(b), static_cast<I>(x.ldb()), static_cast<const Cuda*>(beta), cast<Cuda>(c),
                        static_cast<I>(x.ldc()));
    };
}

template <class T, class Cuda, class Function>
Call<T, T> strided(cublasHandle_t handle, Function function) {
    return [=](const Layout& x, const void* alpha, const T* a, const T* b, const void* beta, T* c) {
        using I = int;
        return function(handle, x.ta, x.tb, static_cast<I>(x.m), static_cast<I>(x.n), static_cast<I>(x.k),
                        static_cast<const Cuda*>(alpha), cast<Cuda>(a), static_cast<I>(x.lda()), x.stride_a(),
                        cast<Cuda>(b), static_cast<I>(x.ldb()), x.stride_b(), static_cast<const Cuda*>(beta),
                        cast<Cuda>(c), static_cast<I>(x.ldc()), x.stride_c(), static_cast<I>(x.batch));
    };
}

// Device arrays of the entries' addresses.
template <class Cuda, class T>
DeviceArray<Cuda*> entries(T* base, std::int64_t stride, std::int64_t batch) {
    std::vector<Cuda*> pointers;
    for (std::int64_t i = 0; i < batch; ++i)
        pointers.push_back(reinterpret_cast<Cuda*>(const_cast<std::remove_const_t<T>*>(base) + i * stride));
    return DeviceArray<Cuda*>(pointers);
}

template <class T, class Cuda, class Function>
Call<T, T> batched(cublasHandle_t handle, Function function) {
    return [=](const Layout& x, const void* alpha, const T* a, const T* b, const void* beta, T* c) {
        using I = int;
        const auto pa = entries<Cuda>(a, x.stride_a(), x.batch), pb = entries<Cuda>(b, x.stride_b(), x.batch),
                   pc = entries<Cuda>(c, x.stride_c(), x.batch);
        return function(handle, x.ta, x.tb, static_cast<I>(x.m), static_cast<I>(x.n), static_cast<I>(x.k),
                        static_cast<const Cuda*>(alpha), pa.get(), static_cast<I>(x.lda()), pb.get(),
                        static_cast<I>(x.ldb()), static_cast<const Cuda*>(beta), pc.get(),
                        static_cast<I>(x.ldc()), static_cast<I>(x.batch));
    };
}

template <class In, class Out>
Call<In, Out> strided_ex(cublasHandle_t handle, cudaDataType in, cudaDataType out,
                         cublasComputeType_t compute) {
    return [=](const Layout& x, const void* alpha, const In* a, const In* b, const void* beta, Out* c) {
        const auto n = [](std::int64_t i) { return static_cast<int>(i); };
        return cublasGemmStridedBatchedEx(handle, x.ta, x.tb, n(x.m), n(x.n), n(x.k), alpha, a, in,
                                          n(x.lda()), x.stride_a(), b, in, n(x.ldb()), x.stride_b(), beta, c,
                                          out, n(x.ldc()), x.stride_c(), n(x.batch), compute,
                                          CUBLAS_GEMM_DEFAULT_TENSOR_OP);
    };
}

template <class In, class Out>
Call<In, Out> ex(cublasHandle_t handle, cudaDataType in, cudaDataType out, cublasComputeType_t compute) {
    return [=](const Layout& x, const void* alpha, const In* a, const In* b, const void* beta, Out* c) {
        const auto n = [](std::int64_t i) { return static_cast<int>(i); };
        return cublasGemmEx(handle, x.ta, x.tb, n(x.m), n(x.n), n(x.k), alpha, a, in, n(x.lda()), b, in,
                            n(x.ldb()), beta, c, out, n(x.ldc()), compute, CUBLAS_GEMM_DEFAULT);
    };
}

constexpr double u32 = 0x1p-24, u64 = 0x1p-53;
// The tensor-core accumulator truncates to 24 bits: twice the unit of rounding.
double u_tensor() {
    return tensor() ? 2 * u32 : u32;
}

}  // namespace

TEST(Gemm, SinglePrecision) {
    const Handle handle;
    expect_products<float, float, float>(plain<float, float>(handle, cublasSgemm_v2), false, u32);
    expect_products<float, float, float>(plain<float, float>(handle, cublasSgemm_v2_64), false, u32);
    expect_products<float, float, float>(strided<float, float>(handle, cublasSgemmStridedBatched), true, u32);
    expect_products<float, float, float>(batched<float, float>(handle, cublasSgemmBatched), true, u32);
}
TEST(Gemm, DoublePrecision) {
    const Handle handle;
    expect_products<double, double, double>(plain<double, double>(handle, cublasDgemm_v2), false, u64);
    expect_products<double, double, double>(strided<double, double>(handle, cublasDgemmStridedBatched), true,
                                            u64);
    expect_products<double, double, double>(batched<double, double>(handle, cublasDgemmBatched), true, u64);
}
TEST(Gemm, Complex) {
    using C = std::complex<float>;
    using Z = std::complex<double>;
    const Handle handle;
    expect_products<C, C, C>(plain<C, cuComplex>(handle, cublasCgemm_v2), false, 2 * u32);
    expect_products<C, C, C>(plain<C, cuComplex>(handle, cublasCgemm3m), false, 2 * u32);
    expect_products<C, C, C>(strided<C, cuComplex>(handle, cublasCgemmStridedBatched), true, 2 * u32);
    expect_products<C, C, C>(batched<C, cuComplex>(handle, cublasCgemmBatched), true, 2 * u32);
    expect_products<Z, Z, Z>(plain<Z, cuDoubleComplex>(handle, cublasZgemm_v2), false, 2 * u64);
    expect_products<Z, Z, Z>(strided<Z, cuDoubleComplex>(handle, cublasZgemmStridedBatched), true, 2 * u64);
    expect_products<Z, Z, Z>(batched<Z, cuDoubleComplex>(handle, cublasZgemmBatched), true, 2 * u64);
}
TEST(Gemm, LowPrecision) {
    const Handle handle;
    constexpr auto compute = CUBLAS_COMPUTE_32F;
    expect_products<BFloat16, BFloat16, float>(
        ex<BFloat16, BFloat16>(handle, CUDA_R_16BF, CUDA_R_16BF, compute), false, u_tensor());
    expect_products<BFloat16, float, float>(ex<BFloat16, float>(handle, CUDA_R_16BF, CUDA_R_32F, compute),
                                            false, u_tensor());
    expect_products<Half, Half, float>(ex<Half, Half>(handle, CUDA_R_16F, CUDA_R_16F, compute), false,
                                       u_tensor());
    expect_products<Half, float, float>(ex<Half, float>(handle, CUDA_R_16F, CUDA_R_32F, compute), false,
                                        u_tensor());
    expect_products<BFloat16, BFloat16, float>(
        strided_ex<BFloat16, BFloat16>(handle, CUDA_R_16BF, CUDA_R_16BF, compute), true, u_tensor());
    expect_products<Half, Half, float>(strided_ex<Half, Half>(handle, CUDA_R_16F, CUDA_R_16F, compute), true,
                                       u_tensor());
}
TEST(Gemm, HalfAccumulator) {
    const Handle handle;
    const double u = tensor() ? 0x1p-11 : u32;
    expect_products<Half, Half, Half>(ex<Half, Half>(handle, CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_16F),
                                      false, u);
}
TEST(Gemm, SgemmExAndCgemmEx) {
    const Handle handle;
    const auto single = [&](cudaDataType in) {
        return [=, &handle](const Layout& x, const void* alpha, const BFloat16* a, const BFloat16* b,
                            const void* beta, float* c) {
            const auto n = [](std::int64_t i) { return static_cast<int>(i); };
            return cublasSgemmEx(handle, x.ta, x.tb, n(x.m), n(x.n), n(x.k), static_cast<const float*>(alpha),
                                 a, in, n(x.lda()), b, in, n(x.ldb()), static_cast<const float*>(beta), c,
                                 CUDA_R_32F, n(x.ldc()));
        };
    };
    expect_products<BFloat16, float, float>(single(CUDA_R_16BF), false, u_tensor());
}
TEST(Gemm, IntegersAreExact) {
    const Handle handle;
    for (const Layout& shape : layouts()) {
        Layout x = shape;
        if (x.batch != 1) continue;
        x.pad = 4 - x.rows_a() % 4;  // leading dimensions must be multiples of four
        if (x.lda() % 4 != 0 || x.ldb() % 4 != 0) continue;
        expect_product<std::int8_t, std::int32_t, std::int32_t>(
            ex<std::int8_t, std::int32_t>(handle, CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I), x, 1, 0, 0);
    }
    expect_product<std::int8_t, std::int32_t, std::int32_t>(
        ex<std::int8_t, std::int32_t>(handle, CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I),
        {CUBLAS_OP_T, CUBLAS_OP_N, 8, 12, 40, 4}, 1, 0, 0);
}

// TF32 is used where cuBLAS would use it, and nowhere else.
TEST(Gemm, Tf32OnlyWhereAllowed) {
    const Handle handle;
    const Layout x{CUBLAS_OP_N, CUBLAS_OP_N, 16, 16, 64, 0};
    const auto error = [&](cublasMath_t math, cublasComputeType_t compute, bool typed) {
        EXPECT_EQ(cublasSetMathMode(handle, math), CUBLAS_STATUS_SUCCESS);
        const auto a = random_values<float>(x.size_a(), 1), b = random_values<float>(x.size_b(), 2);
        const DeviceArray<float> da(a), db(b), dc(std::vector<float>(x.size_c()));
        const float one = 1, zero = 0;
        const auto call = typed ? plain<float, float>(handle, cublasSgemm_v2)
                                : ex<float, float>(handle, CUDA_R_32F, CUDA_R_32F, compute);
        EXPECT_EQ(call(x, &one, da.get(), db.get(), &zero, dc.get()), CUBLAS_STATUS_SUCCESS);
        const auto c = dc.values();
        long double worst = 0;
        for (std::int64_t j = 0; j < x.n; ++j)
            for (std::int64_t i = 0; i < x.m; ++i) {
                const auto right = product(column_major(a, x.lda()), column_major(b, x.ldb()), i, j, x.k);
                worst = std::max(worst, std::abs(value_of(c[i + j * x.ldc()]) - right.value));
            }
        return static_cast<double>(worst);
    };
    const auto is_low = [&](double e) { return e > 1e-4; };
    for (const bool typed : {false, true}) {
        EXPECT_FALSE(is_low(error(CUBLAS_DEFAULT_MATH, CUBLAS_COMPUTE_32F, typed)));
        EXPECT_EQ(is_low(error(CUBLAS_TF32_TENSOR_OP_MATH, CUBLAS_COMPUTE_32F, typed)), tensor());
        EXPECT_FALSE(is_low(error(CUBLAS_PEDANTIC_MATH, CUBLAS_COMPUTE_32F, typed)));
        const auto flagged = static_cast<cublasMath_t>(CUBLAS_TF32_TENSOR_OP_MATH |
                                                       CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
        EXPECT_EQ(is_low(error(flagged, CUBLAS_COMPUTE_32F, typed)), tensor());
    }
    EXPECT_FALSE(is_low(error(CUBLAS_TF32_TENSOR_OP_MATH, CUBLAS_COMPUTE_32F_PEDANTIC, false)));
    EXPECT_EQ(is_low(error(CUBLAS_DEFAULT_MATH, CUBLAS_COMPUTE_32F_FAST_TF32, false)), tensor());
    EXPECT_EQ(is_low(error(CUBLAS_DEFAULT_MATH, CUBLAS_COMPUTE_32F_FAST_16F, false)), tensor());
    const double bf16 = error(CUBLAS_DEFAULT_MATH, CUBLAS_COMPUTE_32F_FAST_16BF, false);
    EXPECT_EQ(bf16 > 4e-3, tensor());
    EXPECT_EQ(fake::last_kernel_name().find("bf") != std::string::npos, tensor());
}

TEST(Gemm, ComplexTf32) {
    using C = std::complex<float>;
    const Handle handle;
    ASSERT_EQ(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH), CUBLAS_STATUS_SUCCESS);
    expect_products<C, C, C>(plain<C, cuComplex>(handle, cublasCgemm_v2), false,
                             tensor() ? 0x1p-10 : 2 * u32);
}

// alpha and beta are read when the work runs, from the device.
TEST(Gemm, ScalarsOnTheDevice) {
    const Handle handle;
    ASSERT_EQ(cublasSetPointerMode_v2(handle, CUBLAS_POINTER_MODE_DEVICE), CUBLAS_STATUS_SUCCESS);
    const DeviceArray<float> a({2}), b({3}), c({10}), alpha({0.5f}), beta({0.25f});
    ASSERT_EQ(cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, alpha.get(), a.get(), 1, b.get(), 1,
                             beta.get(), c.get(), 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(c.values()[0], 0.5f * 6 + 2.5f);
}

// The bits do not depend on where the operands lie.
TEST(Gemm, SameBitsAtAnyAlignment) {
    const Handle handle;
    const std::int64_t m = 67, n = 45, k = 129;
    const auto a = random_values<float>(m * k, 1), b = random_values<float>(k * n, 2);
    const float one = 1, zero = 0;
    std::vector<std::vector<float>> results;
    for (const std::size_t offset : {0, 4, 20, 36, 60}) {
        const DeviceArray<float> da(a, offset), db(b, 64 - offset),
            dc(std::vector<float>(m * n), offset / 2 * 2);
        ASSERT_EQ(cublasSgemm_v2(handle, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, da.get(), k, db.get(), k,
                                 &zero, dc.get(), m),
                  CUBLAS_STATUS_SUCCESS);
        results.push_back(dc.values());
    }
    for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST(Gemm, NanInUnreadOperandsStaysOut) {
    const Handle handle;
    const DeviceArray<float> bad({NAN}), c({NAN});
    const float one = 1, zero = 0;
    ASSERT_EQ(cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &zero, bad.get(), 1, bad.get(), 1,
                             &zero, c.get(), 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(c.values()[0], 0.0f);
    ASSERT_EQ(cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, bad.get(), 1, bad.get(), 1,
                             &zero, c.get(), 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_TRUE(std::isnan(c.values()[0]));
}

TEST(Gemm, BadArguments) {
    const Handle handle;
    const DeviceArray<float> x(std::vector<float>(64));
    float* p = x.get();
    const float one = 1;
    const auto call = [&](cublasHandle_t h, int ta, int m, int n, int k, const float* alpha, float* a,
                          int lda, int ldb, int ldc, float* c) {
        return cublasSgemm_v2(h, static_cast<cublasOperation_t>(ta), CUBLAS_OP_N, m, n, k, alpha, a, lda, p,
                              ldb, &one, c, ldc);
    };
    EXPECT_EQ(call(nullptr, 0, 2, 2, 2, &one, p, 2, 2, 2, p), CUBLAS_STATUS_NOT_INITIALIZED);
    EXPECT_EQ(call(handle, 9, 2, 2, 2, &one, p, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, -1, 2, 2, &one, p, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, -2, 2, &one, p, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, -2, &one, p, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, &one, p, 1, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 1, 2, 2, 4, &one, p, 3, 4, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, &one, p, 2, 1, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, &one, p, 2, 2, 1, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, nullptr, p, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, &one, nullptr, 2, 2, 2, p), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 2, 2, 2, &one, p, 2, 2, 2, nullptr), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call(handle, 0, 0, 2, 2, nullptr, nullptr, 1, 2, 1, nullptr), CUBLAS_STATUS_SUCCESS);
}

TEST(Gemm, UnsupportedCombinations) {
    const Handle handle;
    const DeviceArray<float> x(std::vector<float>(64));
    const float one = 1;
    const auto call = [&](cudaDataType a, cudaDataType b, cudaDataType c, cublasComputeType_t compute) {
        return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &one, x.get(), a, 4, x.get(), b, 4,
                            &one, x.get(), c, 4, compute, CUBLAS_GEMM_DEFAULT);
    };
    EXPECT_EQ(call(CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(call(CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_16F), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(call(CUDA_R_32F, CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(call(CUDA_R_16F, CUDA_R_16F, CUDA_R_16BF, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(call(CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_64F), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(call(CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_32F, CUBLAS_COMPUTE_32F),
              CUBLAS_STATUS_NOT_SUPPORTED);
}

// A processor too new for OpenBLAS to know would get kernels of 2004.
TEST(OpenBlas, UsesTheVectorUnitsThatAreThere) {
    const std::string core = openblas_get_corename();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        EXPECT_NE(core, "Prescott");
        EXPECT_NE(core, "Katmai");
    }
    EXPECT_EQ(getenv("OPENBLAS_CORETYPE"), nullptr);
}

TEST(Handle, KeepsItsSettings) {
    const Handle handle;
    cublasPointerMode_t mode{};
    EXPECT_EQ(cublasSetPointerMode_v2(handle, CUBLAS_POINTER_MODE_DEVICE), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasGetPointerMode_v2(handle, &mode), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(mode, CUBLAS_POINTER_MODE_DEVICE);
    EXPECT_EQ(cublasSetMathMode(handle, static_cast<cublasMath_t>(6)), CUBLAS_STATUS_INVALID_VALUE);
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cublasSetStream_v2(handle, reinterpret_cast<cudaStream_t>(0x10)), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasGetStream_v2(handle, &stream), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(stream, reinterpret_cast<cudaStream_t>(0x10));
    EXPECT_EQ(cublasSetWorkspace_v2(handle, reinterpret_cast<void*>(8), 8), CUBLAS_STATUS_INVALID_VALUE);
    int version = 0;
    EXPECT_EQ(cublasGetVersion_v2(handle, &version), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(version, CUBLAS_VERSION);
    EXPECT_EQ(cublasDestroy_v2(nullptr), CUBLAS_STATUS_NOT_INITIALIZED);
}
