// The device's time for checks: pairs of events around them. The program's threads record them; the drainer,
// whose thread is FuMi's own, reads them, so that no error of an event that has not come yet is ever the
// program's last error.
#pragma once
#include <cstdint>
#include <mutex>
#include <vector>

#include "cupti_hook/libraries/driver_api.h"

namespace fumi {

class DeviceClock {
  public:
    static constexpr std::int64_t not_yet = -1, unknown = -2;

    // Ahead of the work on `stream`, in the current context `context`; not in a capture. -1: it will not be
    // measured (too many measurements are under way, or the driver has no events).
    int begin(const libraries::DriverApi& driver, CUcontext context, CUstream stream) noexcept;
    // Behind the work; `pair` as begin() gave it, not -1.
    void end(const libraries::DriverApi& driver, CUstream stream, int pair) noexcept;
    // In place of end(), where there was no work after all.
    void give_up(int pair) noexcept;
    // Nanoseconds from begin() to end(), not_yet, or unknown. The pair is free again but for not_yet.
    std::int64_t read(const libraries::DriverApi& driver, int pair) noexcept;

  private:
    struct Pair {
        CUcontext context = nullptr;
        CUevent begin = nullptr, end = nullptr;
        bool busy = false;
    };
    int free_pair(const libraries::DriverApi& driver, CUcontext context);

    std::mutex mutex_;
    std::vector<Pair> pairs_;
};

}  // namespace fumi
