#include "cupti_hook/budget.h"

#include <time.h>

#include <algorithm>
#include <cmath>

namespace fumi {

namespace {

constexpr std::size_t most_sites = 1 << 16;  // those that come later share one
// What is kept of an unused budget, and what an overdrawn one can owe: the budget of as much time.
constexpr double kept_ns = 1e9, owed_ns = 60e9;

std::int64_t now_ns() noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

std::uint64_t mixed(std::uint64_t seed, std::uint64_t value) noexcept {
    std::uint64_t x = (seed ^ value) * 0x9e3779b97f4a7c15ULL;
    return x ^ x >> 29;
}

double outputs_of(const libraries::Call& call) noexcept {
    if (call.dnn == nullptr)
        return static_cast<double>(call.problem.m) * static_cast<double>(call.problem.n) *
               static_cast<double>(call.problem.batch);
    using libraries::DnnRole;
    for (const DnnRole role : {DnnRole::y, DnnRole::dx, DnnRole::dw, DnnRole::o, DnnRole::dq}) {
        const libraries::DnnTensor* tensor = call.dnn->find(role);
        if (tensor == nullptr) continue;
        double elements = 1;
        for (std::int32_t d = 0; d < tensor->rank; ++d) elements *= static_cast<double>(tensor->size[d]);
        return elements;
    }
    return 1;
}

}  // namespace

std::uint64_t Budget::site_of(const rerun::Entry& entry) noexcept {
    // Names are interned: their addresses tell them apart.
    std::uint64_t site = mixed(reinterpret_cast<std::uintptr_t>(entry.origin.location),
                               reinterpret_cast<std::uintptr_t>(entry.call.function));
    const GemmProblem& p = entry.call.problem;
    if (entry.call.dnn != nullptr) return mixed(site, static_cast<std::uint64_t>(outputs_of(entry.call)));
    for (const std::int64_t size : {p.m, p.n, p.k, p.batch})
        site = mixed(site, static_cast<std::uint64_t>(size));
    // The two gradients of a square layer differ in nothing but what is transposed.
    return mixed(site, (p.a.row_stride == 1 ? 1U : 0U) + (p.b.row_stride == 1 ? 2U : 0U));
}

double full_check_share() noexcept {
    return 4;
}

double sampled_check_share(double elements, double outputs) noexcept {
    return full_check_share() * std::min(1.0, elements / std::max(outputs, 1.0));
}

double checksum_share(const GemmProblem& p, const config::Checksum& checksum) noexcept {
    const auto vectors = static_cast<double>(checksum.vectors);
    const auto at_least_one = [](std::int64_t size) {
        return static_cast<double>(std::max<std::int64_t>(size, 1));
    };
    const double width = std::min(static_cast<double>(checksum.columns), at_least_one(p.n));
    // A (B w) and the squares in each block, B w, and D w.
    return (2 * vectors + 3) / (2 * width) + (vectors + 1) / at_least_one(p.m) +
           (vectors + 1) / at_least_one(p.k);
}

Budget::Budget(const config::Config& config, std::int64_t (*clock)() noexcept) noexcept
    : share_(config.limits.overhead),
      clock_(clock != nullptr ? clock : now_ns),
      exact_(config.improve_precision),
      sums_(config.checksum),
      noise_samples_(static_cast<double>(config.noise.samples)) {
    using config::Mode;
    improve_precision_ = config.has(Mode::improve_precision) ? config.improve_precision.every : 0;
    checksum_ = config.has(Mode::checksum) ? config.checksum.every : 0;
    repeat_ = config.has(Mode::repeat) ? config.repeat.every : 0;
    add_noise_ = config.has(Mode::add_noise) ? config.noise.every : 0;
    int modes = 0;
    for (const std::int64_t every : {improve_precision_, checksum_, repeat_, add_noise_})
        modes += every > 0 ? 1 : 0;
    share_of_mode_ = share_ / std::max(modes, 1);
}

std::int64_t Budget::turn(double work, std::int64_t every) const noexcept {
    return std::max(every, static_cast<std::int64_t>(std::ceil(std::min(work / share_of_mode_, 1e9))));
}

Budget::Site& Budget::find(std::uint64_t site) {
    return sites_[sites_.size() < most_sites || sites_.contains(site) ? site : 0];
}

std::int64_t Budget::charge(std::uint64_t site, bool will_be_measured) noexcept try {
    const std::lock_guard lock(mutex_);
    Site& of = find(site);
    of.under_way += will_be_measured ? 1 : 0;
    const std::int64_t charged_ns = std::max<std::int64_t>(of.device_ns, 0);
    device_ns_ += charged_ns;
    return charged_ns;
} catch (...) {
    return 0;
}

void Budget::measured(std::uint64_t site, std::int64_t charged_ns, std::int64_t ns) noexcept {
    const std::lock_guard lock(mutex_);
    device_ns_ += ns - charged_ns;
    const auto of = sites_.find(sites_.contains(site) ? site : 0);
    if (of == sites_.end()) return;
    --of->second.under_way;
    of->second.device_ns = ns;
}

std::int64_t Budget::device_ns() noexcept {
    const std::lock_guard lock(mutex_);
    return device_ns_;
}

// The lock is held.
bool Budget::within(std::int64_t spent_ns) noexcept {
    const std::int64_t now = clock_(), spent = spent_ns + device_ns_;
    if (seen_ns_ != 0) {
        left_ns_ += share_ * static_cast<double>(now - seen_ns_) - static_cast<double>(spent - spent_ns_);
        left_ns_ = std::clamp(left_ns_, -share_ * owed_ns, share_ * kept_ns);
    }
    seen_ns_ = now;
    spent_ns_ = spent;
    return left_ns_ >= 0;
}

// The number of this call at its site; -1: it has none of its turns now.
std::int64_t Budget::number_at(std::uint64_t site, std::int64_t spent_ns) noexcept try {
    const std::lock_guard lock(mutex_);
    const bool affordable = within(spent_ns);
    Site& of = find(site);
    const std::int64_t number = of.calls++;
    if (number == 0) return 0;
    const bool unknown = of.device_ns < 0 && of.under_way > 0;
    return unknown || !affordable ? -1 : number;
} catch (...) {
    return -1;
}

rerun::Wanted Budget::choose(const rerun::Entry& entry, std::int64_t spent_ns) noexcept {
    const std::int64_t number = number_at(site_of(entry), spent_ns);
    rerun::Wanted wanted;
    if (number < 0) return wanted;
    const auto has_turn = [&](std::int64_t every, double work) {
        return every > 0 && number % turn(work, every) == 0;
    };
    const bool full = exact_.coverage == config::Coverage::full;
    const double elements =
        static_cast<double>(exact_.sample_rows) * static_cast<double>(exact_.sample_columns);
    wanted.improve_precision =
        has_turn(improve_precision_,
                 full ? full_check_share() : sampled_check_share(elements, outputs_of(entry.call)));
    // A sample takes the place of a cudnn call's checksum.
    wanted.checksum = has_turn(checksum_, entry.call.dnn == nullptr
                                              ? checksum_share(entry.call.problem, sums_)
                                              : sampled_check_share(elements, outputs_of(entry.call)));
    wanted.repeat = has_turn(repeat_, 1.0);
    wanted.add_noise = has_turn(add_noise_, noise_samples_);
    return wanted;
}

}  // namespace fumi
