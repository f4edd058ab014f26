// limits.overhead: thins out the checks of each call site, so that they stay within their share of the run.
#pragma once
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "config/config.h"
#include "cupti_hook/rerun/checker.h"
#include "cupti_hook/rerun/ring.h"

namespace fumi {

// The arithmetic of a check as a share of its call's (2 m n k of a GEMM): products that are summed again, for
// each of which a full check takes four sums.
double full_check_share() noexcept;
double sampled_check_share(double elements, double outputs) noexcept;
double checksum_share(const GemmProblem& problem, const config::Checksum& checksum) noexcept;

// A site is a line, a library function and a problem size. Each mode has its turn in every n-th call of a
// site, n so large that the mode's arithmetic takes no more than its part of the budget; the first call is
// always checked. FuMi's time on the program's threads and its checks' time on the device are measured, and
// while their sum is over its share of the time no other call is; nor is a second call of a site before the
// device's time for the first is known. What is not used within a second is lost: a program that computed
// nothing for a minute shall not be slowed down for it.
class Budget {
  public:
    // clock: nanoseconds; nullptr: CLOCK_MONOTONIC
    explicit Budget(const config::Config& config, std::int64_t (*clock)() noexcept = nullptr) noexcept;
    bool limited() const noexcept { return share_ > 0; }
    // `spent_ns`: FuMi's time on calling threads so far.
    rerun::Wanted choose(const rerun::Entry& entry, std::int64_t spent_ns) noexcept;

    static std::uint64_t site_of(const rerun::Entry& entry) noexcept;
    // The checks of a call are on their way. What they are charged until measured() says better: the site's
    // last time.
    std::int64_t charge(std::uint64_t site, bool will_be_measured) noexcept;
    void measured(std::uint64_t site, std::int64_t charged_ns, std::int64_t ns) noexcept;
    // Of all checks on the device, as far as it is known.
    std::int64_t device_ns() noexcept;

  private:
    struct Site {
        std::int64_t calls = 0;       // so far
        std::int64_t device_ns = -1;  // that the last checks took; -1: not known
        std::int64_t under_way = 0;   // checks that are being measured
    };
    Site& find(std::uint64_t site);
    std::int64_t number_at(std::uint64_t site, std::int64_t spent_ns) noexcept;
    std::int64_t turn(double work, std::int64_t every) const noexcept;
    bool within(std::int64_t spent_ns) noexcept;

    const double share_;
    std::int64_t (*const clock_)() noexcept;
    double share_of_mode_;
    const config::ImprovePrecision exact_;
    const config::Checksum sums_;
    std::int64_t improve_precision_, checksum_, repeat_,
        add_noise_;  // every how many calls at the most; 0: never
    const double noise_samples_;
    std::mutex mutex_;
    std::int64_t device_ns_ = 0;
    std::int64_t seen_ns_ = 0, spent_ns_ = 0;  // when within() was last asked, and what had been spent
    double left_ns_ = 0;                       // of the budget; below 0: overdrawn
    std::unordered_map<std::uint64_t, Site> sites_;
};

}  // namespace fumi
