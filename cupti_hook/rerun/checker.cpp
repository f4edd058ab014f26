#include "cupti_hook/rerun/checker.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cupti_hook/message.h"
#include "cupti_hook/rerun/capture.h"
#include "kernels/host_bodies.h"

namespace fumi::rerun {

namespace {

constexpr std::size_t partials_ceiling = std::size_t{256} << 10;
constexpr int most_sampled_batches = 4;
constexpr const char* kernel_names[] = {kCheckReal,           kCheckDouble, kCheckComplex,
                                        kCheckDoubleComplex,  kMergeKernel, kPrecisionKernel,
                                        kPrecisionMergeKernel};
// The partials of the check, and behind them the entries of the precision probe.
constexpr std::size_t fixed_scratch = partials_ceiling + ((kPrecisionScratch + 255) & ~std::size_t{255});

std::size_t round_up(std::size_t bytes) noexcept {
    return (bytes + 255) & ~std::size_t{255};
}

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

bool Checker::prepare(Entry& entry, PendingCheck& check) noexcept {
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
    entry.not_checked = entry.call.library == libraries::Library::cudnn
                            ? plan_dnn_check(*driver, entry, check)
                            : plan_check(*driver, entry, check);
    entry.checked = entry.not_checked == nullptr;
    return entry.checked;
}

const char* Checker::plan_check(const libraries::DriverApi& driver, Entry& entry,
                                PendingCheck& check) noexcept {
    libraries::Call& call = entry.call;
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (driver.stream_is_capturing(call.stream, &status) != CUDA_SUCCESS)
        return "the stream's capture state cannot be asked for";
    if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED) return "the stream's capture is invalid";
    entry.captured = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (entry.captured && call.output_on_host) return "the output of a captured call lies on the host";

    check.problem = call.problem;
    if (const char* reason = overlap(check.problem)) return reason;
    entry.contract = contracts_.find(facts_of(call, capability(driver, entry.device), ieee_));
    if (entry.contract == nullptr) return "out of memory";
    if (!entry.contract->supported) return entry.contract->name.c_str();

    if (reads_c(check.problem) && c_is_overwritten(check.problem)) {
        if (const char* reason = save_output(driver, entry, check)) return reason;
    }
    choose_coverage(entry, check);
    check.plan = plan_gemm_check(check.problem, check.coverage, partials_ceiling);
    if (check.plan.kernel == nullptr) return check.plan.reason;
    if (check.scratch == 0) {
        const RelaxedCapture relaxed(driver);
        check.scratch =
            scratch_.get(driver, entry.context, call.stream, capture_id(driver, entry), fixed_scratch);
        if (check.scratch == 0) return "no device memory for the check within limits.scratch";
    }
    entry.reference = check.plan.reference;
    Slot& slot = ring_.slot(entry);
    slot = Slot{};
    // Odd and even mean something in a merged slot only; here every check has a number of its own.
    entry.sequence = sequence_.fetch_add(1, std::memory_order_relaxed) + 1;
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
const char* Checker::save_output(const libraries::DriverApi& driver, Entry& entry,
                                 PendingCheck& check) noexcept {
    const GemmProblem whole = check.problem;
    const std::uint64_t capture = capture_id(driver, entry);
    const std::size_t room = scratch_.available(entry.context, entry.call.stream, capture);
    const std::size_t fixed = round_up(fixed_scratch);
    if (room <= fixed) return "no device memory for the check within limits.scratch";
    std::int64_t columns = whole.n, batches = whole.batch;
    SavePlan plan = plan_save(whole.c, whole.m, columns, batches);
    while (plan.reason == nullptr && plan.bytes > room - fixed && (columns > 1 || batches > 1)) {
        if (batches > 1)
            batches = (batches + 1) / 2;
        else
            columns = (columns + 1) / 2;
        plan = plan_save(whole.c, whole.m, columns, batches);
    }
    if (plan.reason != nullptr) return plan.reason;
    if (plan.bytes > room - fixed) return "no device memory for a copy of C within limits.scratch";
    if (columns < whole.n) {
        // Another window in each call.
        const std::int64_t windows = whole.n / columns;
        entry.first_column = static_cast<std::int64_t>(
                                 static_cast<std::uint64_t>(entry.call_id) * 0x9e3779b97f4a7c15ULL >> 33) %
                             windows * columns;
    }
    entry.sampled = columns < whole.n || batches < whole.batch;
    check.problem = window(whole, entry.first_column, columns, batches);
    plan = plan_save(check.problem.c, check.problem.m, columns, batches);
    {
        const RelaxedCapture relaxed(driver);
        check.scratch = scratch_.get(driver, entry.context, entry.call.stream, capture, fixed + plan.bytes);
    }
    if (check.scratch == 0) return "no device memory for a copy of C within limits.scratch";
    if (save(driver, plan, check.scratch + fixed, entry.call.stream) != CUDA_SUCCESS)
        return "C could not be saved before the call";
    check.problem.c = plan.view;
    return nullptr;
}

void Checker::choose_coverage(Entry& entry, PendingCheck& check) const noexcept {
    const GemmProblem& p = check.problem;
    if (choice_.coverage == config::Coverage::full) {
        check.coverage = full_coverage(p);
        return;
    }
    const auto clamped = [](std::int64_t value) {
        return static_cast<int>(std::min<std::int64_t>(value, 1 << 20));
    };
    const int batches = static_cast<int>(std::min<std::int64_t>(p.batch, most_sampled_batches));
    check.coverage = sampled_coverage(p, clamped(choice_.sample_rows), clamped(choice_.sample_columns),
                                      batches, static_cast<std::uint64_t>(entry.call_id));
    entry.sampled = entry.sampled || elements_covered(p, check.coverage) < p.m * p.n * p.batch;
}

void Checker::enqueue(Entry& entry, PendingCheck& check) noexcept {
    if (entry.call.library == libraries::Library::cudnn) return enqueue_dnn(entry, check);
    const libraries::DriverApi& driver = *libraries::driver_api();
    Slot* const device_slot = device_slots_ + entry.index;
    if (entry.call.output_on_host) {
        Slot& slot = ring_.slot(entry);
        const auto bytes = std::min<std::size_t>(
            sizeof slot.host_output, static_cast<std::size_t>(element_bytes(check.problem.d.type)));
        std::memcpy(slot.host_output, check.problem.d.data, bytes);
        check.problem.d.data = device_slot->host_output;
    }
    auto* scratch = reinterpret_cast<void*>(check.scratch);
    ResultSlot* const result = &device_slot->result;
    GemmCheckParams params = make_check_params(check.problem, *entry.contract, check.coverage, scratch,
                                               entry.captured ? result : nullptr);
    MergeParams merge = make_merge_params(check.plan, scratch, result, entry.sequence,
                                          entry.captured ? MergeMode::accumulate : MergeMode::once);
    void* check_arguments[] = {&params};
    void* merge_arguments[] = {&merge};
    const CUstream stream = entry.call.stream;
    CUresult status = driver.launch_kernel(kernel(check.plan.kernel), check.plan.blocks, 1, 1, kCheckThreads,
                                           1, 1, 0, stream, check_arguments, nullptr);
    if (status == CUDA_SUCCESS) status = enqueue_precision(driver, entry, check, *device_slot);
    // Last, since the drainer takes a slot when its result is there.
    if (status == CUDA_SUCCESS)
        status = driver.launch_kernel(kernel(kMergeKernel), 1, 1, 1, kMergeThreads, 1, 1, 0, stream,
                                      merge_arguments, nullptr);
    if (status == CUDA_SUCCESS) return;
    const char* name = "unknown error";
    driver.get_error_name(status, &name);
    say_once("check launch", "a check could not be launched (%s); its call is recorded as not checked", name);
    entry.checked = false;
    entry.not_checked = "the check could not be launched";
}

CUresult Checker::enqueue_precision(const libraries::DriverApi& driver, Entry& entry,
                                    const PendingCheck& check, Slot& device_slot) const noexcept {
    entry.probed = !entry.call.output_on_host && precision_applies(check.problem);
    if (!entry.probed) return CUDA_SUCCESS;
    PrecisionParams params =
        make_precision_params(check.problem, *entry.contract, static_cast<std::uint64_t>(entry.call_id),
                              reinterpret_cast<void*>(check.scratch + partials_ceiling),
                              &device_slot.precision, entry.captured ? 0 : entry.sequence);
    void* arguments[] = {&params};
    const CUresult status =
        driver.launch_kernel(kernel(kPrecisionKernel), kPrecisionEntries, 1, 1, kPrecisionThreads, 1, 1, 0,
                             entry.call.stream, arguments, nullptr);
    if (status != CUDA_SUCCESS) return status;
    return driver.launch_kernel(kernel(kPrecisionMergeKernel), 1, 1, 1, kPrecisionThreads, 1, 1, 0,
                                entry.call.stream, arguments, nullptr);
}

CUfunction Checker::kernel(const char* name) const noexcept {
    for (std::size_t i = 0; i < std::size(kernel_names); ++i)
        if (kernel_names[i] == name || std::strcmp(kernel_names[i], name) == 0) return kernels_[i];
    return nullptr;
}

int Checker::capability(const libraries::DriverApi& driver, int device) noexcept {
    if (device < 0 || device >= static_cast<int>(std::size(capabilities_))) return 0;
    int known = capabilities_[device].load(std::memory_order_relaxed);
    if (known != 0) return known;
    int major = 0, minor = 0;
    driver.device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    driver.device_get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    known = 10 * major + minor;
    capabilities_[device].store(known, std::memory_order_relaxed);
    return known;
}

bool Checker::set_up(const libraries::DriverApi& driver, CUcontext context) noexcept try {
    if (state_.load(std::memory_order_acquire) == State::ready &&
        last_warm_.load(std::memory_order_relaxed) == context)
        return true;
    const std::lock_guard lock(setup_mutex_);
    const RelaxedCapture relaxed(driver);
    if (state_.load(std::memory_order_relaxed) == State::untried)
        state_.store(set_up_once(driver) ? State::ready : State::failed, std::memory_order_release);
    if (state_.load(std::memory_order_relaxed) != State::ready) return false;
    if (warm_.insert(context).second && driver.kernel_get_function != nullptr) {
        // Loads the code now: a lazy load at the first launch could fall into a capture.
        for (const CUfunction kernel : kernels_) {
            CUfunction function = nullptr;
            driver.kernel_get_function(&function, reinterpret_cast<CUkernel>(kernel));
        }
    }
    last_warm_.store(context, std::memory_order_relaxed);
    return true;
} catch (const std::bad_alloc&) {
    return false;
}

bool Checker::set_up_once(const libraries::DriverApi& driver) noexcept {
    const auto failed = [&](const char* what, CUresult status) {
        const char* name = "unknown error";
        driver.get_error_name(status, &name);
        say_once("check setup", "%s (%s): calls are traced but not checked", what, name);
        return false;
    };
    // On the software device the kernels are host functions, and sums may round as IEEE has it.
    if (void* registrar = dlsym(RTLD_DEFAULT, "softcudaRegisterKernel")) {
        register_host_bodies(reinterpret_cast<softcudaRegisterKernel_t>(registrar));
        const char* numerics = std::getenv("SOFTCUDA_NUMERICS");
        ieee_ = numerics == nullptr || std::strcmp(numerics, "tensorcore") != 0;
    }
    CUlibrary library = nullptr;
    if (const CUresult status =
            driver.library_load_data(&library, fatbin(), nullptr, nullptr, 0, nullptr, nullptr, 0);
        status != CUDA_SUCCESS)
        return failed("the check kernels cannot be loaded", status);
    for (std::size_t i = 0; i < std::size(kernel_names); ++i) {
        CUkernel kernel = nullptr;
        if (const CUresult status = driver.library_get_kernel(&kernel, library, kernel_names[i]);
            status != CUDA_SUCCESS)
            return failed(kernel_names[i], status);
        kernels_[i] = reinterpret_cast<CUfunction>(kernel);  // cuLaunchKernel takes either
    }
    if (const CUresult status = driver.mem_host_register(
            ring_.slots(), ring_.slot_bytes(), CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
        status != CUDA_SUCCESS)
        return failed("host memory for results cannot be pinned", status);
    CUdeviceptr device = 0;
    if (const CUresult status = driver.mem_host_get_device_pointer(&device, ring_.slots(), 0);
        status != CUDA_SUCCESS)
        return failed("host memory for results cannot be mapped", status);
    device_slots_ = reinterpret_cast<Slot*>(device);
    return true;
}

}  // namespace fumi::rerun
