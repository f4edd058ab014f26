// The check bodies against a naive reference in 113 bits: every type, layout, epilogue and coverage.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/kernels/support.h"

namespace fumi::test {
namespace {

struct Types {
    DataType a, b, d;
    int compute;
};
constexpr Types kTypes[] = {
    {DataType::f32, DataType::f32, DataType::f32, 68},
    {DataType::f64, DataType::f64, DataType::f64, 70},
    {DataType::f16, DataType::f16, DataType::f16, 68},
    {DataType::bf16, DataType::bf16, DataType::bf16, 68},
    {DataType::bf16, DataType::bf16, DataType::f32, 68},
    {DataType::f16, DataType::f16, DataType::f32, 68},
    {DataType::e4m3, DataType::e4m3, DataType::bf16, 68},
    {DataType::e4m3, DataType::e5m2, DataType::f32, 68},
    {DataType::e5m2, DataType::e4m3, DataType::e4m3, 68},
    {DataType::e5m2, DataType::e4m3, DataType::e5m2, 68},
    {DataType::i8, DataType::i8, DataType::i32, 72},
    {DataType::i8, DataType::i8, DataType::f32, 68},
    {DataType::c32, DataType::c32, DataType::c32, 68},
    {DataType::c64, DataType::c64, DataType::c64, 70},
};

Contract contract_of(const GemmProblem& p, int compute) {
    CallFacts facts;
    facts.a = p.a.type;
    facts.b = p.b.type;
    facts.output = p.d.type;
    facts.compute_type = compute;
    return contract_for(facts);
}

std::function<double()> numbers_for(DataType type, std::mt19937_64& g) {
    if (type == DataType::i8) return [&g] { return static_cast<double>(static_cast<int>(g() % 255) - 127); };
    return draws(Distribution::normal, g);
}

// Everything that both sides compute, to the accuracy of the sums.
void expect_same(const ErrorStats& got, const ErrorStats& want, double u) {
    EXPECT_EQ(got.elements, want.elements);
    EXPECT_EQ(got.rel_elements, want.rel_elements);
    EXPECT_NEAR(got.max_abs_err, want.max_abs_err, 1e-6 * want.max_abs_err);
    EXPECT_NEAR(got.max_eta, want.max_eta, 1e-6 * want.max_eta);
    EXPECT_NEAR(got.sum_g, want.sum_g, 1e-12 * want.sum_g);
    EXPECT_NEAR(got.sum_abs_r, want.sum_abs_r, 1e-12 * want.sum_abs_r);
    EXPECT_NEAR(got.max_kappa, want.max_kappa, 1e-6 * want.max_kappa);
    EXPECT_NEAR(got.max_rel_err, want.max_rel_err, 1e-6 * want.max_rel_err + 1e-6 * u);
    EXPECT_NEAR(got.sum_rel_err2, want.sum_rel_err2, 1e-6 * want.sum_rel_err2);
}

void expect_right(Workload& w, int compute) {
    w.compute_exactly();
    const Contract contract = contract_of(w.problem, compute);
    const ErrorStats clean = run_check(w.problem, contract);
    expect_same(clean, naive_stats(w.problem, contract.bound), contract.bound.u);
    EXPECT_LE(clean.max_ratio, 1) << "a correctly rounded result is within every bound";
    EXPECT_EQ(clean.nonfinite, 0u);
    EXPECT_EQ(clean.launches, 1u);

    // One wrong element: found, and named.
    GemmProblem& p = w.problem;
    const std::int64_t row = p.m - 1, col = p.n / 2, batch = p.batch - 1;
    const auto right = read(p.d, row, col, batch);
    write(p.d, row, col, batch,
          right + std::complex<double>(contract.bound.exact != 0 ? 1 : 4 + 2 * std::abs(right), 0));
    const ErrorStats wrong = run_check(p, contract);
    EXPECT_EQ(wrong.mismatches, 1u);
    EXPECT_EQ(wrong.worst_index, row + p.m * (col + p.n * batch));
    EXPECT_EQ(wrong.worst_value, read(p.d, row, col, batch).real());
    EXPECT_EQ(assess(wrong, contract, p).verdict, Judgement::fail);
}

class EveryType : public ::testing::TestWithParam<Types> {};

TEST_P(EveryType, LayoutsStridesBatches) {
    const Types t = GetParam();
    std::mt19937_64 g(1);
    for (int variant = 0; variant < 6; ++variant) {
        Workload w({37, 70, 67, 1 + variant % 2}, t.a, t.b, t.d, t.d);
        const auto layout = [&](int bit) {
            return (variant >> bit) % 2 != 0 ? Layout::rows : Layout::columns;
        };
        w.lay_out(w.problem.a, layout(0), variant, variant > 3);
        w.lay_out(w.problem.b, layout(1), variant, variant > 3);
        w.lay_out(w.problem.d, layout(2), variant, variant > 4);
        w.problem.a.conjugate = is_complex(t.a) && variant % 2 != 0;
        w.problem.b.conjugate = is_complex(t.a) && variant > 2;
        w.fill(numbers_for(t.a, g));
        SCOPED_TRACE("variant " + std::to_string(variant));
        expect_right(w, t.compute);
    }
}

TEST_P(EveryType, AlphaAndBeta) {
    const Types t = GetParam();
    std::mt19937_64 g(2);
    const bool integers = t.d == DataType::i32;
    Workload w({33, 5, 40, 2}, t.a, t.b, t.d, t.d);
    w.fill(numbers_for(t.a, g));
    w.problem.alpha.re = integers ? 3 : 0.75;
    w.problem.alpha.im = is_complex(t.a) ? -0.5 : 0;
    w.problem.beta.re = integers ? -2 : 1.25;
    w.problem.beta.im = is_complex(t.a) ? 0.25 : 0;
    expect_right(w, t.compute);
    // The same two from device memory.
    const auto values = is_complex(t.a) ? DataType::c64 : DataType::f64;
    auto* device = static_cast<double*>(w.bytes(4 * sizeof(double)));
    device[0] = 0.5;
    device[2] = integers ? 1 : 3;
    if (integers) device[0] = 2;
    w.problem.alpha = {99, 99, device, values};
    w.problem.beta = {99, 99, device + 2, values};
    expect_right(w, t.compute);
}

TEST_P(EveryType, NothingToMultiply) {
    const Types t = GetParam();
    std::mt19937_64 g(3);
    Workload w({9, 9, 0, 1}, t.a, t.b, t.d, t.d);
    w.fill(numbers_for(t.a, g));
    w.problem.beta.re = 1;
    expect_right(w, t.compute);
    // alpha = 0: A and B are not read, whatever they hold.
    Workload zero({9, 9, 4, 1}, t.a, t.b, t.d, t.d);
    zero.fill(numbers_for(t.a, g));
    if (precision_bits(t.a) > 0) write(zero.problem.a, 2, 2, 0, NAN);
    zero.problem.alpha.re = 0;
    zero.problem.beta.re = 1;
    expect_right(zero, t.compute);
}

std::string types_name(const ::testing::TestParamInfo<Types>& tested) {
    return std::string(type_name(tested.param.a)) + "_" + type_name(tested.param.b) + "_" +
           type_name(tested.param.d);
}
INSTANTIATE_TEST_SUITE_P(All, EveryType, ::testing::ValuesIn(kTypes), types_name);

TEST(Epilogue, BiasActivationAux) {
    std::mt19937_64 g(4);
    for (DataType type : {DataType::f32, DataType::bf16, DataType::f16, DataType::f64}) {
        for (Activation activation : {Activation::none, Activation::relu, Activation::gelu_tanh}) {
            // cuBLASLt has no GELU in fp64
            if (type == DataType::f64 && activation == Activation::gelu_tanh) continue;
            Workload w({40, 50, 16, 2}, type, type, type, type);
            w.fill(draws(Distribution::normal, g));
            auto* bias = static_cast<float*>(w.bytes(80 * sizeof(float)));
            for (int i = 0; i < 80; ++i)
                bias[i] = static_cast<float>(std::normal_distribution<double>(1, 3)(g));
            w.problem.bias = bias;
            w.problem.bias_type = DataType::f32;
            w.problem.bias_batch_stride = 40;
            w.problem.activation = activation;
            if (activation != Activation::none) {
                w.problem.aux.type = type;
                w.lay_out(w.problem.aux, Layout::columns, 3, false);
            }
            SCOPED_TRACE(std::string(type_name(type)) + " activation " +
                         std::to_string(static_cast<int>(activation)));
            expect_right(w, type == DataType::f64 ? 70 : 68);
            if (activation == Activation::none) continue;
            w.compute_exactly();
            write(w.problem.aux, 7, 8, 1, 100);
            const ErrorStats stats = run_check(w.problem, contract_of(w.problem, 68));
            EXPECT_EQ(stats.aux_mismatches, 1u);
            EXPECT_EQ(stats.worst_index, 7 + 40 * (8 + 50 * 1));
        }
    }
}

TEST(Epilogue, Fp8Scales) {
    std::mt19937_64 g(5);
    for (ScaleKind kind : {ScaleKind::scalar, ScaleKind::outer}) {
        for (DataType output : {DataType::bf16, DataType::f32, DataType::e4m3}) {
            Workload w({40, 50, 64, 1}, DataType::e4m3, DataType::e4m3, DataType::bf16, output);
            w.fill(draws(Distribution::normal, g));
            const auto scales = [&](int count) {
                auto* all = static_cast<float*>(w.bytes(static_cast<std::size_t>(count) * sizeof(float)));
                for (int i = 0; i < count; ++i)
                    all[i] = static_cast<float>(std::uniform_real_distribution<double>(.1, 2)(g));
                return Scale{kind, all};
            };
            w.problem.scale_a = scales(40);
            w.problem.scale_b = scales(50);
            w.problem.scale_d = {ScaleKind::scalar, scales(1).device};
            expect_right(w, 68);
        }
    }
}

TEST(NonFinite, InputsPropagate) {
    std::mt19937_64 g(6);
    for (DataType type : {DataType::f32, DataType::bf16, DataType::f64, DataType::c32}) {
        Workload w({40, 40, 40, 1}, type, type, type, type);
        w.fill(draws(Distribution::normal, g));
        write(w.problem.a, 3, 4, 0, NAN);
        write(w.problem.b, 5, 6, 0, INFINITY);
        w.compute_exactly();
        for (int i = 0; i < 40; ++i) write(w.problem.d, 3, i, 0, NAN);
        const Contract contract = contract_of(w.problem, type == DataType::f64 ? 70 : 68);
        ErrorStats stats = run_check(w.problem, contract);
        EXPECT_EQ(stats.nonfinite_reference, 79u) << "a row and a column";
        EXPECT_EQ(stats.nonfinite_inputs, 79u);
        EXPECT_EQ(stats.nonfinite_unexpected, 0u);
        EXPECT_EQ(stats.elements, 1600u - 79);
        EXPECT_EQ(assess(stats, contract, w.problem).verdict, Judgement::pass);
        // A kernel that hides a NaN, and one that makes one.
        write(w.problem.d, 3, 9, 0, 1.0);
        write(w.problem.d, 9, 9, 0, NAN);
        stats = run_check(w.problem, contract);
        EXPECT_EQ(stats.nonfinite_unexpected, 2u);
        EXPECT_EQ(stats.nonfinite_inputs, 78u) << "neither the hidden one nor the kernel's own";
        EXPECT_EQ(stats.worst_index, 3 + 40 * 9);
        EXPECT_EQ(assess(stats, contract, w.problem).verdict, Judgement::fail);
    }
}

TEST(NonFinite, OverflowIsLegalWhereTheTypeEnds) {
    Workload w({2, 1, 4, 1}, DataType::f16, DataType::f16, DataType::f16, DataType::f16);
    w.fill([] { return 128.0; });  // 4 * 128^2 = 65536
    write(w.problem.d, 0, 0, 0, INFINITY);
    write(w.problem.d, 1, 0, 0, INFINITY);
    const Contract contract = contract_of(w.problem, 68);
    const ErrorStats both = run_check(w.problem, contract);
    EXPECT_EQ(both.nonfinite, 2u);
    EXPECT_EQ(both.nonfinite_inputs, 0u);
    EXPECT_EQ(assess(both, contract, w.problem).verdict, Judgement::pass);
    write(w.problem.a, 1, 0, 0, 64);  // 57344 fits
    const ErrorStats stats = run_check(w.problem, contract);
    EXPECT_EQ(stats.nonfinite_unexpected, 1u);
    EXPECT_EQ(stats.worst_index, 1);
    // Partial sums past the accumulator's range are legal too, whatever alpha makes of them.
    Workload big({1, 1, 2, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    big.fill([] { return 3e19; });
    big.problem.alpha.re = 1e-10;
    write(big.problem.d, 0, 0, 0, INFINITY);
    const Contract single = contract_of(big.problem, 68);
    EXPECT_EQ(assess(run_check(big.problem, single), single, big.problem).verdict, Judgement::pass);
}

TEST(NonFinite, Fp8Saturates) {
    Workload w({1, 1, 4, 1}, DataType::e4m3, DataType::e4m3, DataType::bf16, DataType::e4m3);
    w.fill([] { return 64.0; });
    write(w.problem.d, 0, 0, 0, 448);
    const Contract contract = contract_of(w.problem, 68);
    EXPECT_EQ(run_check(w.problem, contract).mismatches, 0u);
    write(w.problem.d, 0, 0, 0, 240);
    EXPECT_EQ(run_check(w.problem, contract).mismatches, 1u);
}

TEST(Subnormals, HalfAnUlpIsLegal) {
    for (DataType type : {DataType::f16, DataType::bf16, DataType::e5m2, DataType::f32}) {
        Workload w({8, 8, 4, 1}, DataType::f32, DataType::f32, type, type);
        const double tiny = type == DataType::f16 ? 1e-4 : (type == DataType::e5m2 ? 2e-3 : 3e-20);
        std::mt19937_64 g(7);
        w.fill([&] { return tiny * std::normal_distribution<double>()(g); });
        w.compute_exactly();
        const ErrorStats stats = run_check(w.problem, contract_of(w.problem, 68));
        EXPECT_EQ(stats.mismatches, 0u) << type_name(type);
        EXPECT_LE(stats.max_ratio, 1);
    }
}

TEST(DoubleDouble, BeatsFp64) {
    // Cancellation that fp64 cannot see through: 1e16 + 1 - 1e16.
    Workload w({1, 1, 3, 1}, DataType::f64, DataType::f64, DataType::f64, DataType::f64);
    const double a[] = {1e16, 1, -1e16};
    for (int k = 0; k < 3; ++k) {
        write(w.problem.a, 0, k, 0, a[k]);
        write(w.problem.b, k, 0, 0, 1);
    }
    write(w.problem.d, 0, 0, 0, 1);
    EXPECT_EQ(run_check(w.problem, contract_of(w.problem, 70)).max_abs_err, 0);
    // And products that do not fit: (1 + 2^-30)^2 - (1 + 2^-29) = 2^-60.
    Workload p({1, 1, 2, 1}, DataType::f64, DataType::f64, DataType::f64, DataType::f64);
    const double x = 1 + 0x1p-30;
    write(p.problem.a, 0, 0, 0, x);
    write(p.problem.b, 0, 0, 0, x);
    write(p.problem.a, 0, 1, 0, -(1 + 0x1p-29));
    write(p.problem.b, 1, 0, 0, 1);
    write(p.problem.d, 0, 0, 0, 0x1p-60);
    EXPECT_EQ(run_check(p.problem, contract_of(p.problem, 70)).max_abs_err, 0);
}

}  // namespace
}  // namespace fumi::test
