// What precision was really used, on emulations of what a library may do.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/calibration.h"
#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

using Products = std::vector<double>;

struct Used {
    const char* name;
    DataType type, output;
    bool tf32_allowed;
    Arithmetic how;
    InputFormat inputs;
    bool accumulator_below;
    bool below;  // than what is promised
    int split = 0;
};

Arithmetic with(Arithmetic how, int input_bits, bool rounded, bool three = false) {
    how.input_bits = input_bits;
    how.input_rounding = rounded;
    how.three_products = three;
    return how;
}
Arithmetic narrow(Arithmetic how, int bits) {
    how.accumulator_bits = bits;
    return how;
}
Arithmetic split(Arithmetic how, int parts, bool in_order) {
    how.split_parts = parts;
    how.split_in_order = in_order;
    return how;
}

std::vector<Used> used() {
    constexpr DataType f32 = DataType::f32, bf16 = DataType::bf16, f16 = DataType::f16;
    using F = InputFormat;
    const Arithmetic h100{Model::tensor_core, 16, 25}, tf32{Model::tensor_core, 8, 25};
    return {
        {"fp32 FMA", f32, f32, false, {Model::fused}, F::as_stored, false, false},
        {"fp32 blocked", f32, f32, false, {Model::blocked}, F::as_stored, false, false},
        {"fp32 sequential", f32, f32, false, {Model::sequential}, F::as_stored, false, false},
        {"TF32 truncated", f32, f32, false, with(tf32, 11, false), F::tf32_truncated, false, true},
        {"TF32 rounded", f32, f32, false, with(tf32, 11, true), F::tf32, false, true},
        {"TF32 allowed", f32, f32, true, with(tf32, 11, false), F::tf32_truncated, false, false},
        {"TF32 allowed, fp32 used", f32, f32, true, {Model::fused}, F::as_stored, false, false},
        {"bf16x1", f32, f32, false, with(h100, 8, true), F::bf16, false, true},
        {"bf16x1 truncated", f32, f32, false, with(h100, 8, false), F::bf16_truncated, false, true},
        {"bf16x3", f32, f32, false, with(h100, 8, true, true), F::bf16x3, false, true},
        {"bf16x3 FMA", f32, f32, false, with({Model::fused}, 8, true, true), F::bf16x3, false, true},
        {"fp16 accumulate", f32, f32, false, narrow({Model::fused}, 11), F::as_stored, true, true},
        {"fp16 accumulate, tensor core", f16, f32, false, narrow(h100, 11), F::as_stored, true, true},
        {"fp16 in and out, accumulate", f16, f16, false, narrow(h100, 11), F::as_stored, true, true},
        {"bf16 tensor core", bf16, bf16, false, h100, F::as_stored, false, false},
        {"fp16 tensor core", f16, f16, false, h100, F::as_stored, false, false},
        {"bf16 to fp32", bf16, f32, false, h100, F::as_stored, false, false},
        {"bf16 split in fp32 sum", bf16, bf16, false, split(h100, 4, false), F::as_stored, false, true, 4},
        {"bf16 split in order", bf16, bf16, false, split(h100, 3, true), F::as_stored, false, true, 3},
        {"fp16 split", f16, f16, false, split(h100, 2, false), F::as_stored, false, true, 2},
    };
}

Contract contract_of(const Used& one) {
    CallFacts facts;
    facts.a = facts.b = one.type;
    facts.output = one.output;
    facts.tf32_allowed = one.tf32_allowed;
    return contract_for(facts);
}

// Where the accumulation's own noise hides it: the sums of positive numbers are large against sqrt(Q).
bool hidden(const Used& one, Distribution distribution, std::int64_t k) {
    return distribution == Distribution::positive && k > 256 && (one.how.three_products || one.split > 0);
}

class EveryUse : public ::testing::TestWithParam<std::size_t> {};

TEST_P(EveryUse, IsNamed) {
    const Used one = used()[GetParam()];
    const Contract contract = contract_of(one);
    std::mt19937_64 g(31);
    for (const Distribution distribution : kDistributions) {
        for (const std::int64_t k : {64, 512}) {
            if (hidden(one, distribution, k)) continue;
            Workload w({16, 16, k, 1}, one.type, one.type, one.output, one.output);
            w.fill(draws(distribution, g));
            compute(w, one.how);
            const PrecisionFinding found =
                find_precision(run_precision(w.problem, contract), contract, w.problem);
            const std::string where = std::string(one.name) + ", " + name(distribution) + ", K " +
                                      std::to_string(k) + ": " + found.text;
            EXPECT_EQ(found.inputs, one.inputs) << where;
            EXPECT_EQ(found.accumulator_below, one.accumulator_below) << where;
            EXPECT_EQ(found.split_parts > 0, one.split > 0) << where;
            EXPECT_EQ(found.below(), one.below) << where;
            EXPECT_EQ(found.text.empty(), !one.below) << where;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, EveryUse, ::testing::Range(std::size_t{0}, used().size()));

TEST(Precision, FindsTheNumberOfParts) {
    std::mt19937_64 g(32);
    for (const int parts : {2, 3, 5, 8}) {
        Used one = used().back();
        one.how.split_parts = parts;
        Workload w({16, 16, 480, 1}, one.type, one.type, one.output, one.output);
        w.fill(draws(Distribution::normal, g));
        compute(w, one.how);
        CallFacts facts;
        facts.a = facts.b = one.type;
        facts.output = one.output;
        facts.reduced_precision_reduction = true;
        const Contract contract = contract_for(facts);
        const PrecisionFinding found =
            find_precision(run_precision(w.problem, contract), contract, w.problem);
        EXPECT_EQ(found.split_parts, parts) << found.text;
        EXPECT_FALSE(found.below()) << "the program allows it";
        Assessment a;
        a.reason = "within";
        add_precision(a, found);
        EXPECT_EQ(a.verdict, Judgement::pass);
        EXPECT_NE(a.reason.find("partial sums stored in fp16, which the program allows"), std::string::npos)
            << a.reason;
    }
}

// Layouts, batches, scalars, bias and activation reach the reference as they do in the check.
TEST(Precision, OfAWholeEpilogue) {
    std::mt19937_64 g(33);
    Workload w({24, 20, 200, 3}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    w.lay_out(w.problem.a, Layout::rows, 3, true);
    w.lay_out(w.problem.b, Layout::columns, 1, false);
    w.fill(draws(Distribution::normal, g));
    compute(w, {Model::tensor_core, 8, 25, 11, true});
    auto* bias = static_cast<float*>(w.bytes(24 * sizeof(float)));
    for (int i = 0; i < 24; ++i) bias[i] = static_cast<float>(i) / 8;
    for (std::int64_t i = 0; i < 24 * 20 * 3; ++i) {
        const std::int64_t row = i % 24, col = i / 24 % 20, batch = i / 480;
        const double x = 1.5 * read(w.problem.d, row, col, batch).real() + bias[row];
        write(w.problem.d, row, col, batch, x > 0 ? x : 0);
    }
    w.problem.alpha.re = 1.5;
    w.problem.bias = bias;
    w.problem.bias_type = DataType::f32;
    w.problem.activation = Activation::relu;
    const Contract contract = contract_for(CallFacts{});
    const PrecisionStats stats = run_precision(w.problem, contract);
    EXPECT_GT(stats.entries, 20) << "about half the entries are positive";
    EXPECT_LT(stats.entries, 50);
    EXPECT_EQ(find_precision(stats, contract, w.problem).inputs, InputFormat::tf32);
}

TEST(Precision, AFaultIsNoPrecision) {
    std::mt19937_64 g(34);
    for (const std::string& fault : kFaults) {
        if (fault.starts_with("round_inputs") || fault == "fp16_accumulate") continue;
        Workload w({48, 40, 96, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        w.fill(draws(Distribution::normal, g));
        ASSERT_TRUE(compute_with_fault(w, fault, g));
        const Contract contract = contract_for(CallFacts{});
        const PrecisionFinding found =
            find_precision(run_precision(w.problem, contract), contract, w.problem);
        EXPECT_EQ(found.text, "") << fault;
    }
}

TEST(Precision, OneSentenceNamesWhatWasPromisedAndFound) {
    Contract contract = contract_for(CallFacts{});
    PrecisionFinding found;
    found.inputs_below = true;
    found.text = "promised fp32 FMA, found inputs as bf16 (8 bits)";
    Assessment a;
    a.reason = "within fp32 FMA";
    add_precision(a, found);
    EXPECT_EQ(a.verdict, Judgement::warn);
    EXPECT_EQ(a.reason,
              "reduced precision: promised fp32 FMA, found inputs as bf16 (8 bits); within fp32 FMA");
    a.verdict = Judgement::fail;
    add_precision(a, found);
    EXPECT_EQ(a.verdict, Judgement::fail) << "the bound is broken still";
}

// Every kind of unit of docs/numerics.md, and chains.
TEST(Calibration, RecoversTheConstantsOfEachUnit) {
    const auto measure = [](const Arithmetic& how, int largest) {
        return measure_core([&](const Products& a, const Products& b) { return dot(a, b, how); }, largest);
    };
    const int units[][2] = {{4, 24}, {8, 24}, {8, 25}, {16, 25}, {32, 25}, {4, 23}};
    for (const auto& [kb, fraction] : units) {
        const CoreConstants core = measure({Model::tensor_core, kb, fraction}, 30);
        EXPECT_EQ(core.fused_products, kb) << fraction;
        EXPECT_EQ(core.fraction_bits, fraction) << kb;
        EXPECT_EQ(core.accumulator_bits, 24) << kb << ", " << fraction;
        EXPECT_TRUE(core.truncates);
    }
    for (const Model chain : {Model::fused, Model::sequential}) {
        const CoreConstants core = measure({chain}, 30);
        EXPECT_EQ(core.fused_products, 1);
        EXPECT_EQ(core.accumulator_bits, 24);
        EXPECT_FALSE(core.truncates);
        EXPECT_EQ(truncation_rate(core), 0);
    }
    EXPECT_EQ(measure({Model::fused, 0, 0, 0, false, 11}, 14).accumulator_bits, 11);
}

TEST(Calibration, IsReadAsItWasWritten) {
    Calibration written, read;
    written.device = "Some GPU";
    written.capability = 90;
    written.tf32 = {25, 8, 24, true};
    written.fp32 = {23, 1, 24, false};
    written.tf32_inputs = "rounded";
    std::string error;
    ASSERT_TRUE(parse(print(written), &read, &error)) << error;
    EXPECT_EQ(print(read), print(written));
    EXPECT_FALSE(parse("modes: [trace]\n", &read, &error));
    CallFacts facts;
    facts.tf32_allowed = true;
    facts.capability = 80;
    written.tf32 = {25, 16, 24, true};
    facts.calibration = &written;
    EXPECT_NEAR(contract_for(facts).bound.beta_t, 0.1125, 1e-9) << "measured, not the table's 0.27";
    facts.tf32_allowed = false;
    EXPECT_EQ(contract_for(facts).bound.beta_t, 0);
}

}  // namespace
}  // namespace fumi::test
