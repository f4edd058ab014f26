// Comparisons of two functions (mapping/compare.h) as rows of the session.
#pragma once
#include <atomic>

#include "config/config.h"
#include "cupti_hook/operations.h"
#include "cupti_hook/recorder.h"
#include "mapping/comparisons.h"

namespace fumi {

class Comparisons {
  public:
    Comparisons(const config::Config& config, Recorder& recorder, Operations& rows);

    // From here on comparisons are told to this instance; until stop().
    void start() noexcept;
    static void stop() noexcept;

    bool wanted(const char* api) noexcept;
    void add(const FumiComparisonResult& told, std::int64_t start_ns, std::int64_t check_ns) noexcept;

  private:
    const config::Config& config_;
    Recorder& recorder_;
    Operations& rows_;
    NameFilter apis_;
    FumiComparisonRecorder callbacks_{};
};

}  // namespace fumi
