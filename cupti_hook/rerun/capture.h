// Stream capture, seen from a thread that must allocate while somebody captures.
#pragma once
#include "cupti_hook/libraries/driver_api.h"

namespace fumi::rerun {

// For its lifetime this thread may call what a capture in global mode forbids (it would break the capture
// otherwise).
class RelaxedCapture {
  public:
    explicit RelaxedCapture(const libraries::DriverApi& driver) noexcept : driver_(driver) {
        driver_.exchange_capture_mode(&mode_);
    }
    ~RelaxedCapture() { driver_.exchange_capture_mode(&mode_); }
    RelaxedCapture(const RelaxedCapture&) = delete;
    RelaxedCapture& operator=(const RelaxedCapture&) = delete;

  private:
    const libraries::DriverApi& driver_;
    CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace fumi::rerun
