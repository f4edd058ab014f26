// The checks of one call, on the call's own stream right behind it: what it wrote is recomputed and compared
// (improve_precision), or the call itself is issued again on the same inputs (repeat) or on noisy ones
// (add_noise). Nothing waits: results arrive in the slots of the entry's checks, and the drainer judges them.
//
// Device memory of one call's checks, one after another in the arena of its stream:
//   partials   statistics of the blocks of the check kernel that is running
//   saved      C as it was before the call, where the call overwrites it
//   work       what the check that is running needs besides; every check has it to itself
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_set>

#include "config/config.h"
#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/rerun/again.h"
#include "cupti_hook/rerun/contracts.h"
#include "cupti_hook/rerun/dnn_checker.h"
#include "cupti_hook/rerun/footprint.h"
#include "cupti_hook/rerun/ring.h"
#include "cupti_hook/rerun/saved_output.h"
#include "cupti_hook/rerun/scratch.h"
#include "kernels/checksum.h"
#include "kernels/noise.h"

namespace fumi::rerun {

// The modes that a call shall be checked in.
struct Wanted {
    bool improve_precision = false, repeat = false, checksum = false, add_noise = false;
    bool any() const noexcept { return improve_precision || repeat || checksum || add_noise; }
};

// What prepare() hands to enqueue(); on the stack of the calling thread.
struct PendingCheck {
    GemmProblem
        problem;  // with C pointing at the saved copy, and narrowed to a window where scratch is short
    bool windowed = false;
    std::int64_t first_column = 0;  // of the window
    SavePlan saved;                 // form none: the call overwrites nothing that it reads
    CUdeviceptr scratch = 0, work = 0;
    std::size_t work_bytes = 0;
    Check* improve_precision = nullptr;  // of the entry; nullptr: not in this mode
    Coverage coverage;
    GemmCheckPlan plan;
    Check* checksum = nullptr;
    ChecksumPlan checksum_plan;
    Check* repeat = nullptr;
    Footprint footprint;  // repeat, add_noise
    Check* add_noise = nullptr;
    NoiseParams noise[max_regions];  // of the regions that are read
    std::int64_t noise_elements = 0;
    DnnPending dnn;  // in place of problem, coverage and plan, for a cudnn call

    // What one call leaves to the next is written before it is read, but for these.
    void reset() noexcept {
        windowed = false;
        first_column = 0;
        saved = SavePlan{};
        scratch = work = 0;
        work_bytes = 0;
        improve_precision = repeat = checksum = add_noise = nullptr;
    }
};

class Checker {
  public:
    Checker(const config::Config& config, Ring& ring) noexcept
        : choice_(config.improve_precision),
          checksum_(config.checksum),
          noise_(config.noise),
          scratch_(static_cast<std::size_t>(config.limits.scratch_bytes)),
          ring_(ring),
          contracts_(config.thresholds.fumi),
          dnn_(choice_, config.thresholds.fumi, scratch_) {}

    // Before the call: sees to memory, and saves C where the call overwrites it. False, with
    // entry.not_checked set, where there will be no check. entry.checked tells enqueue().
    bool prepare(Entry& entry, PendingCheck& pending, const Wanted& wanted) noexcept;
    // After a call that succeeded. `call` is the one that can be issued again.
    void enqueue(Entry& entry, PendingCheck& pending, const libraries::Call& call) noexcept;

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

    const char* plan(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                     const Wanted& wanted) noexcept;
    // The same for a cudnn call (checker_dnn.cpp).
    const char* plan_dnn(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                         const Wanted& wanted) noexcept;
    const char* enqueue_dnn(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending) noexcept;
    const char* plan_save_output(Entry& entry, PendingCheck& pending, std::size_t room) noexcept;
    // Each plans one mode: adds its check to the entry, and says in `bytes` how much work memory it wants of
    // at most `room`. Returns the reason why not, or nullptr.
    const char* plan_improve_precision(Entry& entry, PendingCheck& pending) noexcept;
    const char* plan_checksum_check(Entry& entry, PendingCheck& pending, std::size_t room,
                                    std::size_t& bytes) noexcept;
    const char* plan_repeat(Entry& entry, PendingCheck& pending, std::size_t room,
                            std::size_t& bytes) noexcept;
    const char* plan_noise(Entry& entry, PendingCheck& pending, std::size_t room,
                           std::size_t& bytes) noexcept;
    Check* add_check(Entry& entry, config::Mode mode) noexcept;
    void choose_coverage(Entry& entry, PendingCheck& pending, Check& check) const noexcept;

    // Each enqueues one mode; the reason why it came to nothing, or nullptr.
    const char* enqueue_improve_precision(const libraries::DriverApi& driver, Entry& entry,
                                          PendingCheck& pending) noexcept;
    const char* enqueue_checksum(const libraries::DriverApi& driver, Entry& entry,
                                 PendingCheck& pending) noexcept;
    const char* enqueue_repeat(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                               const libraries::Call& call) noexcept;
    const char* enqueue_noise(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                              const libraries::Call& call) noexcept;
    // The inputs of one sample, moved.
    CUresult move_inputs(const libraries::DriverApi& driver, const Entry& entry, PendingCheck& pending,
                         const AgainMemory& memory, int sample, unsigned blocks) noexcept;
    // What precision the call really used, from a few entries of the same problem.
    CUresult enqueue_probe(const libraries::DriverApi& driver, const Entry& entry,
                           const PendingCheck& pending, const GemmProblem& problem, Check& check) noexcept;
    CUresult launch(const libraries::DriverApi& driver, CUstream stream, const char* kernel, unsigned blocks,
                    unsigned threads, void* params) noexcept;
    CUresult launch(const libraries::DriverApi& driver, CUstream stream, CheckLaunch& launch) noexcept;
    // The partials of `blocks` blocks into the check's slot.
    CUresult merge(const libraries::DriverApi& driver, const Entry& entry, const Check& check,
                   const PendingCheck& pending, unsigned blocks) noexcept;
    static const char* failed(const libraries::DriverApi& driver, CUresult status) noexcept;
    ResultSlot* result_of(const Check& check) const noexcept { return &device_slots_[check.slot].result; }
    CUfunction kernel(const char* name) const noexcept;

    config::ImprovePrecision choice_;
    config::Checksum checksum_;
    config::Noise noise_;
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
    static constexpr int kernel_count = 12;
    static const char* const kernel_names[kernel_count];
    CUfunction kernels_[kernel_count] = {};
    Slot* device_slots_ = nullptr;  // the ring's slots as the device addresses them
    std::atomic<int> capabilities_[64] = {};
    std::atomic<std::uint64_t> sequence_{0};
};

// Statistics of all blocks of one check kernel.
inline constexpr std::size_t partials_ceiling = std::size_t{256} << 10;
constexpr std::size_t round_up(std::size_t bytes) noexcept {
    return (bytes + 255) & ~std::size_t{255};
}
// The partials of the check, and behind them the entries of the precision probe.
inline constexpr std::size_t fixed_scratch = round_up(partials_ceiling) + round_up(kPrecisionScratch);
// Column sums of a checksum: what is larger is checked in part.
inline constexpr std::size_t most_checksum_bytes = std::size_t{32} << 20;
inline constexpr const char* no_scratch = "no device memory for the check within limits.scratch";

}  // namespace fumi::rerun
