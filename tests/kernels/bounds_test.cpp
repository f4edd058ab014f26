// The bound holds for every legal way to compute, on five distributions, and is broken by every kind of
// fault.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

struct Legal {
    const char* name;
    DataType type, output;
    CallFacts facts;
    Arithmetic how;
};

CallFacts facts_of(DataType type, DataType output, int capability, bool tf32) {
    CallFacts facts;
    facts.a = facts.b = type;
    facts.output = output;
    facts.capability = capability;
    facts.tf32_allowed = tf32;
    return facts;
}

std::vector<Legal> legal_kernels() {
    constexpr DataType f32 = DataType::f32, bf16 = DataType::bf16, f16 = DataType::f16, e4m3 = DataType::e4m3;
    const CallFacts plain = facts_of(f32, f32, 90, false);
    std::vector<Legal> all = {
        {"fp32 sequential", f32, f32, plain, {Model::sequential}},
        {"fp32 FMA", f32, f32, plain, {Model::fused}},
        {"fp32 blocked", f32, f32, plain, {Model::blocked}},
        {"fp32 split", f32, f32, plain, {Model::split}},
        {"TF32 allowed, computed in fp32", f32, f32, facts_of(f32, f32, 90, true), {Model::fused}},
        {"TF32 A100", f32, f32, facts_of(f32, f32, 80, true), {Model::tensor_core, 4, 24, 11}},
        {"TF32 H100", f32, f32, facts_of(f32, f32, 90, true), {Model::tensor_core, 8, 25, 11}},
        {"bf16 A100", bf16, bf16, facts_of(bf16, bf16, 80, false), {Model::tensor_core, 8, 24}},
        {"bf16 H100", bf16, bf16, facts_of(bf16, bf16, 90, false), {Model::tensor_core, 16, 25}},
        {"bf16 by fp32 and one rounding", bf16, bf16, facts_of(bf16, bf16, 90, false), {Model::fused}},
        {"bf16 H100, fp32 output", bf16, f32, facts_of(bf16, f32, 90, false), {Model::tensor_core, 16, 25}},
        {"fp16 H100", f16, f16, facts_of(f16, f16, 90, false), {Model::tensor_core, 16, 25}},
        {"fp8 B200", e4m3, bf16, facts_of(e4m3, bf16, 100, false), {Model::tensor_core, 32, 25}},
        {"fp8 H100", e4m3, bf16, facts_of(e4m3, bf16, 90, false), {Model::tensor_core, 32, 13}},
    };
    for (Legal& one : all) {
        if (one.how.model != Model::tensor_core) one.facts.ieee = one.type != f32;
    }
    return all;
}

TEST(Bound, HoldsForLegalKernels) {
    std::mt19937_64 g(21);
    for (const Legal& legal : legal_kernels()) {
        const Contract contract = contract_for(legal.facts);
        double largest = 0;
        for (const Distribution distribution : kDistributions) {
            for (const std::int64_t k : {1, 64, 1024}) {
                Workload w({12, 16, k, 1}, legal.type, legal.type, legal.output, legal.output);
                w.fill(draws(distribution, g));
                compute(w, legal.how);
                const ErrorStats stats = run_check(w.problem, contract);
                const Assessment a = assess(stats, contract, w.problem);
                EXPECT_EQ(a.verdict, Judgement::pass)
                    << legal.name << ", " << name(distribution) << ", K " << k << ": " << a.reason;
                largest = std::max(largest, stats.max_ratio);
            }
        }
        // A bound that nothing comes near would be no test: half an ulp alone gives 0.1 and more at K = 1.
        // (What is computed in fp32 where TF32 is allowed stays far below.)
        if (contract.inputs_converted && legal.how.model != Model::tensor_core) continue;
        EXPECT_GT(largest, 0.1) << legal.name;
    }
}

TEST(Bound, PlainFp32IsTooGoodForTf32AndTf32TooBadForFp32) {
    std::mt19937_64 g(22);
    for (const Distribution distribution : kDistributions) {
        Workload w({24, 24, 256, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        w.fill(draws(distribution, g));
        compute(w, {Model::tensor_core, 8, 25, 11});
        const Contract plain = contract_for(facts_of(DataType::f32, DataType::f32, 90, false));
        const Assessment a = assess(run_check(w.problem, plain), plain, w.problem);
        EXPECT_EQ(a.verdict, Judgement::fail) << name(distribution);
    }
}

class EveryFault : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryFault, IsFound) {
    std::mt19937_64 g(23);
    for (const DataType type : {DataType::f32, DataType::bf16}) {
        int effective = 0, found = 0;
        for (int run = 0; run < 6; ++run) {
            Workload w({48, 40, 96, 1}, type, type, type, type);
            w.fill(draws(kDistributions[run % 3], g));
            auto* bias = static_cast<float*>(w.bytes(48 * sizeof(float)));
            for (int i = 0; i < 48; ++i) bias[i] = 1;
            w.problem.bias = bias;
            w.problem.bias_type = DataType::f32;
            if (!compute_with_fault(w, GetParam(), g)) continue;
            ++effective;
            const Contract contract = contract_for(facts_of(type, type, 90, false));
            found += assess(run_check(w.problem, contract), contract, w.problem).verdict == Judgement::fail
                         ? 1
                         : 0;
        }
        EXPECT_EQ(found, effective) << type_name(type);
        EXPECT_TRUE(effective > 0 || type == DataType::bf16);
    }
}

INSTANTIATE_TEST_SUITE_P(All, EveryFault, ::testing::ValuesIn(kFaults),
                         [](const ::testing::TestParamInfo<std::string>& tested) { return tested.param; });

// Sums that cancel to a part in a million of what flows into them: the data's doing, and no excuse for a
// kernel.
TEST(Bound, DataThatCancelPassAndStillShowADroppedProduct) {
    std::mt19937_64 g(27);
    Workload w({32, 24, 256, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    w.fill(draws(Distribution::normal, g));
    // The second half of K takes away what the first half adds, but for a few last places.
    for (std::int64_t k = 0; k < 128; ++k) {
        for (std::int64_t row = 0; row < 32; ++row)
            write(w.problem.a, row, k + 128, 0, -read(w.problem.a, row, k, 0).real() * (1 + 0x1p-18));
        for (std::int64_t col = 0; col < 24; ++col)
            write(w.problem.b, k + 128, col, 0, read(w.problem.b, k, col, 0));
    }
    compute(w, {Model::fused});
    const Contract contract = contract_for(CallFacts{});
    const Assessment clean = assess(run_check(w.problem, contract), contract, w.problem);
    EXPECT_EQ(clean.verdict, Judgement::pass) << clean.reason;
    EXPECT_GT(clean.kappa, 1e4);
    EXPECT_GT(clean.max_rel_err, 1e-3) << "nothing cancelled";
    EXPECT_NE(clean.reason.find("come from the data"), std::string::npos) << clean.reason;
    for (std::int64_t i = 0; i < 32 * 24; ++i) {
        const std::int64_t row = i % 32, col = i / 32;
        const double dropped = (read(w.problem.a, row, 5, 0) * read(w.problem.b, 5, col, 0)).real();
        write(w.problem.d, row, col, 0, read(w.problem.d, row, col, 0).real() - dropped);
    }
    EXPECT_EQ(assess(run_check(w.problem, contract), contract, w.problem).verdict, Judgement::fail);
}

double bits_of_inputs(int input_bits, Model model, std::int64_t k, Distribution distribution,
                      bool rounded = true) {
    std::mt19937_64 g(24);
    Workload w({16, 16, k, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    w.fill(draws(distribution, g));
    Arithmetic how{model, 8, 25, input_bits, rounded};
    compute(w, how);
    return effective_bits(run_check(w.problem, contract_for(CallFacts{})), DataType::f32);
}

TEST(EffectiveBits, TellTheInputsPrecision) {
    for (const std::int64_t k : {64, 512, 2048}) {
        EXPECT_NEAR(bits_of_inputs(8, Model::tensor_core, k, Distribution::normal), 8.2, 0.8) << k;
        EXPECT_NEAR(bits_of_inputs(11, Model::tensor_core, k, Distribution::normal), 11, 0.8) << k;
        EXPECT_NEAR(bits_of_inputs(16, Model::fused, k, Distribution::normal), 16, 0.8) << k;
        EXPECT_GE(bits_of_inputs(0, Model::fused, k, Distribution::normal), 20) << k;
        EXPECT_GE(bits_of_inputs(0, Model::sequential, k, Distribution::positive), 20) << k;
    }
}

TEST(EffectiveBits, TruncatedInputsAreABiasAlongTheResult) {
    // Cutting to 11 bits moves every product by 0.72 * 2^-10 on average, which is no noise.
    for (const Distribution distribution : kDistributions) {
        for (const std::int64_t k : {16, 64, 512, 2048}) {
            EXPECT_NEAR(bits_of_inputs(11, Model::tensor_core, k, distribution, false), 11, 0.4)
                << name(distribution) << ", K " << k;
        }
    }
}

TEST(EffectiveBits, TruncationIsABiasThatTheRunningSumsExplain) {
    std::mt19937_64 g(26);
    Workload w({16, 16, 512, 1}, DataType::bf16, DataType::bf16, DataType::f32, DataType::f32);
    w.fill(draws(Distribution::positive, g));
    compute(w, {Model::tensor_core, 16, 25});
    const ErrorStats s =
        run_check(w.problem, contract_for(facts_of(DataType::bf16, DataType::f32, 90, false)));
    EXPECT_LT(s.see - s.sez * s.sez / s.szz, 0.1 * s.see);
    EXPECT_LT(s.sez, 0) << "truncated sums are too small";
}

TEST(EffectiveBits, AnUnannouncedLowerPrecisionIsAWarningWhereTheBoundHolds) {
    // 17 bits: what three bf16 products give. At this K the bound of fp32 FMA is wider than the error.
    std::mt19937_64 g(25);
    Workload w({16, 16, 1024, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    w.fill(draws(Distribution::normal, g));
    compute(w, {Model::blocked, 0, 0, 17, true});
    const Contract contract = contract_for(CallFacts{});
    const Assessment a = assess(run_check(w.problem, contract), contract, w.problem);
    EXPECT_EQ(a.verdict, Judgement::warn) << a.reason;
    EXPECT_NEAR(a.effective_bits, 17, 0.8);
}

}  // namespace
}  // namespace fumi::test
