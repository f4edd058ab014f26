// The check kernels of the device images besides the GEMM checks', loaded when the first of them is needed.
#pragma once
#include <atomic>
#include <mutex>
#include <unordered_set>

#include "cupti_hook/libraries/driver_api.h"
#include "kernels/check_launch.h"

namespace fumi::rerun {

class CheckKernels {
  public:
    // Loads every kernel into the context, so that none is loaded lazily inside a capture. False, said once,
    // where that is not possible. Cheap once done.
    bool load(const libraries::DriverApi& driver, CUcontext context) noexcept;
    CUfunction find(const char* name) const noexcept;
    // In order, on the stream.
    CUresult launch(const libraries::DriverApi& driver, CUstream stream, CheckPlan& plan) const noexcept;

  private:
    static constexpr int most_kernels = 64;
    bool load_once(const libraries::DriverApi& driver) noexcept;

    std::mutex mutex_;
    enum class State { untried, ready, failed };
    std::atomic<State> state_{State::untried};
    std::unordered_set<CUcontext> warm_;
    std::atomic<CUcontext> last_warm_{nullptr};
    CUfunction functions_[most_kernels] = {};
};

}  // namespace fumi::rerun
