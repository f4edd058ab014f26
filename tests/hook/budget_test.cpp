// limits.overhead: which calls of a site keep their checks. limits.operations: which operations are rerun.
#include "cupti_hook/budget.h"

#include <gtest/gtest.h>

#include <memory>

#include "cupti_hook/operation_budget.h"

namespace fumi {
namespace {

std::unique_ptr<rerun::Entry> call_of(std::int64_t size, const char* function = "cublasSgemm_v2") {
    auto entry = std::make_unique<rerun::Entry>();
    entry->call.function = function;
    entry->call.problem.m = entry->call.problem.n = entry->call.problem.k = size;
    return entry;
}

config::Config limited(double share, std::vector<config::Mode> modes) {
    config::Config config;
    config.modes = std::move(modes);
    config.limits.overhead = share;
    config.improve_precision.coverage = config::Coverage::full;
    config.improve_precision.every = config.checksum.every = config.repeat.every = 1;
    return config;
}

// The numbers, from 0, of the calls of `count` whose check `mode` is wanted.
std::vector<int> chosen(Budget& budget, const rerun::Entry& entry, int count, bool rerun::Wanted::*mode,
                        std::int64_t spent_ns = 0) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i)
        if (budget.choose(entry, spent_ns).*mode) numbers.push_back(i);
    return numbers;
}

TEST(Budget, EachModeTakesItsPart) {
    using config::Mode;
    // Two modes: half of 100% each. A full check is 4 of its call, a repetition 1.
    Budget budget(limited(1.0, {Mode::trace, Mode::improve_precision, Mode::repeat}));
    EXPECT_TRUE(budget.limited());
    const auto entry = call_of(256);
    EXPECT_EQ(chosen(budget, *entry, 17, &rerun::Wanted::improve_precision), (std::vector<int>{0, 8, 16}));
    Budget again(limited(1.0, {Mode::trace, Mode::improve_precision, Mode::repeat}));
    EXPECT_EQ(chosen(again, *entry, 5, &rerun::Wanted::repeat), (std::vector<int>{0, 2, 4}));
    Budget none(limited(1.0, {Mode::trace, Mode::repeat}));
    EXPECT_EQ(chosen(none, *entry, 3, &rerun::Wanted::improve_precision), std::vector<int>{});
}

TEST(Budget, EverySiteCountsForItself) {
    Budget budget(limited(1.0, {config::Mode::improve_precision}));
    const auto first = call_of(256), larger = call_of(257), other = call_of(256, "cublasDgemm_v2"),
               transposed = call_of(256);
    transposed->call.problem.a.row_stride = 1;
    for (const auto* entry : {&first, &larger, &other, &transposed})
        EXPECT_EQ(chosen(budget, **entry, 6, &rerun::Wanted::improve_precision), (std::vector<int>{0, 4}));
}

std::int64_t time_now = 0;
std::int64_t test_clock() noexcept {
    return time_now;
}
constexpr std::int64_t second = 1'000'000'000;

TEST(Budget, NothingButFirstCallsWhileFumiHasSpentTooMuch) {
    time_now = second;
    Budget budget(limited(0.5, {config::Mode::repeat}), test_clock);  // every 2nd call of a site
    const auto entry = call_of(256), later = call_of(128);
    constexpr auto repeat = &rerun::Wanted::repeat;
    EXPECT_EQ(chosen(budget, *entry, 3, repeat, 0), (std::vector<int>{0, 2}));
    EXPECT_EQ(chosen(budget, *entry, 4, repeat, 3 * second), std::vector<int>{}) << "3 s spent, none earned";
    EXPECT_EQ(chosen(budget, *later, 4, repeat, 3 * second), std::vector<int>{0}) << "a first call always is";
    time_now += 5 * second;
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 3 * second), std::vector<int>{}) << "2.5 s earned";
    time_now += 2 * second;
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 3 * second), std::vector<int>{1});
}

TEST(Budget, AnIdleHourEarnsNoMoreThanASecond) {
    time_now = second;
    Budget budget(limited(0.5, {config::Mode::repeat}), test_clock);
    const auto entry = call_of(256);
    constexpr auto repeat = &rerun::Wanted::repeat;
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 0), std::vector<int>{0});
    time_now += 3600 * second;
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 0), std::vector<int>{0});
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, second / 2), std::vector<int>{0}) << "all of it is spent";
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, second / 2 + 1), std::vector<int>{}) << "overdrawn";
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 3600 * second), std::vector<int>{});
    time_now += 61 * second;
    EXPECT_EQ(chosen(budget, *entry, 2, repeat, 3600 * second), std::vector<int>{0})
        << "and a debt is no longer than a minute";
}

TEST(Budget, TheDevicesTimeCountsOnceItIsKnown) {
    time_now = second;
    Budget budget(limited(1.0, {config::Mode::repeat}), test_clock);
    constexpr auto repeat = &rerun::Wanted::repeat;
    const auto entry = call_of(256);
    const std::uint64_t site = Budget::site_of(*entry);
    EXPECT_EQ(chosen(budget, *entry, 1, repeat), std::vector<int>{0});
    EXPECT_EQ(budget.charge(site, true), 0) << "nothing is known of it";
    EXPECT_EQ(chosen(budget, *entry, 3, repeat), std::vector<int>{}) << "not before it is known";
    time_now += second;
    budget.measured(site, 0, 1000);
    EXPECT_EQ(budget.device_ns(), 1000);
    EXPECT_EQ(chosen(budget, *entry, 1, repeat), std::vector<int>{0});
    EXPECT_EQ(budget.charge(site, true), 1000);
    EXPECT_EQ(budget.device_ns(), 2000) << "as long as the last, until it is measured";
    EXPECT_EQ(chosen(budget, *entry, 1, repeat), std::vector<int>{0});
    budget.measured(site, 1000, 2 * second);
    EXPECT_EQ(budget.device_ns(), 2 * second + 1000);
    EXPECT_EQ(chosen(budget, *entry, 3, repeat), std::vector<int>{}) << "over the budget";
    const auto other = call_of(128);
    EXPECT_EQ(chosen(budget, *other, 2, repeat), std::vector<int>{0}) << "but for first calls";
    EXPECT_EQ(budget.charge(Budget::site_of(*other), false), 0)
        << "and what is not measured is not waited for";
}

TEST(Budget, SharesAreTheFormulasOfModes) {
    EXPECT_EQ(sampled_check_share(64 * 64, 1024 * 1024), 4.0 / 256);
    EXPECT_EQ(sampled_check_share(64 * 64, 100), 4) << "no more than all";
    config::Checksum checksum;
    checksum.columns = 128;
    checksum.vectors = 1;
    EXPECT_DOUBLE_EQ(checksum_share(call_of(1024)->call.problem, checksum), 5.0 / 256 + 4.0 / 1024);
    EXPECT_DOUBLE_EQ(checksum_share(call_of(64)->call.problem, checksum), 5.0 / 128 + 4.0 / 64)
        << "a block is no wider than the matrix";
}

OperationBudget operations_within(double share, std::int64_t every = 1) {
    config::Config config;
    config.limits.overhead = 0;
    config.limits.operations = share;
    config.improve_precision.every = every;
    return OperationBudget(config, test_clock);
}

// The numbers, from 0, of the operations of `count` that have a turn; each takes run_ns, its rerun check_ns.
std::vector<int> turns(OperationBudget& budget, std::uint64_t site, int count, std::int64_t run_ns,
                       std::int64_t check_ns) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) {
        if (!budget.has_turn(site)) continue;
        budget.spent(site, run_ns, check_ns);
        numbers.push_back(i);
    }
    return numbers;
}

constexpr std::int64_t long_time = 1'000'000'000'000;

TEST(OperationBudget, EverySiteHasItsFirstTurnAndThenWhatItsRerunsTake) {
    OperationBudget budget = operations_within(0.5);
    time_now = 0;
    EXPECT_EQ(turns(budget, 1, 1, 10, 20), std::vector<int>{0});
    time_now = long_time;  // the run's share is no limit
    EXPECT_EQ(turns(budget, 1, 9, 10, 20), (std::vector<int>{3, 7})) << "every 4th: (20 / 10) / 50%";
    EXPECT_EQ(turns(budget, 2, 3, 10, 2), (std::vector<int>{0, 1, 2})) << "2 / 10 is within the share";
    OperationBudget thinner = operations_within(0.5, 3);
    EXPECT_EQ(turns(thinner, 1, 1, 10, 2), std::vector<int>{0});
    time_now = 2 * long_time;
    EXPECT_EQ(turns(thinner, 1, 6, 10, 2), (std::vector<int>{2, 5})) << "never more than `every` says";
}

TEST(OperationBudget, RerunsTakeTheirShareOfTheProgramsOwnTime) {
    OperationBudget budget = operations_within(0.5);
    time_now = 100;
    EXPECT_EQ(turns(budget, 1, 4, 1'000'000, 10), std::vector<int>{0}) << "10 of 0";
    EXPECT_EQ(turns(budget, 2, 4, 1'000'000, 10), std::vector<int>{0}) << "a new site all the same";
    time_now = 100 + 59;  // 20 of 59 - 20
    EXPECT_EQ(turns(budget, 1, 4, 1'000'000, 10), std::vector<int>{});
    time_now = 100 + 61;
    EXPECT_EQ(turns(budget, 1, 4, 1'000'000, 10), std::vector<int>{0}) << "and then they are over it again";
}

TEST(OperationBudget, WithoutAShareAllAreRerun) {
    OperationBudget all = operations_within(0), third = operations_within(0, 3);
    EXPECT_EQ(turns(all, 1, 3, 1, long_time), (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(turns(third, 1, 7, 1, long_time), (std::vector<int>{0, 3, 6}));
}

}  // namespace
}  // namespace fumi
