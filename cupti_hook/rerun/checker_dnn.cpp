// The checker's side of a cudnn call: where its check is at home, and where its result goes.
#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

const char* Checker::plan_dnn_check(const libraries::DriverApi& driver, Entry& entry,
                                    PendingCheck& check) noexcept {
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (driver.stream_is_capturing(entry.call.stream, &status) != CUDA_SUCCESS)
        return "the stream's capture state cannot be asked for";
    if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED) return "the stream's capture is invalid";
    entry.captured = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    const DnnPlace place{driver,
                         entry.context,
                         capture_id(driver, entry),
                         capability(driver, entry.device),
                         ieee_,
                         static_cast<std::uint64_t>(entry.call_id)};
    if (const char* reason = dnn_.prepare(place, entry.call, check.dnn)) return reason;
    entry.dnn_contract = check.dnn.contract;
    entry.reference = check.dnn.reference;
    entry.sampled = check.dnn.sampled;
    ring_.slot(entry) = Slot{};
    entry.sequence = sequence_.fetch_add(1, std::memory_order_relaxed) + 1;
    return nullptr;
}

void Checker::enqueue_dnn(Entry& entry, PendingCheck& check) noexcept {
    const libraries::DriverApi& driver = *libraries::driver_api();
    const DnnPlace place{driver, entry.context,
                         0,      capability(driver, entry.device),
                         ieee_,  static_cast<std::uint64_t>(entry.call_id)};
    CheckTarget target;
    target.slot = &device_slots_[entry.index].result;
    target.sequence = entry.sequence;
    target.mode = entry.captured ? MergeMode::accumulate : MergeMode::once;
    target.replayed = entry.captured ? target.slot : nullptr;
    entry.not_checked = dnn_.enqueue(place, entry.call, check.dnn, target);
    entry.checked = entry.not_checked == nullptr;
}

}  // namespace fumi::rerun
