// Contracts from facts, and verdicts from statistics.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/verdict.h"

namespace fumi {
namespace {

CallFacts facts_of(DataType type, DataType output, int capability, int compute = 68) {
    CallFacts facts;
    facts.a = facts.b = type;
    facts.output = output;
    facts.capability = capability;
    facts.compute_type = compute;
    return facts;
}

struct Row {
    DataType type, output;
    int compute, capability;
    bool tf32;
    double beta_t;
    int accumulator_bits, p;
    const char* name;
};

TEST(Contract, TableOfConstants) {
    constexpr DataType f32 = DataType::f32, bf16 = DataType::bf16, f16 = DataType::f16, e4m3 = DataType::e4m3;
    const Row rows[] = {
        {f32, f32, 68, 90, false, 0, 24, 24, "fp32 FMA"},
        {f32, f32, 68, 80, true, 0.27, 24, 11, "TF32 tensor core (sm_80)"},
        {f32, f32, 68, 90, true, 0.135, 24, 11, "TF32 tensor core (sm_90)"},
        {f32, f32, 77, 100, false, 0.135, 24, 11, "TF32 tensor core (sm_100)"},
        {f32, f32, 69, 90, true, 0, 24, 24, "fp32 FMA"},
        {bf16, bf16, 68, 80, false, 0.225, 24, 8, "bf16 tensor core, fp32 accumulation (sm_80)"},
        {bf16, bf16, 68, 90, false, 0.1125, 24, 8, "bf16 tensor core, fp32 accumulation (sm_90)"},
        {f16, f16, 68, 100, false, 0.1125, 24, 11, "fp16 tensor core, fp32 accumulation (sm_100)"},
        {bf16, f32, 68, 90, false, 0.1125, 24, 24, "bf16 tensor core, fp32 accumulation (sm_90)"},
        {e4m3, bf16, 68, 90, false, 0.37125, 14, 8, "fp8 tensor core (sm_90)"},
        {e4m3, bf16, 68, 89, false, 0.3825, 14, 8, "fp8 tensor core (sm_89)"},
        {e4m3, bf16, 68, 100, false, 0.10125, 24, 8, "fp8 tensor core (sm_100)"},
        {f16, f16, 64, 90, false, 0.1, 11, 11, "fp16 accumulation"},
        {DataType::f64, DataType::f64, 70, 90, false, 0, 53, 53, "fp64 FMA"},
        {DataType::c32, DataType::c32, 68, 90, false, 0, 24, 24, "fp32 FMA"},
        {DataType::c64, DataType::c64, 70, 90, false, 0, 53, 53, "fp64 FMA"},
    };
    for (const Row& row : rows) {
        CallFacts facts = facts_of(row.type, row.output, row.capability, row.compute);
        facts.tf32_allowed = row.tf32;
        const Contract c = contract_for(facts);
        EXPECT_NEAR(c.bound.beta_t, row.beta_t, 1e-9) << c.name;
        EXPECT_EQ(c.bound.accumulator_bits, row.accumulator_bits) << c.name;
        EXPECT_EQ(c.bound.u_acc, std::ldexp(1.0, -row.accumulator_bits)) << c.name;
        EXPECT_EQ(c.p, row.p) << c.name;
        EXPECT_EQ(c.bound.u, std::ldexp(1.0, -row.p)) << c.name;
        EXPECT_EQ(c.inputs_converted, c.bound.input_error > 0) << c.name;
        EXPECT_TRUE(c.supported);
        EXPECT_EQ(c.name, row.name);
    }
    EXPECT_EQ(contract_for(facts_of(DataType::i8, DataType::i32, 90, 72)).bound.exact, 1);
    EXPECT_FALSE(contract_for(facts_of(DataType::i32, DataType::i32, 90)).supported);
}

TEST(Contract, WithoutTensorCoresSumsRoundToNearest) {
    CallFacts facts = facts_of(DataType::bf16, DataType::bf16, 90);
    facts.ieee = true;
    EXPECT_EQ(contract_for(facts).bound.beta_t, 0);
    EXPECT_EQ(contract_for(facts).name, "bf16 tensor core, fp32 accumulation, rounded to nearest");
}

TEST(Contract, ReducedPrecisionReduction) {
    CallFacts facts = facts_of(DataType::bf16, DataType::bf16, 90);
    EXPECT_EQ(contract_for(facts).reduction_error, 0);
    facts.reduced_precision_reduction = true;
    facts.split_k = 3;
    EXPECT_EQ(contract_for(facts).reduction_error, 5 * 0x1p-8);
    facts.split_k = 1;
    EXPECT_EQ(contract_for(facts).reduction_error, 0) << "nothing is split";
    facts.output = DataType::f32;
    facts.split_k = 0;
    EXPECT_EQ(contract_for(facts).reduction_error, 0) << "partial sums in fp32 lose nothing";
}

GemmProblem problem_of(std::int64_t m, std::int64_t n, std::int64_t batch) {
    GemmProblem p;
    p.m = m;
    p.n = n;
    p.k = 64;
    p.batch = batch;
    return p;
}

ErrorStats clean_stats() {
    ErrorStats s;
    s.elements = s.rel_elements = s.bits_elements = 100;
    s.launches = 1;
    s.max_abs_err = 1e-6;
    s.max_eta = 2.5;  // of another element than the worst
    s.max_ratio = 0.1;
    s.bound_at_max = 20;
    s.worst_index = 0;
    s.max_rel_err = 1e-6;
    s.sum_g = 500;
    s.sum_abs_r = 100;
    s.sum_floor = s.see = 100 * 0x1p-44;
    return s;
}

TEST(Verdict, Pass) {
    const Assessment a = assess(clean_stats(), contract_for(CallFacts{}), problem_of(10, 10, 1));
    EXPECT_EQ(a.verdict, Judgement::pass);
    EXPECT_EQ(a.backward_error, 2);
    EXPECT_EQ(a.bound, 20);
    EXPECT_EQ(a.kappa, 5);
    EXPECT_EQ(a.effective_bits, 24);
    EXPECT_NE(a.reason.find("fp32 FMA"), std::string::npos) << a.reason;
}

// Where the other errors are as large as expected, one that rounding cannot give is a fault though B allows
// it.
TEST(Verdict, AnUnlikelyErrorFailsWhereAllOthersAreAsExpected) {
    ErrorStats s = clean_stats();
    s.unlikely_ratio = 2;
    s.unlikely_eta = 8;
    s.unlikely_index = 23;
    s.unlikely_share = 5 * s.see;
    s.see += s.unlikely_share;
    const Contract fp32 = contract_for(CallFacts{});
    const Assessment a = assess(s, fp32, problem_of(10, 10, 1));
    EXPECT_EQ(a.verdict, Judgement::fail);
    EXPECT_EQ(a.backward_error / a.bound, 2);
    EXPECT_EQ(
        a.reason.find("row 3, column 2 is 0 where the reference is 0: 2 times what rounding in fp32 FMA"), 0)
        << a.reason;
    s.see += 2 * s.sum_floor;
    EXPECT_EQ(assess(s, fp32, problem_of(10, 10, 1)).verdict, Judgement::pass)
        << "this kernel adds otherwise";
    ErrorStats parts = clean_stats();
    merge_stats(parts, s);
    merge_stats(parts, clean_stats());
    EXPECT_EQ(parts.unlikely_index, 23);
    EXPECT_EQ(parts.unlikely_share, s.unlikely_share);
}

TEST(Verdict, LargeRelativeErrorsOfTheDataArePass) {
    ErrorStats s = clean_stats();
    s.max_rel_err = 0.3;
    s.max_kappa = 1e7;
    const Assessment a = assess(s, contract_for(CallFacts{}), problem_of(10, 10, 1));
    EXPECT_EQ(a.verdict, Judgement::pass);
    EXPECT_NE(a.reason.find("come from the data"), std::string::npos) << a.reason;
}

TEST(Verdict, FailNamesElementValuesAndCulprit) {
    ErrorStats s = clean_stats();
    s.max_ratio = 12.5;
    s.mismatches = 3;
    s.worst_index = 3 + 10 * (4 + 10 * 1);
    s.worst_value = 1.5;
    s.worst_reference = 2.5;
    const Assessment a = assess(s, contract_for(CallFacts{}), problem_of(10, 10, 2));
    EXPECT_EQ(a.verdict, Judgement::fail);
    for (const char* part : {"row 3, column 4, batch 1", "1.5", "2.5", "12.5", "3 of 100", "kernel"}) {
        EXPECT_NE(a.reason.find(part), std::string::npos) << part << " in " << a.reason;
    }
}

TEST(Verdict, UnexpectedNonFinite) {
    ErrorStats s = clean_stats();
    s.nonfinite = s.nonfinite_unexpected = 1;
    s.max_ratio = INFINITY;
    s.worst_index = 7;
    s.worst_value = NAN;
    s.worst_reference = 2;
    const Assessment a = assess(s, contract_for(CallFacts{}), problem_of(10, 10, 1));
    EXPECT_EQ(a.verdict, Judgement::fail);
    EXPECT_NE(a.reason.find("row 7, column 0 is nan"), std::string::npos) << a.reason;
}

TEST(Verdict, NothingCompared) {
    EXPECT_EQ(assess(ErrorStats{}, contract_for(CallFacts{}), problem_of(1, 1, 1)).verdict, Judgement::warn);
    ErrorStats all_nan;
    all_nan.nonfinite = all_nan.nonfinite_reference = 5;
    const Assessment a = assess(all_nan, contract_for(CallFacts{}), problem_of(5, 1, 1));
    EXPECT_EQ(a.verdict, Judgement::pass);
    EXPECT_TRUE(std::isnan(a.backward_error));
    EXPECT_TRUE(std::isnan(a.effective_bits));
}

TEST(Verdict, SplitKInTheOutputTypeIsAWarningWhereItIsAllowed) {
    CallFacts facts = facts_of(DataType::bf16, DataType::bf16, 90);
    ErrorStats s = clean_stats();
    s.max_ratio = 4;
    s.bound_at_max = 0.5;
    s.max_eta = 2;
    s.mismatches = 50;
    EXPECT_EQ(assess(s, contract_for(facts), problem_of(10, 10, 1)).verdict, Judgement::fail);
    facts.reduced_precision_reduction = true;
    facts.split_k = 2;
    EXPECT_EQ(assess(s, contract_for(facts), problem_of(10, 10, 1)).verdict, Judgement::warn);
    s.max_eta = 40;
    EXPECT_EQ(assess(s, contract_for(facts), problem_of(10, 10, 1)).verdict, Judgement::fail)
        << "more than it explains";
}

TEST(Verdict, EmulatedFp64PromisesNormsOnly) {
    ErrorStats s = clean_stats();
    s.max_ratio = 3;
    const auto emulated = contract_for(facts_of(DataType::f64, DataType::f64, 100, 79));
    EXPECT_EQ(assess(s, emulated, problem_of(10, 10, 1)).verdict, Judgement::warn);
}

}  // namespace
}  // namespace fumi
