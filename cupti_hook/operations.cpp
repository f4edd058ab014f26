#include "cupti_hook/operations.h"

#include <unistd.h>

#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/open_operation.h"
#include "cupti_hook/origin_client.h"

namespace fumi {

namespace {

constexpr std::size_t most_waiting = 1U << 16U;
std::atomic<Operations*> current{nullptr};

std::int32_t wanted(const char* api, std::int32_t phase, std::uint64_t site) {
    Operations* const now = current.load(std::memory_order_acquire);
    return now != nullptr && now->wanted(api, phase, site) ? 1 : 0;
}

// The other capture mode of this thread: what enter() has exchanged.
thread_local CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_RELAXED;

void exchange_capture_mode() {
    const libraries::DriverApi* const driver = libraries::driver_api();
    if (driver != nullptr && driver->complete()) driver->exchange_capture_mode(&capture_mode);
}

// FuMi's memory may come while another thread captures, whose capture that would break in global mode.
void enter() {
    ++interpose::detail::guard_depth;
    exchange_capture_mode();
}

void leave() {
    exchange_capture_mode();
    --interpose::detail::guard_depth;
}

std::int32_t capturing(void* stream) {
    const libraries::DriverApi* const driver = libraries::driver_api();
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (driver == nullptr || !driver->complete() ||
        driver->stream_is_capturing(static_cast<CUstream>(stream), &status) != CUDA_SUCCESS)
        return 1;
    return status == CU_STREAM_CAPTURE_STATUS_NONE ? 0 : 1;
}

void open() {
    open_operation = {true, 0};
}

void close() {
    open_operation = {};
}

void record(const FumiOperation* told) {
    if (Operations* const now = current.load(std::memory_order_acquire); now != nullptr) now->add(*told);
}

session::CallRecord call_of(const FumiOperation& told) {
    session::CallRecord call;
    call.start_ns = told.start_ns;
    call.process = getpid();
    call.thread = gettid();
    call.device = -1;
    call.library = "torch";
    call.function = told.function;
    call.api = told.origin.api;
    call.op = told.origin.op;
    call.location = told.origin.location;
    call.module = told.origin.module;
    call.phase = static_cast<session::Phase>(told.origin.phase);
    call.shape = told.shape;
    call.dtypes = told.dtypes;
    call.not_checked = told.not_checked;
    return call;
}

session::CheckRecord check_of(const FumiOperation& told) {
    session::CheckRecord check;
    check.mode = config::name(config::Mode::improve_precision);
    check.reference = "fp64";
    check.coverage = config::name(told.sampled != 0 ? config::Coverage::sampled : config::Coverage::full);
    check.elements = told.elements;
    check.max_abs_err = told.max_abs_err;
    check.max_rel_err = told.max_rel_err;
    check.rms_rel_err = told.rms_rel_err;
    check.backward_error = told.backward_error;
    check.bound = told.bound;
    check.amplification = told.amplification;
    check.mismatches = told.mismatches;
    check.nonfinite = told.nonfinite;
    check.verdict = static_cast<session::Verdict>(told.verdict);
    check.reason = told.reason;
    check.check_ns = told.check_ns;
    return check;
}

}  // namespace

Operations::Operations(const config::Config& config, Recorder& recorder)
    : recorder_(recorder),
      apis_(config.apis),
      on_(config.operations && config.has(config::Mode::improve_precision)),
      forward_only_(config.forward_only),
      budget_(config),
      callbacks_{fumi::wanted,
                 enter,
                 leave,
                 record,
                 config.limits.scratch_bytes,
                 capturing,
                 open,
                 close,
                 config.improve_precision.coverage == config::Coverage::sampled
                     ? config.improve_precision.sample_rows * config.improve_precision.sample_columns
                     : 0} {}

void Operations::start() noexcept {
    if (!on_) return;
    current.store(this, std::memory_order_release);
    watch_operations(&callbacks_);
}

void Operations::stop() noexcept {
    current.store(nullptr, std::memory_order_release);
}

bool Operations::wanted(const char* api, std::int32_t phase, std::uint64_t site) noexcept {
    if (!recorder_.active() || (forward_only_ && phase == FUMI_PHASE_BACKWARD) || !apis_.accepts(api))
        return false;
    if (budget_.has_turn(site)) return true;
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return false;
}

void Operations::add(const FumiOperation& told) noexcept try {
    budget_.spent(told.site, told.run_ns, told.check_ns);
    const std::int64_t number = open_operation.number != 0 ? open_operation.number : recorder_.next_call();
    if (number == 0) return;
    OperationRow row{call_of(told), {}};
    row.call.call_id = number;
    if (row.call.not_checked.empty()) {
        row.checks.push_back(check_of(told));
        row.checks[0].call_id = number;
    }
    push(std::move(row));
} catch (...) {
    recorder_.count_dropped();
}

void Operations::push(OperationRow row) {
    const std::lock_guard lock(mutex_);
    if (rows_.size() < most_waiting)
        rows_.push_back(std::move(row));
    else
        recorder_.count_dropped();
}

std::vector<OperationRow> Operations::take(std::size_t least) {
    std::vector<OperationRow> taken;
    const std::lock_guard lock(mutex_);
    if (rows_.size() >= least) taken.swap(rows_);
    return taken;
}

}  // namespace fumi
