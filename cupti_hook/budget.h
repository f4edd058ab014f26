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
// site, n so large that the mode takes no more than its part of the budget; the first call is always checked.
// FuMi's time on the program's threads is measured, and while it is over the budget no other call is.
class Budget {
  public:
    explicit Budget(const config::Config& config) noexcept;
    bool limited() const noexcept { return share_ > 0; }
    // `spent_ns`: FuMi's time on calling threads so far.
    rerun::Wanted choose(const rerun::Entry& entry, std::int64_t spent_ns) noexcept;

  private:
    std::int64_t turn(double work, std::int64_t every) const noexcept;
    std::int64_t number_at(const rerun::Entry& entry) noexcept;

    const double share_;
    const std::int64_t started_ns_;
    double share_of_mode_;
    const config::ImprovePrecision exact_;
    const config::Checksum sums_;
    std::int64_t improve_precision_, checksum_, repeat_,
        add_noise_;  // every how many calls at the most; 0: never
    const double noise_samples_;
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::int64_t> calls_;  // of each site, so far
};

}  // namespace fumi
