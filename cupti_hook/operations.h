// Operations of torch that libfumi_torch.so reruns (mapping/operations.h): which ones, and their rows of the
// session.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "config/config.h"
#include "cupti_hook/operation_budget.h"
#include "cupti_hook/recorder.h"
#include "cupti_hook/session/records.h"
#include "mapping/operations.h"

namespace fumi {

struct OperationRow {
    session::CallRecord call;
    std::vector<session::CheckRecord> checks;  // where call.not_checked is ""
};

class Operations {
  public:
    Operations(const config::Config& config, Recorder& recorder);

    // From here on operations are told to this instance; until stop().
    void start() noexcept;
    static void stop() noexcept;

    // Operations of chosen APIs that were not rerun: it was not their turn.
    std::int64_t left_out() const noexcept { return left_out_.load(std::memory_order_relaxed); }
    // What has come in since the last time, oldest first; nothing where that is fewer. For the drainer.
    std::vector<OperationRow> take(std::size_t least);

    bool wanted(const char* api, std::int32_t phase, std::uint64_t site) noexcept;
    void add(const FumiOperation& told) noexcept;
    void push(OperationRow row);  // for the drainer's next time

  private:
    Recorder& recorder_;
    NameFilter apis_;
    const bool on_, forward_only_;
    OperationBudget budget_;
    FumiOperationRecorder callbacks_{};
    std::atomic<std::int64_t> left_out_{0};
    std::mutex mutex_;
    std::vector<OperationRow> rows_;
};

}  // namespace fumi
