// A check as a short, fixed-size sequence of kernel launches: planned on the calling thread without
// allocation, launched one after the other on the call's stream.
//
//     CheckPlan plan = plan_check(problem, contract, coverage, target);   // target.scratch null: how much?
//     if (*plan.reason != '\0') ...                                            // not checked, and why
//     for (i < plan.count) cuLaunchKernel(plan.launches[i].kernel, grid {blocks, 1, 1}, block {threads, 1,
//     1},
//                                         no shared memory, arguments {plan.launches[i].params});
//
// Every kernel takes one by-value struct, the bytes of `params`. The last launch merges the partial
// statistics into the ResultSlot as kMergeKernel does. Launches of one plan share scratch memory: they must
// not overlap in time, and the same scratch may serve the next plan on the same stream.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "kernels/gemm_check.h"

namespace fumi {

inline constexpr std::size_t kCheckParamBytes = 2560;
inline constexpr int kMostCheckLaunches = 6;

struct CheckLaunch {
    const char* kernel = nullptr;  // one of check_kernels(), by address
    unsigned blocks = 0, threads = 0;
    std::uint32_t param_bytes = 0;                       // what of params is meant
    alignas(16) unsigned char params[kCheckParamBytes];  // left as it is past param_bytes
};

struct CheckPlan {
    const char* reason = "";     // not "": the problem cannot be checked, and this says why (static text)
    const char* reference = "";  // "fp64", "double-double", "exact"
    std::size_t scratch_bytes = 0;
    std::int64_t elements = 0;  // of the outputs that are looked at
    bool sampled = false;       // fewer than all of them
    int count = 0;
    CheckLaunch launches[kMostCheckLaunches];
};

// Where a plan works and leaves its result.
struct CheckTarget {
    void* scratch = nullptr;  // device memory of plan.scratch_bytes, 256-byte aligned. Null: the plan is made
                              // only to learn scratch_bytes and reason, and must not be launched.
    std::size_t scratch_ceiling = std::size_t{256} << 20;  // scratch_bytes stays at or under this
    ResultSlot* slot = nullptr;                            // device-visible address
    std::uint64_t sequence = 0;                            // MergeMode::once: what slot->sequence becomes
    MergeMode mode = MergeMode::once;
    const ResultSlot* replayed =
        nullptr;  // merged slot of a captured check: each replay draws another sample
};

// Appends a launch; the struct is copied. Host code of the plan functions.
template <class Params>
void add_launch(CheckPlan& plan, const char* kernel, unsigned blocks, unsigned threads,
                const Params& params) noexcept {
    static_assert(sizeof(Params) <= kCheckParamBytes);
    static_assert(alignof(Params) <= 16);
    static_assert(std::is_trivially_copyable_v<Params>);
    CheckLaunch& launch = plan.launches[plan.count++];
    launch.kernel = kernel;
    launch.blocks = blocks;
    launch.threads = threads;
    launch.param_bytes = sizeof(Params);
    std::memcpy(launch.params, &params, sizeof(Params));
}
// The merge of `blocks` partials at `partials` into the target's slot: the last launch of every plan.
void add_merge(CheckPlan& plan, const ErrorStats* partials, unsigned blocks,
               const CheckTarget& target) noexcept;

// Every kernel that a plan (or plan_gemm_check) may name, and which device image holds it. Each image is what
// cuLibraryLoadData takes; images are independent, so that one can be loaded when a kernel of it is first
// needed.
struct CheckKernel {
    const char* name;
    int image;
};
struct DeviceImage {
    const void* data;
    std::size_t bytes;
};
std::span<const CheckKernel> check_kernels() noexcept;
std::span<const DeviceImage> device_images() noexcept;

}  // namespace fumi
