// Errors within the bound that rounding does not give: found in one element, and excused where an order of
// summation gives them.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

Workload fp32(std::int64_t m, std::int64_t n, std::int64_t k) {
    return Workload({m, n, k, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
}

TEST(UnlikelyErrors, OneWithinTheBoundIsFoundInFullAndNotInASample) {
    std::mt19937_64 g(41);
    const Contract contract = contract_for(CallFacts{});
    Workload w = fp32(9, 33, 1024);
    w.fill(draws(Distribution::normal, g));
    compute(w, {Model::blocked});
    EXPECT_EQ(assess(run_check(w.problem, contract), contract, w.problem).verdict, Judgement::pass);
    // 15 standard deviations of a walk, and a quarter of the bound.
    const double error = 0x1p-24 * 16 * naive(w.problem, 3, 5, 0).g;
    write(w.problem.d, 3, 5, 0, read(w.problem.d, 3, 5, 0).real() + error);
    const ErrorStats stats = run_check(w.problem, contract);
    EXPECT_LT(stats.max_ratio, 0.5);
    EXPECT_EQ(stats.unlikely_index, 3 + 9 * 5);
    const Assessment a = assess(stats, contract, w.problem);
    EXPECT_EQ(a.verdict, Judgement::fail) << stats.unlikely_ratio;
    EXPECT_NE(a.reason.find("row 3, column 5"), std::string::npos) << a.reason;
    EXPECT_EQ(run_check(w.problem, contract, sampled_coverage(w.problem, 9, 33, 1, 1)).unlikely_ratio, 0);
}

// Terms of alternating signs, each sign into sums of its own: far larger sums than in the order of k.
TEST(UnlikelyErrors, AnotherOrderOfSummationIsAnExcuse) {
    std::mt19937_64 g(42);
    const Contract contract = contract_for(CallFacts{});
    Workload w = fp32(32, 32, 2048);
    w.fill(draws(Distribution::positive, g));
    for (std::int64_t row = 0; row < 32; ++row)
        for (std::int64_t k = 0; k < 2048; ++k)
            write(w.problem.a, row, k, 0,
                  (k % 8 < 4 ? 1 : -1) * (1 + 0.1 * read(w.problem.a, row, k, 0).real()));
    compute(w, {Model::split});
    const ErrorStats stats = run_check(w.problem, contract);
    EXPECT_GT(stats.excused, 0) << "none was a candidate";
    EXPECT_EQ(stats.unlikely_ratio, 0);
}

}  // namespace
}  // namespace fumi::test
