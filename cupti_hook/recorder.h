// The observer of all calls: makes an entry of each, has it checked where it shall be, and hands it to the
// drainer.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "cupti_hook/budget.h"
#include "cupti_hook/device_clock.h"
#include "cupti_hook/libraries/observer.h"
#include "cupti_hook/rerun/checker.h"
#include "cupti_hook/rerun/ring.h"

namespace fumi {

// Which calls are checked, by the globs of the configuration. Answers are remembered by the address of the
// name: names are interned.
class NameFilter {
  public:
    explicit NameFilter(std::vector<std::string> globs) : globs_(std::move(globs)) {}
    bool accepts(const char* name) noexcept;

  private:
    std::vector<std::string> globs_;  // none: everything
    std::mutex mutex_;
    std::unordered_map<const char*, bool> known_;
};

class Recorder final : public libraries::Observer {
  public:
    Recorder(const config::Config& config, rerun::Ring& ring);

    bool active() noexcept override { return active_.load(std::memory_order_relaxed); }
    void before(libraries::Call& call) noexcept override;
    void after(libraries::Call& call, int status) noexcept override;
    void context_ended() noexcept override { checker_.context_lost(); }

    // The number of a call that is recorded elsewhere (operations.h); 0 past limits.calls.
    std::int64_t next_call() noexcept;
    // The device's time for the checks of an entry, all of which have reported. False: it is not known yet.
    // For the drainer.
    bool account(rerun::Entry& entry) noexcept;
    void count_dropped() noexcept { dropped_.fetch_add(1, std::memory_order_relaxed); }
    void stop() noexcept { active_.store(false, std::memory_order_relaxed); }
    std::int64_t calls() const noexcept { return calls_.load(std::memory_order_relaxed); }
    // Calls that found no free entry, or came after limits.calls.
    std::int64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
    std::int64_t beyond_limit() const noexcept { return beyond_limit_.load(std::memory_order_relaxed); }
    // Time that calling threads spent in FuMi.
    std::int64_t overhead_ns() const noexcept { return overhead_ns_.load(std::memory_order_relaxed); }
    // Time of the device in checks; known where limits.overhead has it measured.
    std::int64_t device_overhead_ns() noexcept { return budget_.device_ns(); }
    std::size_t scratch_allocated() noexcept { return checker_.scratch_allocated(); }

  private:
    void choose_check(rerun::Entry& entry) noexcept;
    rerun::Wanted wanted_now(const rerun::Entry& entry) noexcept;
    void enqueue_checks(rerun::Entry& entry, const libraries::Call& call) noexcept;

    rerun::Ring& ring_;
    rerun::Checker checker_;
    NameFilter functions_, apis_;
    const std::int64_t improve_precision_, checksum_, repeat_,
        add_noise_;  // every how many calls; 0: not in this mode
    const std::int64_t most_calls_;
    Budget budget_;
    DeviceClock clock_;
    std::atomic<bool> active_{true};
    std::atomic<std::int64_t> calls_{0}, dropped_{0}, beyond_limit_{0}, matching_{0}, overhead_ns_{0};
};

}  // namespace fumi
