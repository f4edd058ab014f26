// The checker's side of a cudnn call: where its check is at home, and where its result goes.
#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

const char* Checker::plan_dnn(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                              const Wanted& wanted) noexcept {
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (driver.stream_is_capturing(entry.call.stream, &status) != CUDA_SUCCESS)
        return "the stream's capture state cannot be asked for";
    if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED) return "the stream's capture is invalid";
    entry.captured = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    // There is no checksum of theirs: a sample takes its place.
    if (!wanted.improve_precision && !wanted.checksum)
        return wanted.repeat ? "a second call: not for cuDNN calls" : "add_noise: not for cuDNN calls";
    const DnnPlace place{driver,
                         entry.context,
                         capture_id(driver, entry),
                         capability(driver, entry.device),
                         ieee_,
                         static_cast<std::uint64_t>(entry.call_id)};
    if (const char* reason = dnn_.prepare(place, entry.call, pending.dnn)) return reason;
    entry.dnn_contract = pending.dnn.contract;
    Check* check = add_check(entry, config::Mode::improve_precision);
    if (check == nullptr) return "result ring full";
    check->reference = pending.dnn.reference;
    check->sampled = pending.dnn.sampled;
    pending.improve_precision = check;
    return nullptr;
}

const char* Checker::enqueue_dnn(const libraries::DriverApi& driver, Entry& entry,
                                 PendingCheck& pending) noexcept {
    const Check& check = *pending.improve_precision;
    const DnnPlace place{driver, entry.context,
                         0,      capability(driver, entry.device),
                         ieee_,  static_cast<std::uint64_t>(entry.call_id)};
    CheckTarget target;
    target.slot = result_of(check);
    target.sequence = check.sequence;
    target.mode = entry.captured ? MergeMode::accumulate : MergeMode::once;
    target.replayed = entry.captured ? target.slot : nullptr;
    return dnn_.enqueue(place, entry.call, pending.dnn, target);
}

}  // namespace fumi::rerun
