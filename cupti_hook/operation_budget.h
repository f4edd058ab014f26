// limits.operations: which operations are rerun, so that reruns take no more than their share of the run's
// time.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "config/config.h"

namespace fumi {

// A site is a line, an operation and the sizes of its arguments. Its first operation is always rerun, and
// from then on every n-th, n = (time of a rerun / time of the operation) / share, but not while the time of
// all reruns is over its share of the program's own since its first operation. Without a share: every
// `every`-th of all operations.
class OperationBudget {
  public:
    // clock: nanoseconds; nullptr: CLOCK_MONOTONIC
    explicit OperationBudget(const config::Config& config,
                             std::int64_t (*clock)() noexcept = nullptr) noexcept;
    bool has_turn(std::uint64_t site) noexcept;
    void spent(std::uint64_t site, std::int64_t run_ns, std::int64_t check_ns) noexcept;

  private:
    struct Site {
        std::int64_t left;              // operations until its turn
        std::int64_t run_ns, check_ns;  // the shortest so far: first runs prepare what later ones find
    };

    const double share_;
    const std::int64_t every_;
    std::int64_t (*const clock_)() noexcept;
    std::atomic<std::int64_t> matching_{0};
    std::mutex mutex_;
    std::int64_t started_ns_ = 0, spent_ns_ = 0;  // since the first operation; of all reruns
    std::unordered_map<std::uint64_t, Site> sites_;
};

}  // namespace fumi
