// Data that repeat themselves: the rounding errors of a legal kernel add up, and are no fault; a fault is one
// still.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

using Draw = std::function<double()>;

// fill(k, line) -> the element of a line of an operand.
struct Pattern {
    const char* name;
    std::function<std::function<double(std::int64_t)>(Draw draw, std::mt19937_64& g)> line;
    bool alike;  // all rows are the same, and all columns
};

auto period(std::size_t length) {
    return [length](const Draw& draw, std::mt19937_64&) {
        std::vector<double> values(length);
        for (double& value : values) value = draw();
        return [values](std::int64_t k) { return values[static_cast<std::size_t>(k) % values.size()]; };
    };
}

const std::vector<Pattern>& patterns() {
    static const std::vector<Pattern> all = {
        {"constant", period(1), false},
        {"constant, lines alike", period(1), true},
        {"period 2", period(2), false},
        {"period 3, lines alike", period(3), true},
        {"period 7", period(7), false},
        {"half constant",
         [](const Draw& draw, std::mt19937_64&) {
             return [value = draw(), draw](std::int64_t k) { return k % 1024 < 512 ? value : draw(); };
         },
         false},
        {"runs of 16",
         [](const Draw& draw, std::mt19937_64&) {
             return [draw, value = 0.0](std::int64_t k) mutable {
                 if (k % 16 == 0) value = draw();
                 return value;
             };
         },
         false},
        {"two values",
         [](const Draw& draw, std::mt19937_64& g) {
             return [a = draw(), b = draw(), &g](std::int64_t) { return g() % 2 != 0 ? a : b; };
         },
         false},
        {"0 and 1 by a constant",
         [](const Draw& draw, std::mt19937_64& g) {
             return [value = draw(), &g](std::int64_t) { return g() % 2 != 0 ? value : 0.0; };
         },
         false},
    };
    return all;
}

void fill(Workload& w, const Pattern& pattern, const Draw& draw, std::mt19937_64& g) {
    const GemmProblem& p = w.problem;
    const auto set = [&](const MatrixView& view, std::int64_t lines, bool rows) {
        for (std::int64_t line = 0; line < lines; ++line) {
            const bool copied = pattern.alike && line > 0;
            const auto value = pattern.line(draw, g);
            for (std::int64_t k = 0; k < p.k; ++k) {
                const std::int64_t from = rows ? 0 : k, column = rows ? k : 0;
                const double x = copied ? read(view, from, column, 0).real() : value(k);
                write(view, rows ? line : k, rows ? k : line, 0, x);
            }
        }
    };
    set(p.a, p.m, true);
    set(p.b, p.n, false);
}

struct Kernel {
    const char* name;
    DataType type, output;
    Arithmetic how;
    bool tf32 = false;
};
const Kernel kKernels[] = {
    {"fp32 FMA", DataType::f32, DataType::f32, {Model::fused}},
    {"fp32 sequential", DataType::f32, DataType::f32, {Model::sequential}},
    {"fp32 blocked", DataType::f32, DataType::f32, {Model::blocked}},
    {"fp32 split", DataType::f32, DataType::f32, {Model::split}},
    {"TF32 H100", DataType::f32, DataType::f32, {Model::tensor_core, 8, 25, 11}, true},
    {"bf16 H100", DataType::bf16, DataType::bf16, {Model::tensor_core, 16, 25}},
    {"bf16 by fp32 FMA", DataType::bf16, DataType::bf16, {Model::fused}},
    {"bf16 to fp32", DataType::bf16, DataType::f32, {Model::tensor_core, 16, 25}},
    {"fp8 H100", DataType::e4m3, DataType::bf16, {Model::tensor_core, 32, 13}},
    {"fp16 H100", DataType::f16, DataType::f16, {Model::tensor_core, 16, 25}},
};

Contract contract_of(const Kernel& kernel) {
    CallFacts facts;
    facts.a = facts.b = kernel.type;
    facts.output = kernel.output;
    facts.tf32_allowed = kernel.tf32;
    facts.ieee = kernel.how.model != Model::tensor_core;
    return contract_for(facts);
}

// What any profile's checks say of it: "" where all pass.
std::string complaint(const GemmProblem& problem, const Contract& contract, std::uint64_t seed) {
    const auto judged = [&](const ErrorStats& stats, bool precision) {
        Assessment a = assess(stats, contract, problem);
        if (precision)
            add_precision(a, find_precision(run_precision(problem, contract, seed), contract, problem));
        return a.verdict == Judgement::pass ? std::string() : a.reason;
    };
    std::string all = judged(run_check(problem, contract), true) +
                      judged(run_check(problem, contract, sampled_coverage(problem, 4, 4, 1, seed)), false);
    for (const ChecksumChoice& choice : {ChecksumChoice{128, 1, seed}, ChecksumChoice{16, 4, seed}}) {
        const double sigmas = 6 * run_checksum(problem, contract, choice).max_ratio;
        if (sigmas > 6) all += " checksum: " + std::to_string(sigmas) + " sigma";
    }
    return all;
}

TEST(RepeatedData, LegalKernelsPass) {
    std::mt19937_64 g(31);
    for (const Kernel& kernel : kKernels) {
        const Contract contract = contract_of(kernel);
        for (const Pattern& pattern : patterns()) {
            for (const Distribution distribution : {Distribution::normal, Distribution::positive}) {
                for (const std::int64_t k : {340, 2048}) {
                    Workload w({9, 33, k, 1}, kernel.type, kernel.type, kernel.output, kernel.output);
                    fill(w, pattern, draws(distribution, g), g);
                    compute(w, kernel.how);
                    EXPECT_EQ(complaint(w.problem, contract, g()), "")
                        << kernel.name << ", " << pattern.name << ", " << name(distribution) << ", K " << k;
                }
            }
        }
    }
}

class FaultOnRepeatedData : public ::testing::TestWithParam<std::string> {};

TEST_P(FaultOnRepeatedData, IsFound) {
    std::mt19937_64 g(32);
    const Contract contract = contract_for(CallFacts{});
    for (const Pattern& pattern : patterns()) {
        Workload w({9, 33, 340, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        fill(w, pattern, draws(Distribution::positive, g), g);
        ASSERT_TRUE(compute_with_fault(w, GetParam(), g));
        EXPECT_GT(run_check(w.problem, contract).max_ratio, 1) << pattern.name;
    }
}

INSTANTIATE_TEST_SUITE_P(Some, FaultOnRepeatedData,
                         ::testing::Values("round_inputs_bf16", "round_inputs_tf32", "drop_k", "one_element"),
                         [](const ::testing::TestParamInfo<std::string>& tested) { return tested.param; });

// Distinct products whose errors are no random walk from 0: every sum is as large as the first product (a
// gradient of the cross entropy by the target's row), or the products lie on a line.
TEST(RepeatedData, SumsThatStartLargeAndProductsInStepAreWithinTheirBound) {
    std::mt19937_64 g(34);
    const Contract contract = contract_for(CallFacts{});
    const auto uniform = draws(Distribution::uniform, g);
    for (const bool counting : {false, true}) {
        const std::int64_t k = counting ? 4096 : 512, lines = counting ? 16 : 128;
        Workload w({lines, lines, k, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        for (std::int64_t line = 0; line < lines; ++line) {
            const double value = 1 + 0x1p-13 * std::fabs(uniform());
            for (std::int64_t i = 0; i < k; ++i) {
                const auto step = static_cast<double>(i);
                write(w.problem.a, line, i, 0, counting ? value : (i == 0 ? 1.02 : 0x1p-15 * uniform()));
                write(w.problem.b, i, line, 0, counting ? step : (i == 0 ? 1 : uniform()));
            }
        }
        compute(w, {Model::fused});
        const ErrorStats stats = run_check(w.problem, contract);
        EXPECT_LE(stats.max_ratio, 1) << (counting ? "in step" : "large first");
        EXPECT_EQ(counting ? "" : complaint(w.problem, contract, 1), "");
        EXPECT_GT(stats.max_eta, 2 * std::sqrt(static_cast<double>(k)) + 3)
            << "no element needed a second look";
    }
}

// Products that are distinct, and sums that are exact, have no such excuse.
TEST(RepeatedData, OrdinaryDataKeepTheirBound) {
    std::mt19937_64 g(33);
    const Contract contract = contract_for(CallFacts{});
    const Draw integers = [&g] { return static_cast<double>(g() % 10); };
    const Draw ones = [] { return 1.0; };
    for (const Draw& draw : {draws(Distribution::positive, g), integers, ones}) {
        Workload w({9, 33, 2048, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        w.fill(draw);
        compute(w, {Model::fused});
        EXPECT_EQ(complaint(w.problem, contract, 1), "");
        // Three times what a random walk may come to, and far below what equal errors could add up to.
        const double g_of = naive(w.problem, 3, 5, 0).g;
        const double error = 3 * 0x1p-24 * (2 * std::sqrt(2048.0) + 3) * g_of;
        write(w.problem.d, 3, 5, 0, read(w.problem.d, 3, 5, 0).real() + error);
        EXPECT_GT(run_check(w.problem, contract).max_ratio, 1);
    }
}

}  // namespace
}  // namespace fumi::test
