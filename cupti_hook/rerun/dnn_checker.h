// improve_precision for cuDNN calls: what the call overwrites of its own inputs is saved before it, and its
// outputs are recomputed behind it, on its stream.
#pragma once
#include "config/config.h"
#include "cupti_hook/libraries/call.h"
#include "cupti_hook/rerun/check_kernels.h"
#include "cupti_hook/rerun/dnn_problem.h"
#include "cupti_hook/rerun/rnn_copies.h"
#include "cupti_hook/rerun/rnn_layout.h"
#include "cupti_hook/rerun/scratch.h"

namespace fumi::rerun {

// Of one call, between prepare() and enqueue().
struct DnnPending {
    DnnProblem problem;
    const DnnContract* contract = nullptr;
    DnnCoverage coverage;
    void* scratch = nullptr;          // of the plan
    std::size_t scratch_ceiling = 0;  // that it was planned under: the plan depends on it
    const char* reference = "";
    bool sampled = false;
};

// Where the call and its check are at home.
struct DnnPlace {
    const libraries::DriverApi& driver;
    CUcontext context;
    std::uint64_t capture;  // 0 outside of captures
    int capability;
    bool ieee;
    std::uint64_t seed;
};

class DnnChecker {
  public:
    DnnChecker(const config::ImprovePrecision& choice, bool measures, Scratch& scratch) noexcept
        : choice_(choice), scratch_(scratch), contracts_(measures), copies_(scratch) {}

    // Returns why the call will not be checked, or nullptr.
    const char* prepare(const DnnPlace& place, const libraries::Call& call, DnnPending& pending) noexcept;
    // After a call that succeeded; the result comes in the target's slot.
    const char* enqueue(const DnnPlace& place, const libraries::Call& call, const DnnPending& pending,
                        CheckTarget target) noexcept;

  private:
    const char* plan(const DnnPlace& place, const libraries::Call& call, DnnPending& pending) noexcept;
    const char* save_inputs(const DnnPlace& place, const libraries::Call& call, bool ragged,
                            DnnPending& pending) noexcept;
    static const char* send_places(const DnnPlace& place, const libraries::Call& call,
                                   const RaggedPlaces& places, CUdeviceptr target,
                                   RnnProblem& problem) noexcept;

    const config::ImprovePrecision& choice_;
    Scratch& scratch_;
    CheckKernels kernels_;
    DnnContracts contracts_;
    RnnLayouts layouts_;
    RnnCopies copies_;
};

}  // namespace fumi::rerun
