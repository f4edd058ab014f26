#include "mapping/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fumi::mapping {
namespace {

TEST(Parallel, EveryPartComesOnceAndMoreThanOneThreadTakesSome) {
    at::set_num_threads(2);
    for (const std::int64_t count : {1, 2, 7, 1000}) {
        std::vector<int> times(static_cast<std::size_t>(count));
        std::set<std::thread::id> threads;
        std::mutex mutex;
        in_parallel(count, [&](std::int64_t first, std::int64_t last) {
            const std::lock_guard lock(mutex);
            threads.insert(std::this_thread::get_id());
            for (std::int64_t i = first; i < last; ++i) {
                ++times.at(static_cast<std::size_t>(i));
            }
        });
        EXPECT_EQ(times, std::vector<int>(static_cast<std::size_t>(count), 1)) << count;
        EXPECT_EQ(threads.size(), count == 1 ? 1U : 2U) << count;
    }
}

TEST(Parallel, NoneOfNothing) {
    std::int64_t parts = 0;
    in_parallel(0, [&](std::int64_t first, std::int64_t last) { parts += last - first; });
    EXPECT_EQ(parts, 0);
}

TEST(Parallel, OneThreadIsEnough) {
    at::set_num_threads(1);
    std::set<std::thread::id> threads;
    in_parallel(7, [&](std::int64_t, std::int64_t) { threads.insert(std::this_thread::get_id()); });
    EXPECT_EQ(threads, std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(Parallel, WhatAPartThrowsIsThrown) {
    at::set_num_threads(2);
    EXPECT_THROW(in_parallel(7, [](std::int64_t, std::int64_t) { throw std::runtime_error("a part"); }),
                 std::runtime_error);
}

}  // namespace
}  // namespace fumi::mapping
