// Sees the operations begin and end (RecordFunction), chooses those that are checked, and reports them. The
// outermost operation with a bound answers for all that it is made of.
#include <ATen/autocast_mode.h>
#include <ATen/core/PythonFallbackKernel.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <time.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>

#include "mapping/api_table.h"
#include "mapping/op_stack.h"
#include "mapping/operation_check.h"
#include "mapping/operations.h"
#include "mapping/python_stack.h"

namespace fumi::mapping {
namespace {

std::atomic<const FumiOperationRecorder*> recorder{nullptr};

// The calling thread is inside a checked operation, or checks one.
thread_local bool occupied = false;

std::int64_t now_ns(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

struct Watched final : at::ObserverContext {
    Watched(const Operation* its_row, c10::OperatorHandle handle) : row(its_row), operation{handle, {}, {}} {}
    const Operation* row;
    RunningOperation operation;
    Resolved who;
    const char* obstacle = nullptr;
    std::vector<std::uint32_t> versions;
    std::int64_t start_ns = 0;
};

// torch.compile's tracing, torch.func, a dispatch mode: the arguments are not what they seem.
bool in_transform() noexcept {
    using enum c10::DispatchKey;
    for (const c10::DispatchKey key : {FuncTorchDynamicLayerFrontMode, Python, Functionalize, Tracer}) {
        if (c10::impl::tls_is_dispatch_key_included(key)) {
            return true;
        }
    }
    return c10::impl::TorchDispatchModeTLS::any_modes_set();
}

// Under autocast the outer call of an operation casts its arguments and calls the same operation again: that
// one is the arithmetic.
bool will_be_cast(const c10::OperatorHandle& handle) {
    using c10::DispatchKey;
    return at::autocast::is_autocast_enabled(at::kCPU) &&
           !c10::impl::tls_is_dispatch_key_excluded(DispatchKey::AutocastCPU) &&
           handle.hasKernelForDispatchKey(DispatchKey::AutocastCPU);
}

// Those of the arguments that nobody may have changed when the operation has ended.
std::vector<std::uint32_t> versions_of(const Arguments& arguments) {
    std::vector<std::uint32_t> versions;
    for (const c10::IValue& value : arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            versions.push_back(tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version()));
        });
    }
    return versions;
}

bool writes_arguments(const c10::FunctionSchema& schema) {
    return schema.is_mutable();
}

std::unique_ptr<Watched> begin(const at::RecordFunction& record, const Operation* row) {
    const FumiOperationRecorder* const to = recorder.load(std::memory_order_acquire);
    const auto name = record.operator_name();
    if (to == nullptr || !name.has_value() || in_transform()) {
        return nullptr;
    }
    const auto handle = c10::Dispatcher::singleton().findSchema(*name);
    // The interpreter of TorchScript shows its whole stack.
    if (!handle.has_value() || record.inputs().size() != handle->schema().arguments().size() ||
        will_be_cast(*handle)) {
        return nullptr;
    }
    auto watched = std::make_unique<Watched>(row, *handle);
    watched->who = resolve(op_stack());
    if (watched->who.phase == FUMI_PHASE_FORWARD) {
        const char* const api = python_function();
        watched->who.origin.api = api != nullptr ? api : watched->who.origin.api;
    }
    const std::int32_t wanted = to->wanted(watched->who.origin.api);
    if (wanted < 0) {
        return nullptr;
    }
    watched->start_ns = now_ns(CLOCK_REALTIME);
    watched->obstacle = wanted == 0 ? "not chosen: `every` of improve_precision in the configuration"
                                    : obstacle(*handle, record.inputs());
    if (watched->obstacle == nullptr) {
        watched->operation.arguments = saved(handle->schema(), record.inputs());
        watched->versions = versions_of(watched->operation.arguments);
    }
    return watched;
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& record) {
    if (occupied || record.isAsync()) {
        return nullptr;
    }
    const Operation* const row = operation_of(record.name());
    if (row == nullptr || row->bound == Bound::unwatched) {
        return nullptr;
    }
    try {
        auto watched = begin(record, row);
        occupied = watched != nullptr;
        return watched;
    } catch (const std::exception&) {
        return nullptr;
    }
}

void report(const Watched& watched, const Finding& finding, std::int64_t check_ns) {
    const std::string function = c10::toString(watched.operation.handle.operator_name());
    const std::string shape = shape_text(watched.operation);
    const std::string dtypes = dtypes_text(watched.operation);
    FumiOperation told{};
    const Resolved& who = watched.who;
    told.origin = {who.origin.api, who.op, who.origin.location, who.origin.module, who.phase};
    told.function = function.c_str();
    told.shape = shape.c_str();
    told.dtypes = dtypes.c_str();
    told.not_checked = finding.not_checked.c_str();
    told.reason = finding.reason.c_str();
    told.start_ns = watched.start_ns;
    told.check_ns = check_ns;
    told.elements = finding.outcome.elements;
    told.mismatches = finding.outcome.mismatches;
    told.nonfinite = finding.outcome.nonfinite;
    told.max_abs_err = finding.outcome.max_abs_err;
    told.max_rel_err = finding.outcome.max_rel_err;
    told.rms_rel_err = finding.outcome.rms_rel_err();
    told.backward_error = finding.outcome.backward_error;
    told.bound = finding.outcome.bound;
    told.amplification = finding.outcome.amplification;
    told.verdict = finding.verdict;
    recorder.load(std::memory_order_acquire)->record(&told);
}

Finding find(Watched& watched, const FumiOperationRecorder& to) {
    if (watched.obstacle != nullptr) {
        return {watched.obstacle, "", 0, {}};
    }
    if (versions_of(watched.operation.arguments) != watched.versions &&
        !writes_arguments(watched.operation.handle.schema()) && watched.row->bound != Bound::batch_norm &&
        watched.row->bound != Bound::instance_norm) {
        return {"an argument was changed while the operation ran", "", 0, {}};
    }
    to.enter();
    Finding finding = check_operation(*watched.row, watched.operation, to.scratch_bytes);
    to.leave();
    return finding;
}

void on_end(const at::RecordFunction& record, at::ObserverContext* context) {
    if (context == nullptr) {
        return;
    }
    auto& watched = static_cast<Watched&>(*context);
    const FumiOperationRecorder* const to = recorder.load(std::memory_order_acquire);
    // An operation that has thrown has no results.
    if (to != nullptr && !record.outputs().empty()) {
        try {
            const std::int64_t begin_ns = now_ns(CLOCK_MONOTONIC);
            watched.operation.results = record.outputs();
            const Finding finding = find(watched, *to);
            report(watched, finding, now_ns(CLOCK_MONOTONIC) - begin_ns);
        } catch (const std::exception&) {
            occupied = false;  // out of memory: this one is not reported
            return;
        }
    }
    occupied = false;
}

}  // namespace
}  // namespace fumi::mapping

extern "C" __attribute__((visibility("default"))) int32_t fumi_torch_watch_operations(
    const FumiOperationRecorder* to, const char** error) {
    using namespace fumi::mapping;
    const FumiOperationRecorder* none = nullptr;
    if (!recorder.compare_exchange_strong(none, to)) {
        return 0;
    }
    try {
        name_all_operations();
        at::addGlobalCallback(at::RecordFunctionCallback(on_start, on_end)
                                  .needsInputs(true)
                                  .needsOutputs(true)
                                  .scopes({at::RecordScope::FUNCTION}));
        return 0;
    } catch (const std::exception&) {
        if (error != nullptr) {
            *error = "torch refused the RecordFunction callbacks";
        }
        return -1;
    }
}
