// limits.overhead: which calls of a site keep their checks.
#include "cupti_hook/budget.h"

#include <gtest/gtest.h>

#include <memory>

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
    const auto first = call_of(256), larger = call_of(257), other = call_of(256, "cublasDgemm_v2");
    for (const auto* entry : {&first, &larger, &other})
        EXPECT_EQ(chosen(budget, **entry, 6, &rerun::Wanted::improve_precision), (std::vector<int>{0, 4}));
}

TEST(Budget, NothingButFirstCallsWhileFumiHasSpentTooMuch) {
    Budget budget(limited(1.0, {config::Mode::repeat}));
    constexpr std::int64_t an_hour = 3'600'000'000'000;
    const auto entry = call_of(256), later = call_of(128);
    EXPECT_EQ(chosen(budget, *entry, 4, &rerun::Wanted::repeat, an_hour), std::vector<int>{0});
    EXPECT_EQ(chosen(budget, *later, 2, &rerun::Wanted::repeat, an_hour), std::vector<int>{0});
    EXPECT_EQ(chosen(budget, *entry, 2, &rerun::Wanted::repeat), (std::vector<int>{0, 1}));
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

}  // namespace
}  // namespace fumi
