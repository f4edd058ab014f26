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
#include <unordered_map>

#include "mapping/api_table.h"
#include "mapping/op_stack.h"
#include "mapping/operation_check.h"
#include "mapping/operation_device.h"
#include "mapping/operation_random.h"
#include "mapping/operations.h"
#include "mapping/python_stack.h"
#include "mapping/scratch_memory.h"

namespace fumi::mapping {
namespace {

std::atomic<const FumiOperationRecorder*> recorder{nullptr};

// The outermost operation with a bound that the calling thread is in, which answers for those inside, checked
// or not; nullptr where there is none.
thread_local const at::RecordFunction* outermost = nullptr;

std::int64_t now_ns(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) noexcept {
    const std::uint64_t x = (hash ^ value) * 0x9E3779B97F4A7C15U;
    return x ^ (x >> 29U);
}

std::uint64_t address(const char* interned) noexcept {
    return reinterpret_cast<std::uintptr_t>(interned);
}

// What one look at all arguments tells.
struct Arrived {
    std::uint64_t hash = 0;  // of the tensors' sizes and types
    bool on_cuda = false;
    bool on_meta = false;  // nothing is computed: a compiler looks for shapes
};

Arrived look_at(c10::ArrayRef<const c10::IValue> arguments) {
    Arrived arrived;
    for (const c10::IValue& value : arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            arrived.hash = mixed(arrived.hash, static_cast<std::uint64_t>(tensor.scalar_type()));
            for (const std::int64_t size : tensor.sizes()) {
                arrived.hash = mixed(arrived.hash, static_cast<std::uint64_t>(size));
            }
            arrived.on_cuda = arrived.on_cuda || tensor.is_cuda();
            arrived.on_meta = arrived.on_meta || tensor.is_meta();
        });
    }
    return arrived;
}

// A line, an operation, the sizes and types of its arguments.
std::uint64_t site_of(const Resolved& who, const char* name, const Arrived& arrived) {
    return mixed(mixed(mixed(arrived.hash, address(who.origin.location)), address(name)),
                 static_cast<std::uint64_t>(who.phase));
}

struct Watched final : at::ObserverContext {
    Watched(const Operation* its_row, c10::OperatorHandle handle)
        : row(its_row), operation{handle, {}, {}, nullptr} {}
    const Operation* row;
    RunningOperation operation;
    std::unique_ptr<Sample> sample;  // what of it is checked; nullptr: all
    Resolved who;
    const char* obstacle = nullptr;
    std::vector<std::uint32_t> versions;
    std::uint64_t site = 0;
    std::int64_t start_ns = 0;              // CLOCK_REALTIME
    std::int64_t begin_ns = 0, run_ns = 0;  // CLOCK_MONOTONIC: FuMi's work before it, its own start
};

// torch.compile's tracing, torch.func, a dispatch mode: the arguments are not what they seem.
bool in_transform() noexcept {
    using enum c10::DispatchKey;
    constexpr c10::DispatchKeySet transforms({FuncTorchDynamicLayerFrontMode, Python, Functionalize, Tracer});
    return c10::impl::tls_local_dispatch_key_set().included_.has_any(transforms) ||
           c10::impl::TorchDispatchModeTLS::any_modes_set();
}

// Under autocast the outer call of an operation casts its arguments and calls the same operation again: that
// one is the arithmetic.
bool will_be_cast(const c10::OperatorHandle& handle, bool on_cuda) {
    using c10::DispatchKey;
    const DispatchKey key = on_cuda ? DispatchKey::AutocastCUDA : DispatchKey::AutocastCPU;
    return at::autocast::is_autocast_enabled(on_cuda ? at::kCUDA : at::kCPU) &&
           !c10::impl::tls_is_dispatch_key_excluded(key) && handle.hasKernelForDispatchKey(key);
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

// The operator of a record; nullopt where it is none, or shows other arguments than its own (the interpreter
// of TorchScript shows its whole stack). Operators of the tables stay, and their names with them.
std::optional<c10::OperatorHandle> operator_of(const at::RecordFunction& record) {
    thread_local std::unordered_map<const char*, c10::OperatorHandle> known;
    auto found = known.find(record.name());
    if (found == known.end()) {
        const auto name = record.operator_name();
        const auto handle = name.has_value() ? c10::Dispatcher::singleton().findSchema(*name) : std::nullopt;
        if (!handle.has_value() || handle->schema().name().c_str() != record.name()) {
            return handle;
        }
        found = known.emplace(record.name(), *handle).first;
    }
    return found->second;
}

// torch asks after the start callbacks whether outputs are kept. It can be told so by all callbacks of all
// operations alone, but keeping outputs costs some 0.1 us, and few operations are checked: so this record
// says it by itself. An explicit instantiation may name a private member.
using StepCallbacks = at::StepCallbacks at::RecordFunction::*;
StepCallbacks step_callbacks();
template <StepCallbacks member>
struct Opened {
    friend StepCallbacks step_callbacks() { return member; }
};
template struct Opened<&at::RecordFunction::step_callbacks_>;

void have_outputs_kept(const at::RecordFunction& record) {
    (const_cast<at::RecordFunction&>(record).*step_callbacks()).needs_outputs_ = true;
}

const char* obstacle_now(const FumiOperationRecorder& to, const c10::OperatorHandle& handle,
                         c10::ArrayRef<const c10::IValue> arguments) {
    const auto device = cuda_device(arguments);
    return device.has_value() && to.capturing(current_stream(*device)) != 0
               ? "captured into a CUDA graph: a rerun would become part of it"
               : obstacle(handle, arguments);
}

// What the rerun needs and the operation may change.
void keep(const FumiOperationRecorder& to, Watched& watched, c10::ArrayRef<const c10::IValue> arguments) {
    const c10::OperatorHandle& handle = watched.operation.handle;
    to.enter();
    try {
        const bool random = draws_random_numbers(handle, arguments);
        const Unseen unseen;
        if (to.sample_elements > 0 && !random && !cuda_device(arguments).has_value()) {
            watched.sample = Sample::of(*watched.row, handle, arguments, to.sample_elements,
                                        mixed(watched.site, static_cast<std::uint64_t>(watched.begin_ns)));
        }
        if (watched.sample != nullptr) {
            watched.operation.arguments.assign(arguments.begin(), arguments.end());
        } else {
            watched.operation.arguments = saved(handle.schema(), arguments);
        }
        watched.versions = versions_of(watched.operation.arguments);
        if (random) {
            watched.operation.generators = std::make_shared<const Generators>(arguments);
        }
    } catch (const std::exception&) {
        watched.operation.arguments.clear();
        watched.obstacle = "no memory for a copy of what it overwrites";
    }
    to.leave();
}

// nullptr where it is not checked.
std::unique_ptr<Watched> begin(const at::RecordFunction& record, const Operation* row) {
    const FumiOperationRecorder* const to = recorder.load(std::memory_order_acquire);
    if (to == nullptr || in_transform()) {
        return nullptr;
    }
    const auto handle = operator_of(record);
    if (!handle.has_value() || record.inputs().size() != handle->schema().arguments().size()) {
        return nullptr;
    }
    const Arrived arrived = look_at(record.inputs());
    if (arrived.on_meta || will_be_cast(*handle, arrived.on_cuda)) {
        return nullptr;
    }
    outermost = &record;
    Resolved who = resolve(op_stack());
    who.origin.api = who.function != nullptr ? who.function : who.origin.api;
    const std::uint64_t site = site_of(who, record.name(), arrived);
    if (to->wanted(who.origin.api, who.phase, site) == 0) {
        return nullptr;
    }
    have_outputs_kept(record);
    auto watched = std::make_unique<Watched>(row, *handle);
    watched->who = who;
    watched->site = site;
    watched->begin_ns = now_ns(CLOCK_MONOTONIC);
    watched->start_ns = now_ns(CLOCK_REALTIME);
    watched->obstacle = obstacle_now(*to, *handle, record.inputs());
    if (watched->obstacle == nullptr) {
        keep(*to, *watched, record.inputs());
    }
    to->open();
    watched->run_ns = now_ns(CLOCK_MONOTONIC);
    return watched;
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& record) {
    function_begins(record);
    // One that has ended without a word leaves its place to another.
    if ((outermost != nullptr && outermost != &record) || record.isAsync()) {
        return nullptr;
    }
    const Operation* const row = row_of(record);
    if (row == nullptr || row->bound == Bound::unwatched) {
        return nullptr;
    }
    try {
        return begin(record, row);
    } catch (const std::exception&) {
        return nullptr;
    }
}

void report(const Watched& watched, const Finding& finding, std::int64_t run_ns) {
    const c10::OperatorName& name = watched.operation.handle.operator_name();
    const std::string function =
        name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
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
    told.run_ns = run_ns;
    told.site = watched.site;
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
    told.sampled = watched.sample != nullptr ? 1 : 0;
    told.check_ns = now_ns(CLOCK_MONOTONIC) - watched.begin_ns - run_ns;
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
    Finding finding =
        check_operation(*watched.row, watched.operation, watched.sample.get(), to.scratch_bytes);
    to.leave();
    return finding;
}

void on_end(const at::RecordFunction& record, at::ObserverContext* context) {
    function_ends(record);
    if (context == nullptr) {
        outermost = outermost == &record ? nullptr : outermost;
        return;
    }
    auto& watched = static_cast<Watched&>(*context);
    const FumiOperationRecorder* const to = recorder.load(std::memory_order_acquire);
    // An operation that has thrown has no results.
    if (!record.outputs().empty()) {
        try {
            const std::int64_t end_ns = now_ns(CLOCK_MONOTONIC);
            const std::int64_t run_ns = end_ns - watched.run_ns;
            watched.operation.results = record.outputs();
            const Finding finding = find(watched, *to);
            report(watched, finding, run_ns);
        } catch (const std::exception&) {
            watched.operation.results.clear();  // out of memory: this one is not reported
        }
    }
    to->close();
    outermost = nullptr;
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
        keep_scratch_memory(to->scratch_bytes);
        observe_functions_elsewhere();
        at::addGlobalCallback(at::RecordFunctionCallback(on_start, on_end)
                                  .needsInputs(true)
                                  .scopes({at::RecordScope::FUNCTION}));
        return 0;
    } catch (const std::exception&) {
        if (error != nullptr) {
            *error = "torch refused the RecordFunction callbacks";
        }
        return -1;
    }
}
