#include "cupti_hook/rerun/checker.h"

#include <algorithm>

#include "cupti_hook/message.h"
#include "cupti_hook/rerun/capture.h"

namespace fumi::rerun {

namespace {

bool reads_c(const GemmProblem& p) noexcept {
    return p.beta.device != nullptr || p.beta.re != 0 || p.beta.im != 0;
}

// The window of `columns` columns from first_column on of the first `batches` batches, as a problem of its
// own.
GemmProblem window(const GemmProblem& whole, std::int64_t first_column, std::int64_t columns,
                   std::int64_t batches) noexcept {
    GemmProblem p = whole;
    p.n = columns;
    p.batch = batches;
    for (MatrixView* view : {&p.b, &p.c, &p.d, &p.aux}) {
        if (view->data == nullptr) continue;
        view->data = static_cast<const char*>(view->data) +
                     first_column * view->col_stride * element_bytes(view->type);
    }
    if (p.scale_b.kind == ScaleKind::outer) p.scale_b.device += first_column;
    return p;
}

const char* overlap(const GemmProblem& p) noexcept {
    if (p.d.batch_pointers != nullptr) return nullptr;
    const Extent d = extent_of(p.d, p.m, p.n, p.batch);
    const auto overlaps = [&](const MatrixView& view, std::int64_t rows, std::int64_t columns) {
        return view.batch_pointers == nullptr && extent_of(view, rows, columns, p.batch).overlaps(d);
    };
    if (overlaps(p.a, p.m, p.k) || overlaps(p.b, p.k, p.n)) return "an input overlaps the output";
    MatrixView bias;
    bias.data = p.bias;
    bias.row_stride = 1;
    bias.batch_stride = p.bias_batch_stride;
    bias.type = p.bias_type;
    return overlaps(bias, p.m, 1) ? "the bias overlaps the output" : nullptr;
}

bool c_is_overwritten(const GemmProblem& p) noexcept {
    if (p.c.batch_pointers != nullptr || p.d.batch_pointers != nullptr) return true;
    return extent_of(p.c, p.m, p.n, p.batch).overlaps(extent_of(p.d, p.m, p.n, p.batch));
}

}  // namespace

int Checker::current_device() noexcept {
    const libraries::DriverApi* driver = libraries::driver_api();
    CUdevice device = -1;
    if (driver == nullptr || driver->ctx_get_device == nullptr) return -1;
    return driver->ctx_get_device(&device) == CUDA_SUCCESS ? device : -1;
}

bool Checker::prepare(Entry& entry, PendingCheck& pending, const Wanted& wanted) noexcept {
    entry.not_checked = "the device was reset by the program";
    if (lost_.load(std::memory_order_relaxed)) return false;
    const libraries::DriverApi* driver = libraries::driver_api();
    entry.not_checked = "the CUDA driver lacks a function that checks need";
    if (driver == nullptr || !driver->complete()) return false;
    entry.not_checked = "no CUDA context is current";
    if (driver->ctx_get_current(&entry.context) != CUDA_SUCCESS || entry.context == nullptr) return false;
    entry.not_checked = "the check kernels could not be loaded";
    if (!set_up(*driver, entry.context)) return false;
    entry.not_checked = "result ring full";
    if (ring_.scarce()) return false;
    pending.reset();
    entry.not_checked = entry.call.library == libraries::Library::cudnn
                            ? plan_dnn(*driver, entry, pending, wanted)
                            : plan(*driver, entry, pending, wanted);
    entry.checked = entry.not_checked == nullptr;
    return entry.checked;
}

const char* Checker::plan(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                          const Wanted& wanted) noexcept {
    libraries::Call& call = entry.call;
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (driver.stream_is_capturing(call.stream, &status) != CUDA_SUCCESS)
        return "the stream's capture state cannot be asked for";
    if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED) return "the stream's capture is invalid";
    entry.captured = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (entry.captured && call.output_on_host) return "the output of a captured call lies on the host";

    pending.problem = call.problem;
    if (const char* reason = overlap(pending.problem)) return reason;
    entry.contract = contracts_.find(facts_of(call, capability(driver, entry.device), ieee_));
    if (entry.contract == nullptr) return "out of memory";

    const std::uint64_t capture = capture_id(driver, entry);
    std::size_t room = scratch_.available(entry.context, call.stream, capture);
    constexpr std::size_t fixed = fixed_scratch;
    if (room < fixed) return no_scratch;
    room -= fixed;
    if (reads_c(pending.problem) && c_is_overwritten(pending.problem)) {
        if (const char* reason = plan_save_output(entry, pending, room)) return reason;
    }
    const std::size_t saved = round_up(pending.saved.bytes);
    room -= std::min(room, saved);

    const char* reason = nullptr;
    const auto note = [&reason](const char* found) { reason = reason == nullptr ? found : reason; };
    if (wanted.improve_precision) note(plan_improve_precision(entry, pending));
    if (wanted.checksum) note(plan_checksum_check(entry, pending, room, pending.work_bytes));
    if (wanted.repeat) note(plan_repeat(entry, pending, room, pending.work_bytes));
    if (wanted.add_noise) note(plan_noise(entry, pending, room, pending.work_bytes));
    if (entry.check_count == 0) return reason;
    {
        const RelaxedCapture relaxed(driver);
        pending.scratch =
            scratch_.get(driver, entry.context, call.stream, capture, fixed + saved + pending.work_bytes);
    }
    if (pending.scratch == 0) return no_scratch;
    pending.work = pending.scratch + fixed + saved;
    if (pending.saved.form == SavePlan::Form::none) return nullptr;
    if (save(driver, pending.saved, pending.scratch + fixed, call.stream) != CUDA_SUCCESS)
        return "C could not be saved before the call";
    pending.problem.c = pending.saved.view;
    return nullptr;
}

std::uint64_t Checker::capture_id(const libraries::DriverApi& driver, const Entry& entry) noexcept {
    if (!entry.captured) return 0;
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    cuuint64_t id = 0;
    if (driver.stream_get_capture_info == nullptr ||
        driver.stream_get_capture_info(entry.call.stream, &status, &id, nullptr, nullptr, nullptr, nullptr) !=
            CUDA_SUCCESS)
        return ~std::uint64_t{0};
    return id + 1;  // never 0, which stands for work outside of captures
}

// Where C as a whole does not fit into the scratch that is left, fewer columns (and batches) are saved and
// checked.
const char* Checker::plan_save_output(Entry& entry, PendingCheck& pending, std::size_t room) noexcept {
    const GemmProblem whole = pending.problem;
    std::int64_t columns = whole.n, batches = whole.batch;
    SavePlan plan = plan_save(whole.c, whole.m, columns, batches);
    while (plan.reason == nullptr && plan.bytes > room && (columns > 1 || batches > 1)) {
        if (batches > 1)
            batches = (batches + 1) / 2;
        else
            columns = (columns + 1) / 2;
        plan = plan_save(whole.c, whole.m, columns, batches);
    }
    if (plan.reason != nullptr) return plan.reason;
    if (plan.bytes > room) return "no device memory for a copy of C within limits.scratch";
    pending.windowed = columns < whole.n || batches < whole.batch;
    if (columns < whole.n) {
        // Another window in each call.
        const std::int64_t windows = whole.n / columns;
        pending.first_column = static_cast<std::int64_t>(
                                   static_cast<std::uint64_t>(entry.call_id) * 0x9e3779b97f4a7c15ULL >> 33) %
                               windows * columns;
    }
    pending.problem = window(whole, pending.first_column, columns, batches);
    pending.saved = plan_save(pending.problem.c, pending.problem.m, columns, batches);
    return nullptr;
}

Check* Checker::add_check(Entry& entry, config::Mode mode) noexcept {
    Check* check = ring_.add_check(entry, mode);
    // Odd and even mean something in a merged slot only; here every check has a number of its own.
    if (check != nullptr) check->sequence = sequence_.fetch_add(1, std::memory_order_relaxed) + 1;
    return check;
}

void Checker::enqueue(Entry& entry, PendingCheck& pending, const libraries::Call& call) noexcept {
    const libraries::DriverApi& driver = *libraries::driver_api();
    const auto settle = [](Check* check, const char* reason) {
        if (check == nullptr) return;
        check->skipped = reason;
        check->enqueued = reason == nullptr;
    };
    if (pending.improve_precision != nullptr)
        settle(pending.improve_precision, call.library == libraries::Library::cudnn
                                              ? enqueue_dnn(driver, entry, pending)
                                              : enqueue_improve_precision(driver, entry, pending));
    if (pending.checksum != nullptr) settle(pending.checksum, enqueue_checksum(driver, entry, pending));
    if (pending.repeat != nullptr) settle(pending.repeat, enqueue_repeat(driver, entry, pending, call));
    if (pending.add_noise != nullptr) settle(pending.add_noise, enqueue_noise(driver, entry, pending, call));
    entry.checked = false;
    for (int i = 0; i < entry.check_count; ++i) {
        entry.checked = entry.checked || entry.checks[i].enqueued;
        if (entry.not_checked == nullptr) entry.not_checked = entry.checks[i].skipped;
    }
    if (entry.checked) entry.not_checked = nullptr;
}

CUresult Checker::launch(const libraries::DriverApi& driver, CUstream stream, const char* name,
                         unsigned blocks, unsigned threads, void* params) noexcept {
    void* arguments[] = {params};
    return driver.launch_kernel(kernel(name), blocks, 1, 1, threads, 1, 1, 0, stream, arguments, nullptr);
}

CUresult Checker::launch(const libraries::DriverApi& driver, CUstream stream, CheckLaunch& one) noexcept {
    return launch(driver, stream, one.kernel, one.blocks, one.threads, one.params);
}

CUresult Checker::merge(const libraries::DriverApi& driver, const Entry& entry, const Check& check,
                        const PendingCheck& pending, unsigned blocks) noexcept {
    GemmCheckPlan plan;
    plan.blocks = blocks;
    MergeParams params =
        make_merge_params(plan, reinterpret_cast<const void*>(pending.scratch), result_of(check),
                          check.sequence, entry.captured ? MergeMode::accumulate : MergeMode::once);
    return launch(driver, entry.call.stream, kMergeKernel, 1, kMergeThreads, &params);
}

const char* Checker::failed(const libraries::DriverApi& driver, CUresult status) noexcept {
    if (status == CUDA_SUCCESS) return nullptr;
    const char* name = "unknown error";
    driver.get_error_name(status, &name);
    say_once("check launch", "a check could not be launched (%s); its call is recorded as not checked", name);
    return "the check could not be launched";
}

}  // namespace fumi::rerun
