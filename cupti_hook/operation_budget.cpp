#include "cupti_hook/operation_budget.h"

#include <time.h>

#include <algorithm>
#include <cmath>

namespace fumi {

namespace {

constexpr std::size_t most_sites = 1 << 16;  // those that come later are not rerun

std::int64_t now_ns() noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// The stricter of two budgets; 0 is none.
double share_of(const config::Limits& limits) noexcept {
    if (limits.overhead > 0 && limits.operations > 0) return std::min(limits.overhead, limits.operations);
    return std::max(limits.overhead, limits.operations);
}

}  // namespace

OperationBudget::OperationBudget(const config::Config& config, std::int64_t (*clock)() noexcept) noexcept
    : share_(share_of(config.limits)),
      every_(config.improve_precision.every),
      clock_(clock != nullptr ? clock : now_ns) {}

bool OperationBudget::has_turn(std::uint64_t site) noexcept try {
    if (share_ == 0) return matching_.fetch_add(1, std::memory_order_relaxed) % every_ == 0;
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(site);
    if (sites_.empty()) started_ns_ = clock_();
    if (found == sites_.end())
        return sites_.size() < most_sites && sites_.emplace(site, Site{every_ - 1, 0, 0}).second;
    Site& known = found->second;
    if (known.left > 0) {
        --known.left;
        return false;
    }
    const auto spent_ns = static_cast<double>(spent_ns_);
    if (spent_ns > share_ * (static_cast<double>(clock_() - started_ns_) - spent_ns)) return false;
    known.left = every_ - 1;
    return true;
} catch (...) {
    return false;
}

void OperationBudget::spent(std::uint64_t site, std::int64_t run_ns, std::int64_t check_ns) noexcept {
    if (share_ == 0) return;
    const std::lock_guard lock(mutex_);
    spent_ns_ += check_ns;
    const auto found = sites_.find(site);
    if (found == sites_.end()) return;
    Site& known = found->second;
    const auto shorter = [](std::int64_t so_far, std::int64_t now) {
        return std::max<std::int64_t>(so_far == 0 ? now : std::min(so_far, now), 1);
    };
    known.run_ns = shorter(known.run_ns, run_ns);
    known.check_ns = shorter(known.check_ns, check_ns);
    const double turn = static_cast<double>(known.check_ns) / static_cast<double>(known.run_ns) / share_;
    known.left = std::max(every_, static_cast<std::int64_t>(std::ceil(std::min(turn, 1e9)))) - 1;
}

}  // namespace fumi
