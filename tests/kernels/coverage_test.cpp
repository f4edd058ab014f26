// Coverage, plans, merging: slices equal the whole, samples are part of it, replays add up.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "tests/kernels/support.h"

namespace fumi::test {
namespace {

Contract fp32_contract() {
    return contract_for(CallFacts{});
}

Workload noisy_workload(const Shape& shape) {
    Workload w(shape, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    std::mt19937_64 g(11);
    w.fill(draws(Distribution::normal, g));
    w.compute_exactly();
    return w;
}

void expect_equal(const ErrorStats& a, const ErrorStats& b) {
    EXPECT_EQ(a.elements, b.elements);
    EXPECT_EQ(a.mismatches, b.mismatches);
    EXPECT_EQ(a.worst_index, b.worst_index);
    EXPECT_EQ(a.worst_value, b.worst_value);
    EXPECT_EQ(a.max_ratio, b.max_ratio);
    EXPECT_EQ(a.max_eta, b.max_eta);
    EXPECT_EQ(a.max_kappa, b.max_kappa);
    EXPECT_EQ(a.bits_elements, b.bits_elements);
    EXPECT_NEAR(a.sum_g, b.sum_g, 1e-12 * b.sum_g);
    EXPECT_NEAR(a.see, b.see, 1e-12 * b.see);
    EXPECT_NEAR(a.sez, b.sez, 1e-12 * (b.see + b.szz));
    EXPECT_NEAR(a.szz, b.szz, 1e-12 * b.szz);
    EXPECT_NEAR(a.ses, b.ses, 1e-12 * (b.see + b.sss));
    EXPECT_NEAR(a.szs, b.szs, 1e-12 * (b.szz + b.sss));
    EXPECT_NEAR(a.sss, b.sss, 1e-12 * b.sss);
    EXPECT_NEAR(a.sum_floor, b.sum_floor, 1e-12 * b.sum_floor);
}

TEST(Coverage, SlicesEqualTheWhole) {
    const Workload w = noisy_workload({50, 150, 20, 3});
    const ErrorStats whole = run_check(w.problem, fp32_contract());
    EXPECT_EQ(whole.elements, 50u * 150 * 3);
    ErrorStats merged;
    for (std::int64_t batch = 0; batch < 3; ++batch) {
        for (std::int64_t column = 0; column < 150; column += 40) {
            Coverage slice = full_coverage(w.problem);
            slice.first_column = column;
            slice.last_column = std::min<std::int64_t>(column + 40, 150);
            slice.first_batch = batch;
            slice.last_batch = batch + 1;
            merge_stats(merged, run_check(w.problem, fp32_contract(), slice));
        }
    }
    expect_equal(merged, whole);
}

TEST(Coverage, AnyCeilingGivesTheSameResult) {
    const Workload w = noisy_workload({100, 100, 20, 2});
    const ErrorStats whole = run_check(w.problem, fp32_contract());
    for (std::size_t blocks : {1, 3, 7}) {
        const auto plan =
            plan_gemm_check(w.problem, full_coverage(w.problem), blocks * sizeof(ErrorStats) + 5);
        EXPECT_EQ(plan.blocks, blocks);
        EXPECT_LE(plan.scratch_bytes, blocks * sizeof(ErrorStats));
        expect_equal(run_check(w.problem, fp32_contract(), full_coverage(w.problem), plan.scratch_bytes),
                     whole);
    }
    EXPECT_EQ(plan_gemm_check(w.problem, full_coverage(w.problem), 8).kernel, nullptr);
}

// Marks every element with a value of its own, so that the worst element tells where a one-element sample
// looked.
TEST(Coverage, SamplesAreElementsOfTheWholeAndEveryElementIsDrawn) {
    Workload w = noisy_workload({12, 10, 8, 3});
    for (int batch = 0; batch < 3; ++batch) {
        for (int col = 0; col < 10; ++col) {
            for (int row = 0; row < 12; ++row)
                write(w.problem.d, row, col, batch, 1000 + row + 12 * (col + 10 * batch));
        }
    }
    std::set<std::int64_t> seen;
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        const ErrorStats one =
            run_check(w.problem, fp32_contract(), sampled_coverage(w.problem, 1, 1, 1, seed));
        ASSERT_EQ(one.elements, 1u);
        ASSERT_EQ(one.worst_value, static_cast<double>(1000 + one.worst_index));
        seen.insert(one.worst_index);
    }
    EXPECT_EQ(seen.size(), 360u);
}

TEST(Coverage, CrossHasDistinctRowsAndColumns) {
    Workload w = noisy_workload({100, 90, 8, 4});
    const Coverage cross = sampled_coverage(w.problem, 40, 30, 2, 5);
    const ErrorStats sampled = run_check(w.problem, fp32_contract(), cross);
    EXPECT_EQ(sampled.elements, 40u * 30 * 2);
    EXPECT_EQ(elements_covered(w.problem, cross), 40 * 30 * 2);
    EXPECT_LE(sampled.max_eta, run_check(w.problem, fp32_contract()).max_eta);
    // A whole wrong row is met by at most one sampled row: rows are not drawn twice.
    for (int col = 0; col < 90; ++col) {
        for (int batch = 0; batch < 4; ++batch) write(w.problem.d, 50, col, batch, 1e6);
    }
    int found = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const ErrorStats s =
            run_check(w.problem, fp32_contract(), sampled_coverage(w.problem, 40, 30, 2, seed));
        ASSERT_TRUE(s.mismatches == 0 || s.mismatches == 60u);
        found += s.mismatches != 0 ? 1 : 0;
    }
    EXPECT_NEAR(found, 80, 25) << "40 of 100 rows are drawn";
    // Asking for more than there is means everything.
    EXPECT_EQ(run_check(w.problem, fp32_contract(), sampled_coverage(w.problem, 999, 999, 9, 1)).elements,
              36000u);
}

TEST(Merge, ReplaysAddUpAndDrawOtherSamples) {
    const Workload w = noisy_workload({64, 64, 8, 1});
    const Coverage cross = sampled_coverage(w.problem, 4, 4, 1, 3);
    const GemmCheckPlan plan = plan_gemm_check(w.problem, cross, 1 << 20);
    std::vector<ErrorStats> partials(plan.blocks);
    ResultSlot slot;
    std::memset(static_cast<void*>(&slot), 0, sizeof slot);
    ErrorStats stats;
    EXPECT_FALSE(read_merged(slot, stats)) << "nothing was written yet";
    const auto params = make_check_params(w.problem, fp32_contract(), cross, partials.data(), &slot);
    std::set<double> sums;
    for (std::uint64_t replay = 1; replay <= 5; ++replay) {
        run_blocks(plan, params);
        sums.insert(partials[0].sum_g);
        run_merge(plan, partials, slot, 0, MergeMode::accumulate);
        ASSERT_TRUE(read_merged(slot, stats));
        EXPECT_EQ(stats.launches, replay);
        EXPECT_EQ(stats.elements, 16 * replay);
    }
    EXPECT_EQ(sums.size(), 5u) << "every replay looks elsewhere";
    slot.sequence |= 1;
    EXPECT_FALSE(read_merged(slot, stats)) << "a slot that is being written";
}

TEST(Merge, OnceReplacesWhatTheSlotHeld) {
    const Workload w = noisy_workload({40, 40, 8, 1});
    const GemmCheckPlan plan = plan_gemm_check(w.problem, full_coverage(w.problem), 1 << 20);
    std::vector<ErrorStats> partials(plan.blocks);
    run_blocks(plan,
               make_check_params(w.problem, fp32_contract(), full_coverage(w.problem), partials.data()));
    ResultSlot slot;
    for (std::uint64_t sequence : {17, 18}) {
        run_merge(plan, partials, slot, sequence, MergeMode::once);
        EXPECT_EQ(slot.sequence, sequence);
        EXPECT_EQ(slot.stats.elements, 1600u);
        EXPECT_EQ(slot.stats.launches, 1u);
    }
}

TEST(Plan, RefusesWhatItCannotCheck) {
    Workload w({4, 4, 4, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
    EXPECT_STREQ(plan_gemm_check(w.problem, full_coverage(w.problem), 4096).kernel, kCheckReal);
    GemmProblem mixed = w.problem;
    mixed.d.type = DataType::c32;
    EXPECT_EQ(plan_gemm_check(mixed, full_coverage(mixed), 4096).kernel, nullptr);
    GemmProblem unknown = w.problem;
    unknown.a.type = DataType::none;
    EXPECT_STRNE(plan_gemm_check(unknown, full_coverage(unknown), 4096).reason, "");
    GemmProblem empty = w.problem;
    empty.n = 0;
    EXPECT_STREQ(plan_gemm_check(empty, full_coverage(empty), 4096).reason, "no elements");
}

#ifndef FUMI_NO_GPU_CODE
TEST(Fatbin, IsAFatbinary) {
    ASSERT_GT(fatbin_bytes(), 1000u);
    std::uint32_t magic = 0;
    std::memcpy(&magic, fatbin(), sizeof magic);
    EXPECT_EQ(magic, 0xba55ed50u);
}
#endif

}  // namespace
}  // namespace fumi::test
