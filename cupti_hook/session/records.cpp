#include "cupti_hook/session/records.h"

#include <limits>

namespace fumi::session {

const char* name(Phase phase) noexcept {
    switch (phase) {
        case Phase::forward:
            return "forward";
        case Phase::backward:
            return "backward";
        case Phase::none:
            break;
    }
    return "none";
}

const char* name(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::pass:
            return "pass";
        case Verdict::warn:
            return "warn";
        case Verdict::fail:
            return "fail";
        case Verdict::none:
            break;
    }
    return "";
}

CheckRecord::CheckRecord()
    : max_abs_err(std::numeric_limits<double>::quiet_NaN()),
      max_rel_err(max_abs_err),
      rms_rel_err(max_abs_err),
      backward_error(max_abs_err),
      bound(max_abs_err),
      effective_bits(max_abs_err),
      amplification(max_abs_err),
      significant_digits(max_abs_err) {}

}  // namespace fumi::session
