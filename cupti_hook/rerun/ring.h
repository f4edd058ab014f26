// The entries that travel from the calling threads to the drainer: a fixed pool, and beside each entry a
// result slot in memory that the device writes. No allocation after construction; pages are touched as they
// are used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "config/config.h"
#include "cupti_hook/libraries/call.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "kernels/contract.h"
#include "kernels/dnn_check.h"
#include "kernels/gemm_check.h"
#include "kernels/noise.h"
#include "kernels/precision.h"
#include "mapping/origin.h"

namespace fumi::rerun {

inline constexpr int max_kernel_names = 4;
inline constexpr int max_checks = 6;  // of one call: one for each mode, and the thresholds

// One check of a call: a row of its own in the session. Its result comes in the slot.
struct Check {
    config::Mode mode = config::Mode::improve_precision;
    bool enqueued = false;  // false: prepared, but it came to nothing; `skipped` says why
    bool written = false;   // its row is (a captured check's is written anew)
    bool sampled = false;
    bool probed = false;      // improve_precision: for the precision that was really used
    bool may_differ = false;  // repeat: the library promises no reproducibility for this call
    const char* reference = "";
    const char* limit = "";             // checksum: why it only looked for what is not finite; static
    const char* skipped = nullptr;      // static
    std::uint64_t sequence = 0;         // what the slot's sequence becomes (not captured)
    std::int64_t first_column = 0;      // of the window of D that was checked, where it is not all of D
    std::int64_t launches_written = 0;  // captured: launches in the session already
    std::uint32_t slot = 0;
    NoiseKind noise = NoiseKind::ulp;  // add_noise
    std::int32_t noise_samples = 0, noise_bits = 0;
    const char* kernels[2] = {};  // repeat: the first kernel of the call and of its repetition, where known
};

struct Entry {
    libraries::Call call;
    std::int64_t call_id = 0;
    std::int64_t parent = 0;  // the call_id of the operation that makes this call; 0: none with a row
    std::int64_t start_ns = 0;
    std::int32_t thread = 0;
    std::int32_t device = -1;
    FumiOrigin origin{};
    const char* kernels[max_kernel_names] = {};
    std::int32_t kernel_count = 0;
    std::int64_t host_ns = 0;           // that the calling thread spent in FuMi for this call
    std::int32_t status = 0;            // what the library returned
    const char* not_checked = nullptr;  // a reason of this program's configuration or state; static
    // The checks, where there are any.
    bool checked = false;
    bool captured = false;               // recorded into a graph: its checks run at each of its launches
    std::int32_t clock_pair = -1;        // under a budget: their time on the device is measured by this pair
    std::int64_t charged_ns = 0;         // and what they were charged before it is known
    const Contract* contract = nullptr;  // lives as long as the process
    const DnnContract* dnn_contract = nullptr;  // the same, of a cudnn call
    CUcontext context = nullptr;
    std::int32_t check_count = 0;
    Check checks[max_checks];
    std::uint32_t index = 0;
    Entry* next = nullptr;
    // Where call.dnn points to, for a cudnn call. Never set up or copied as a whole: other calls leave it
    // untouched.
    alignas(libraries::DnnCall) unsigned char dnn_call[sizeof(libraries::DnnCall)];
};

// Aligned, so that slots do not share cache lines.
struct alignas(128) Slot {
    ResultSlot result;
    PrecisionSlot precision;     // written before the result
    double host_output[2] = {};  // copy of an output in host memory, for the device to read
};
static_assert(sizeof(Slot) % 128 == 0);

class Ring {
  public:
    // entries: how many. Throws std::bad_alloc.
    explicit Ring(std::uint32_t entries);
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    Entry* take() noexcept;  // nullptr where all are in use
    bool scarce() noexcept;  // an eighth or less is left: kept for calls without checks
    // A check of the entry with a slot, which the entry keeps until its release; nullptr where all are in
    // use.
    Check* add_check(Entry& entry, config::Mode mode) noexcept;
    void release(Entry* entry) noexcept;  // and its slots
    void push(Entry* entry) noexcept;     // to the drainer, in order
    Entry* pop_all() noexcept;            // a list linked by next, oldest first; nullptr where there is none

    Slot& slot(const Check& check) const noexcept { return slots_[check.slot]; }
    Slot* slots() const noexcept { return slots_; }
    std::size_t slot_bytes() const noexcept { return slot_count() * sizeof(Slot); }
    // In a forked child: the lock may have been held by a thread that is gone.
    void unlock_after_fork() noexcept;

  private:
    // Entries wait for their checks for as long as the slowest of them takes; most have one or two.
    std::size_t slot_count() const noexcept { return std::size_t{2} * entries_; }

    std::mutex mutex_;
    std::uint32_t entries_;
    std::uint32_t fresh_ = 0, fresh_slots_ = 0;  // from here on they were never used
    std::uint32_t in_use_ = 0;
    std::uint32_t freed_ = 0;  // slots on the stack free_slots_
    Entry* pool_;
    Slot* slots_;  // mapped by ourselves: a context's end unregisters them, but cannot take them away
    std::uint32_t* free_slots_;
    Entry* free_ = nullptr;
    Entry* oldest_ = nullptr;
    Entry* newest_ = nullptr;
};

}  // namespace fumi::rerun
