#include "cupti_hook/device_clock.h"

#include "cupti_hook/rerun/capture.h"

namespace fumi {

namespace {
constexpr std::size_t most_pairs = 256;
}

int DeviceClock::free_pair(const libraries::DriverApi& driver, CUcontext context) {
    for (std::size_t i = 0; i < pairs_.size(); ++i)
        if (!pairs_[i].busy && pairs_[i].context == context) return static_cast<int>(i);
    if (pairs_.size() == most_pairs) return -1;
    Pair pair;
    pair.context = context;
    if (driver.event_create(&pair.begin, CU_EVENT_DEFAULT) != CUDA_SUCCESS ||
        driver.event_create(&pair.end, CU_EVENT_DEFAULT) != CUDA_SUCCESS)
        return -1;
    pairs_.push_back(pair);
    return static_cast<int>(pairs_.size() - 1);
}

int DeviceClock::begin(const libraries::DriverApi& driver, CUcontext context, CUstream stream) noexcept try {
    if (!driver.has_events()) return -1;
    const rerun::RelaxedCapture relaxed(driver);
    const std::lock_guard lock(mutex_);
    const int pair = free_pair(driver, context);
    if (pair < 0) return -1;
    Pair& one = pairs_[static_cast<std::size_t>(pair)];
    if (driver.event_record(one.begin, stream) != CUDA_SUCCESS) return -1;
    one.busy = true;
    return pair;
} catch (...) {
    return -1;
}

void DeviceClock::end(const libraries::DriverApi& driver, CUstream stream, int pair) noexcept {
    const std::lock_guard lock(mutex_);
    // An error comes again when the time is read.
    static_cast<void>(driver.event_record(pairs_[static_cast<std::size_t>(pair)].end, stream));
}

void DeviceClock::give_up(int pair) noexcept {
    const std::lock_guard lock(mutex_);
    pairs_[static_cast<std::size_t>(pair)].busy = false;
}

std::int64_t DeviceClock::read(const libraries::DriverApi& driver, int pair) noexcept {
    const rerun::RelaxedCapture relaxed(driver);  // to ask an event breaks a capture in global mode
    const std::lock_guard lock(mutex_);
    Pair& one = pairs_[static_cast<std::size_t>(pair)];
    float milliseconds = 0;
    const CUresult status = driver.event_elapsed_time(&milliseconds, one.begin, one.end);
    if (status == CUDA_ERROR_NOT_READY) return not_yet;
    // After an error, of a context that is gone as a rule, the pair is not used again.
    one.busy = status != CUDA_SUCCESS;
    return status == CUDA_SUCCESS ? static_cast<std::int64_t>(static_cast<double>(milliseconds) * 1e6)
                                  : unknown;
}

}  // namespace fumi
