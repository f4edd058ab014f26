// improve_precision: recomputes what a call wrote, on the call's own stream right behind it, and compares.
// Nothing waits: the result arrives in the entry's slot, and the drainer judges it.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_set>

#include "config/config.h"
#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/rerun/contracts.h"
#include "cupti_hook/rerun/dnn_checker.h"
#include "cupti_hook/rerun/ring.h"
#include "cupti_hook/rerun/saved_output.h"
#include "cupti_hook/rerun/scratch.h"

namespace fumi::rerun {

// What prepare() hands to enqueue(); on the stack of the calling thread.
struct PendingCheck {
    GemmProblem
        problem;  // with C pointing at the saved copy, and narrowed to a window where scratch is short
    Coverage coverage;
    GemmCheckPlan plan;
    CUdeviceptr scratch = 0;
    DnnPending dnn;  // in place of the others, for a cudnn call
};

class Checker {
  public:
    Checker(const config::ImprovePrecision& choice, std::size_t scratch_ceiling, Ring& ring) noexcept
        : choice_(choice), scratch_(scratch_ceiling), ring_(ring), dnn_(choice_, scratch_) {}

    // Before the call: sees to memory, and saves C where the call overwrites it. False, with
    // entry.not_checked set, where there will be no check. entry.checked tells enqueue().
    bool prepare(Entry& entry, PendingCheck& check) noexcept;
    // After a call that succeeded.
    void enqueue(Entry& entry, PendingCheck& check) noexcept;

    // The program has reset the device or destroyed a context: what was allocated there is gone, and there
    // are no more checks.
    void context_lost() noexcept { lost_.store(true, std::memory_order_relaxed); }

    // The device of the calling thread; -1 where there is none.
    static int current_device() noexcept;
    std::size_t scratch_allocated() noexcept { return scratch_.allocated(); }

  private:
    bool set_up(const libraries::DriverApi& driver, CUcontext context) noexcept;
    bool set_up_once(const libraries::DriverApi& driver) noexcept;
    int capability(const libraries::DriverApi& driver, int device) noexcept;
    // Tells the arenas of different captures apart; 0 outside of captures.
    static std::uint64_t capture_id(const libraries::DriverApi& driver, const Entry& entry) noexcept;
    const char* plan_check(const libraries::DriverApi& driver, Entry& entry, PendingCheck& check) noexcept;
    // The same for a cudnn call (checker_dnn.cpp).
    const char* plan_dnn_check(const libraries::DriverApi& driver, Entry& entry,
                               PendingCheck& check) noexcept;
    void enqueue_dnn(Entry& entry, PendingCheck& check) noexcept;
    const char* save_output(const libraries::DriverApi& driver, Entry& entry, PendingCheck& check) noexcept;
    void choose_coverage(Entry& entry, PendingCheck& check) const noexcept;
    // What precision the call really used, from a few entries of the same problem.
    CUresult enqueue_precision(const libraries::DriverApi& driver, Entry& entry, const PendingCheck& check,
                               Slot& device_slot) const noexcept;
    CUfunction kernel(const char* name) const noexcept;

    config::ImprovePrecision choice_;
    Scratch scratch_;
    Ring& ring_;
    Contracts contracts_;
    DnnChecker dnn_;
    std::atomic<bool> lost_{false};
    std::mutex setup_mutex_;
    enum class State { untried, ready, failed };
    std::atomic<State> state_{State::untried};
    std::unordered_set<CUcontext> warm_;  // contexts in which the kernels are loaded
    std::atomic<CUcontext> last_warm_{nullptr};
    bool ieee_ = false;
    CUfunction kernels_[7] = {};
    Slot* device_slots_ = nullptr;  // the ring's slots as the device addresses them
    std::atomic<int> capabilities_[64] = {};
    std::atomic<std::uint64_t> sequence_{0};
};

}  // namespace fumi::rerun
