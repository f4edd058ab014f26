// cublasLtMatmul against the naive product: orders, transposes, epilogues, scales. Descriptors are the real
// library's. Built twice: ieee and tensor-core numerics.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/softcuda/blas/device_array.h"
#include "tests/softcuda/blas/reference.h"
#include "tools/softcuda/blas/handle.h"

using namespace reference;
using fake::DeviceArray;

namespace {

class LtHandle {
  public:
    LtHandle() { EXPECT_EQ(cublasLtCreate(&handle_), CUBLAS_STATUS_SUCCESS); }
    ~LtHandle() { EXPECT_EQ(cublasLtDestroy(handle_), CUBLAS_STATUS_SUCCESS); }
    operator cublasLtHandle_t() const { return handle_; }

  private:
    cublasLtHandle_t handle_ = nullptr;
};

class Operation {
  public:
    Operation(cublasComputeType_t compute, cudaDataType scale) {
        cublasLtMatmulDescCreate(&desc_, compute, scale);
    }
    ~Operation() { cublasLtMatmulDescDestroy(desc_); }
    template <class T>
    Operation& set(cublasLtMatmulDescAttributes_t attribute, T value) {
        EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc_, attribute, &value, sizeof value),
                  CUBLAS_STATUS_SUCCESS)
            << "attribute " << attribute;
        return *this;
    }
    Operation& transpose(bool a, bool b) {
        set(CUBLASLT_MATMUL_DESC_TRANSA, a ? CUBLAS_OP_T : CUBLAS_OP_N);
        return set(CUBLASLT_MATMUL_DESC_TRANSB, b ? CUBLAS_OP_T : CUBLAS_OP_N);
    }
    operator cublasLtMatmulDesc_t() const { return desc_; }

  private:
    cublasLtMatmulDesc_t desc_ = nullptr;
};

// A stored matrix: its layout descriptor and a reader of its elements.
template <class T>
struct Stored {
    Stored(cudaDataType type, std::int64_t rows, std::int64_t cols, bool by_rows, std::uint64_t seed,
           int batch = 1)
        : ld((by_rows ? cols : rows) + 16),
          row_order(by_rows),
          stride(ld * (by_rows ? rows : cols) + 16),
          values(random_values<T>(stride * batch, seed)),
          device(values) {
        cublasLtMatrixLayoutCreate(&layout, type, rows, cols, ld);
        const std::int32_t order = by_rows ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                         sizeof stride);
    }
    ~Stored() { cublasLtMatrixLayoutDestroy(layout); }
    Stored(const Stored&) = delete;
    Stored& operator=(const Stored&) = delete;
    std::int64_t at(std::int64_t i, std::int64_t j, std::int64_t index = 0) const {
        return index * stride + (row_order ? i * ld + j : i + j * ld);
    }
    Value value(std::int64_t i, std::int64_t j, std::int64_t index = 0) const {
        return value_of(values[at(i, j, index)]);
    }
    Value result(std::int64_t i, std::int64_t j, std::int64_t index = 0) const {
        return value_of(softcuda::view(device.get())[at(i, j, index)]);
    }

    std::int64_t ld;
    bool row_order;
    std::int64_t stride;
    std::vector<T> values;
    DeviceArray<T> device;
    cublasLtMatrixLayout_t layout = nullptr;
};

constexpr std::int64_t m = 48, n = 20, k = 64;

bool tensor() {
    return softcuda::settings().numerics == softcuda::Numerics::tensorcore;
}

long double real_gelu(long double x) {
    return 0.5L * x * (1 + std::tanh(0.797884560802865356L * (x + 0.044715L * x * x * x)));
}

// What is asked of one product, and how far a result may be off: `unit_sum` of the sum, then one rounding.
template <class In, class Out>
struct Problem {
    cudaDataType in, out;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    cudaDataType scale = CUDA_R_32F;
    bool ta = false, tb = false, row_a = false, row_b = false, row_d = false;
    int batch = 1;
    double unit_sum = 0x1p-23;
};

template <class In, class Out>
class Product {
  public:
    using P = Problem<In, Out>;
    explicit Product(const P& problem)
        : p(problem),
          operation(p.compute, p.scale),
          a(p.in, p.ta ? k : m, p.ta ? m : k, p.row_a, 1, p.batch),
          b(p.in, p.tb ? n : k, p.tb ? k : n, p.row_b, 2, p.batch),
          c(p.out, m, n, p.row_d, 3, p.batch),
          d(p.out, m, n, p.row_d, 4, p.batch) {
        operation.transpose(p.ta, p.tb);
    }

    template <class Scale>
    cublasStatus_t run(const LtHandle& handle, Scale alpha, Scale beta) {
        return run_with(handle, &alpha, &beta);
    }
    cublasStatus_t run_with(const LtHandle& handle, const void* alpha, const void* beta) {
        cublasLtMatmulPreference_t preference;
        cublasLtMatmulPreferenceCreate(&preference);
        cublasLtMatmulHeuristicResult_t result{};
        int count = 0;
        const auto found = cublasLtMatmulAlgoGetHeuristic(handle, operation, a.layout, b.layout, c.layout,
                                                          d.layout, preference, 1, &result, &count);
        cublasLtMatmulPreferenceDestroy(preference);
        const auto status = cublasLtMatmul(handle, operation, alpha, a.device.get(), a.layout, b.device.get(),
                                           b.layout, beta, c.device.get(), c.layout, d.device.get(), d.layout,
                                           &result.algo, nullptr, 0, nullptr);
        EXPECT_EQ(found, status);  // what the heuristic offers can be run, and nothing else
        EXPECT_EQ(count, found == CUBLAS_STATUS_SUCCESS ? 1 : 0);
        return status;
    }

    Entry sum(std::int64_t i, std::int64_t j, std::int64_t index = 0) const {
        const Element at_a = [&](std::int64_t x, std::int64_t l) {
            return p.ta ? a.value(l, x, index) : a.value(x, l, index);
        };
        const Element at_b = [&](std::int64_t l, std::int64_t y) {
            return p.tb ? b.value(y, l, index) : b.value(l, y, index);
        };
        return product(at_a, at_b, i, j, k);
    }

    // `right` gets the exact alpha A B (with scales) and makes the expected element of it.
    using Finish = std::function<Value(Value, std::int64_t, std::int64_t, std::int64_t)>;
    void expect(const Finish& right, long double extra = 0) const {
        for (std::int64_t index = 0; index < p.batch; ++index)
            for (std::int64_t j = 0; j < n; ++j)
                for (std::int64_t i = 0; i < m; ++i) {
                    const Entry entry = sum(i, j, index);
                    const Value wanted = right(entry.value, i, j, index);
                    const long double bound = (k + 4) * p.unit_sum * (entry.size + 4) * (1 + extra) +
                                              1.01L * unit<Out>() * std::abs(wanted) + extra;
                    ASSERT_LE(std::abs(d.result(i, j, index) - wanted), bound)
                        << i << ", " << j << " of " << index << ": "
                        << static_cast<double>(d.result(i, j, index).real()) << " for "
                        << static_cast<double>(wanted.real());
                }
    }

    P p;
    Operation operation;
    Stored<In> a, b;
    Stored<Out> c, d;
};

template <class In, class Out>
void expect_all_layouts(Problem<In, Out> p) {
    const LtHandle handle;
    for (int bits = 0; bits < 32; ++bits) {
        p.ta = (bits & 1) != 0;
        p.tb = (bits & 2) != 0;
        p.row_a = (bits & 4) != 0;
        p.row_b = (bits & 8) != 0;
        p.row_d = (bits & 16) != 0;
        p.batch = 1 + bits % 3;
        Product<In, Out> x(p);
        if (p.scale == CUDA_R_64F)
            ASSERT_EQ(x.run(handle, 0.5, -2.0), CUBLAS_STATUS_SUCCESS);
        else
            ASSERT_EQ(x.run(handle, 0.5f, -2.0f), CUBLAS_STATUS_SUCCESS);
        x.expect([&](Value s, std::int64_t i, std::int64_t j, std::int64_t index) {
            return 0.5L * s - 2.0L * x.c.value(i, j, index);
        });
    }
}

}  // namespace

TEST(LtMatmul, EveryLayoutFloat) {
    expect_all_layouts<float, float>({CUDA_R_32F, CUDA_R_32F});
}
TEST(LtMatmul, EveryLayoutBFloat16) {
    expect_all_layouts<BFloat16, BFloat16>({CUDA_R_16BF, CUDA_R_16BF});
}
TEST(LtMatmul, EveryLayoutHalfToFloat) {
    expect_all_layouts<Half, float>({CUDA_R_16F, CUDA_R_32F});
}
TEST(LtMatmul, EveryLayoutDouble) {
    expect_all_layouts<double, double>({.in = CUDA_R_64F,
                                        .out = CUDA_R_64F,
                                        .compute = CUBLAS_COMPUTE_64F,
                                        .scale = CUDA_R_64F,
                                        .unit_sum = 0x1p-52});
}

TEST(LtMatmul, BiasAndActivations) {
    const LtHandle handle;
    const auto bias = random_values<BFloat16>(m, 9);
    const DeviceArray<BFloat16> device_bias(bias);
    for (const std::uint32_t epilogue :
         {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_GELU,
          CUBLASLT_EPILOGUE_GELU_BIAS}) {
        Product<BFloat16, BFloat16> x({CUDA_R_16BF, CUDA_R_16BF});
        x.operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        x.operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(device_bias.get()));
        ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
        x.expect([&](Value s, std::int64_t i, std::int64_t, std::int64_t) -> Value {
            long double y = s.real();
            if ((epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) y += value_of(bias[i]).real();
            if ((epilogue & CUBLASLT_EPILOGUE_RELU) != 0) y = std::max(y, 0.0L);
            return (epilogue & CUBLASLT_EPILOGUE_GELU) != 0 ? real_gelu(y) : y;
        });
    }
}

TEST(LtMatmul, BiasOfAnotherTypeAndStride) {
    const LtHandle handle;
    const auto bias = random_values<float>(2 * m, 9);
    const DeviceArray<float> device_bias(bias);
    Product<Half, Half> x({.in = CUDA_R_16F, .out = CUDA_R_16F, .batch = 2});
    x.operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    x.operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(device_bias.get()));
    x.operation.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    x.operation.set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, m);
    ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    x.expect([&](Value s, std::int64_t i, std::int64_t, std::int64_t index) {
        return s + Value(bias[i + index * m]);
    });
}

// The forward pass leaves a mask; the backward pass reads it, and sums the bias gradient.
TEST(LtMatmul, ReluForwardAndBackward) {
    const LtHandle handle;
    const std::int64_t ld = 128;
    const DeviceArray<unsigned char> mask(std::vector<unsigned char>(ld / 8 * n, 0xff));
    const auto with_mask = [&](Operation& operation, std::uint32_t epilogue) {
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(mask.get()));
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
    };
    Product<float, float> forward({CUDA_R_32F, CUDA_R_32F});
    with_mask(forward.operation, CUBLASLT_EPILOGUE_RELU_AUX);
    ASSERT_EQ(forward.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    const auto positive = [&](std::int64_t i, std::int64_t j) { return forward.sum(i, j).value.real() > 0; };
    for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t i = 0; i < m; ++i)
            ASSERT_EQ((mask.values()[j * ld / 8 + i / 8] >> (i % 8) & 1) != 0, positive(i, j))
                << i << ", " << j;

    Product<float, float> backward({CUDA_R_32F, CUDA_R_32F});
    with_mask(backward.operation, CUBLASLT_EPILOGUE_DRELU_BGRAD);
    const DeviceArray<float> gradient(std::vector<float>(m, NAN));
    backward.operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(gradient.get()));
    ASSERT_EQ(backward.run(handle, 2.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    backward.expect([&](Value s, std::int64_t i, std::int64_t j, std::int64_t) {
        return positive(i, j) ? 2.0L * s : Value{};
    });
    for (std::int64_t i = 0; i < m; ++i) {
        long double right = 0;
        for (std::int64_t j = 0; j < n; ++j) right += backward.d.result(i, j).real();
        ASSERT_NEAR(gradient.values()[i], static_cast<double>(right), 1e-4);
    }
}

TEST(LtMatmul, GeluForwardAndBackward) {
    const LtHandle handle;
    const std::int64_t ld = m + 8;
    const auto bias = random_values<float>(m, 9);
    const DeviceArray<float> device_bias(bias), aux(std::vector<float>(ld * n));
    const auto with_aux = [&](Operation& operation, std::uint32_t epilogue) {
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(aux.get()));
        operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
        operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(device_bias.get()));
    };
    Product<float, float> forward({CUDA_R_32F, CUDA_R_32F});
    with_aux(forward.operation, CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
    ASSERT_EQ(forward.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    forward.expect([&](Value s, std::int64_t i, std::int64_t, std::int64_t) -> Value {
        return real_gelu(s.real() + bias[i]);
    });
    const auto before = aux.values();
    for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t i = 0; i < m; ++i)
            ASSERT_NEAR(before[j * ld + i], static_cast<double>(forward.sum(i, j).value.real() + bias[i]),
                        1e-4);

    Product<float, float> backward({CUDA_R_32F, CUDA_R_32F});
    with_aux(backward.operation, CUBLASLT_EPILOGUE_DGELU);
    ASSERT_EQ(backward.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    backward.expect(
        [&](Value s, std::int64_t i, std::int64_t j, std::int64_t) {
            const long double x = before[j * ld + i], h = 1e-4L;
            return s * (real_gelu(x + h) - real_gelu(x - h)) / (2 * h);
        },
        1e-4L);
}

TEST(LtMatmul, BiasGradientsOfTheInputs) {
    const LtHandle handle;
    for (const bool of_a : {true, false}) {
        Product<float, float> x({CUDA_R_32F, CUDA_R_32F});
        const DeviceArray<float> gradient(std::vector<float>(std::max(m, n), NAN));
        x.operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE,
                        of_a ? CUBLASLT_EPILOGUE_BGRADA : CUBLASLT_EPILOGUE_BGRADB);
        x.operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(gradient.get()));
        ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
        x.expect([](Value s, std::int64_t, std::int64_t, std::int64_t) { return s; });
        for (std::int64_t i = 0; i < (of_a ? m : n); ++i) {
            Value right{};
            for (std::int64_t l = 0; l < k; ++l) right += of_a ? x.a.value(i, l) : x.b.value(l, i);
            ASSERT_NEAR(gradient.values()[i], static_cast<double>(right.real()), 1e-4);
        }
    }
}

namespace {

Problem<E4M3, BFloat16> fp8_problem() {
    return {.in = CUDA_R_8F_E4M3, .out = CUDA_R_16BF, .ta = true, .unit_sum = tensor() ? 0x1p-13 : 0x1p-23};
}

}  // namespace

TEST(LtMatmul, Fp8WithScalarScales) {
    const LtHandle handle;
    const DeviceArray<float> scale_a({0.5f}), scale_b({4.0f});
    for (const std::int8_t fast : {std::int8_t{0}, std::int8_t{1}}) {
        Product<E4M3, BFloat16> x(fp8_problem());
        x.operation.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, static_cast<void*>(scale_a.get()));
        x.operation.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, static_cast<void*>(scale_b.get()));
        x.operation.set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast);
        ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
        x.expect([](Value s, std::int64_t, std::int64_t, std::int64_t) { return 2.0L * s; },
                 tensor() ? 1.0L : 0.0L);
    }
}

TEST(LtMatmul, Fp8WithAScaleForEachRow) {
    const LtHandle handle;
    std::vector<float> rows(m), cols(n);
    for (std::int64_t i = 0; i < m; ++i) rows[i] = static_cast<float>(i % 5 + 1) / 5;
    for (std::int64_t j = 0; j < n; ++j) cols[j] = static_cast<float>(j % 3 + 1) / 3;
    const DeviceArray<float> scale_a(rows), scale_b(cols);
    const std::int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    Product<E4M3, BFloat16> x(fp8_problem());
    x.operation.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, static_cast<void*>(scale_a.get()));
    x.operation.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, static_cast<void*>(scale_b.get()));
    x.operation.set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
    x.operation.set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
    ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
    x.expect([&](Value s, std::int64_t i, std::int64_t j, std::int64_t) {
        return s * static_cast<long double>(rows[i]) * static_cast<long double>(cols[j]);
    });
}

TEST(LtMatmul, Fp8OutputIsScaledAndItsMaximumKept) {
    const LtHandle handle;
    const DeviceArray<float> scale_d({0.25f}), amax({-1.0f});
    const Problem<E4M3, E4M3> p{
        .in = CUDA_R_8F_E4M3, .out = CUDA_R_8F_E4M3, .ta = true, .unit_sum = tensor() ? 0x1p-13 : 0x1p-23};
    Product<E4M3, E4M3> x(p);
    Stored<BFloat16> c(CUDA_R_16BF, m, n, false, 7);
    x.operation.set(CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, static_cast<void*>(scale_d.get()));
    x.operation.set(CUBLASLT_MATMUL_DESC_AMAX_D_POINTER, static_cast<void*>(amax.get()));
    const float one = 1, zero = 0;
    ASSERT_EQ(cublasLtMatmul(handle, x.operation, &one, x.a.device.get(), x.a.layout, x.b.device.get(),
                             x.b.layout, &zero, c.device.get(), c.layout, x.d.device.get(), x.d.layout,
                             nullptr, nullptr, 0, nullptr),
              CUBLAS_STATUS_SUCCESS);
    x.expect([](Value s, std::int64_t, std::int64_t, std::int64_t) { return 0.25L * s; }, 0.002L);
    long double largest = 0;
    for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t i = 0; i < m; ++i) largest = std::max(largest, std::abs(x.sum(i, j).value));
    EXPECT_NEAR(amax.values()[0], static_cast<double>(largest), tensor() ? 0.05 : 1e-4);
}

TEST(LtMatmul, IntegersAreExact) {
    const LtHandle handle;
    Product<std::int8_t, std::int32_t> x({.in = CUDA_R_8I,
                                          .out = CUDA_R_32I,
                                          .compute = CUBLAS_COMPUTE_32I,
                                          .scale = CUDA_R_32I,
                                          .ta = true,
                                          .unit_sum = 0});
    ASSERT_EQ(x.run(handle, 1, 0), CUBLAS_STATUS_SUCCESS);
    x.expect([](Value s, std::int64_t, std::int64_t, std::int64_t) { return s; });
}

TEST(LtMatmul, AlphaForEachRow) {
    const LtHandle handle;
    const auto alphas = random_values<float>(m, 5);
    const DeviceArray<float> alpha(alphas);
    Product<float, float> x({CUDA_R_32F, CUDA_R_32F});
    x.operation.set(CUBLASLT_MATMUL_DESC_POINTER_MODE, CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST);
    const float beta = 3;
    ASSERT_EQ(x.run_with(handle, alpha.get(), &beta), CUBLAS_STATUS_SUCCESS);
    x.expect([&](Value s, std::int64_t i, std::int64_t j, std::int64_t) {
        return static_cast<long double>(alphas[i]) * s + 3.0L * x.c.value(i, j);
    });
}

TEST(LtMatmul, Tf32OnlyWhereTheComputeTypeSaysSo) {
    const LtHandle handle;
    for (const auto compute : {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32}) {
        Product<float, float> x({.in = CUDA_R_32F, .out = CUDA_R_32F, .compute = compute});
        ASSERT_EQ(x.run(handle, 1.0f, 0.0f), CUBLAS_STATUS_SUCCESS);
        long double worst = 0;
        for (std::int64_t j = 0; j < n; ++j)
            for (std::int64_t i = 0; i < m; ++i)
                worst = std::max(worst, std::abs(x.d.result(i, j) - x.sum(i, j).value));
        EXPECT_EQ(worst > 1e-4L, tensor() && compute == CUBLAS_COMPUTE_32F_FAST_TF32);
    }
}

TEST(LtMatmul, WhatIsRefused) {
    const LtHandle handle;
    const auto status = [&](auto p, auto change) {
        Product x(p);
        change(x);
        return x.run(handle, 1.0f, 0.0f);
    };
    const Problem<float, float> plain{CUDA_R_32F, CUDA_R_32F};
    const auto nothing = [](auto&) {};
    EXPECT_EQ(status(plain,
                     [](auto& x) { x.operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS); }),
              CUBLAS_STATUS_INVALID_VALUE);  // no bias pointer
    EXPECT_EQ(status(plain, [](auto& x) { x.operation.set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T); }),
              CUBLAS_STATUS_INVALID_VALUE);  // shapes no longer fit
    EXPECT_EQ(status(plain,
                     [](auto& x) { x.operation.set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLAS_COMPUTE_16F); }),
              CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(status(plain,
                     [](auto& x) {
                         const std::int32_t order = CUBLASLT_ORDER_COL32;
                         cublasLtMatrixLayoutSetAttribute(x.a.layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order,
                                                          sizeof order);
                     }),
              CUBLAS_STATUS_NOT_SUPPORTED);
    auto wrong_way = fp8_problem();
    wrong_way.ta = false;
    EXPECT_EQ(status(wrong_way, nothing), CUBLAS_STATUS_NOT_SUPPORTED);
    Problem<E5M2, BFloat16> two_e5m2{.in = CUDA_R_8F_E5M2, .out = CUDA_R_16BF, .ta = true};
    EXPECT_EQ(status(two_e5m2, nothing), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(cublasLtMatmul(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                             nullptr, nullptr, nullptr, nullptr, nullptr, 0, nullptr),
              CUBLAS_STATUS_NOT_INITIALIZED);
    EXPECT_EQ(cublasLtMatmul(handle, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                             nullptr, nullptr, nullptr, nullptr, nullptr, 0, nullptr),
              CUBLAS_STATUS_INVALID_VALUE);
}

// The library's own functions can be asked about the algorithm that the heuristic gave.
TEST(LtMatmul, AlgorithmIsReadable) {
    const LtHandle handle;
    int ids[4], count = 0;
    ASSERT_EQ(cublasLtMatmulAlgoGetIds(handle, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F,
                                       CUDA_R_32F, CUDA_R_32F, 4, ids, &count),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(count, 1);
    cublasLtMatmulAlgo_t algo;
    ASSERT_EQ(cublasLtMatmulAlgoInit(handle, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F,
                                     CUDA_R_32F, CUDA_R_32F, ids[0], &algo),
              CUBLAS_STATUS_SUCCESS);
    int id = -1;
    std::size_t written = 0;
    ASSERT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&algo, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id, &written),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(id, ids[0]);
    Product<float, float> x({CUDA_R_32F, CUDA_R_32F});
    cublasLtMatmulHeuristicResult_t result{};
    EXPECT_EQ(cublasLtMatmulAlgoCheck(handle, x.operation, x.a.layout, x.b.layout, x.c.layout, x.d.layout,
                                      &algo, &result),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(result.state, CUBLAS_STATUS_SUCCESS);
}
