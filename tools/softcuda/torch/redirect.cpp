#include "tools/softcuda/torch/redirect.h"

#include <ATen/Parallel.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/torch/alias.h"
#include "tools/softcuda/torch/op_rules.h"
#include "tools/softcuda/torch/outcome.h"
#include "tools/softcuda/torch/sparse.h"
#include "tools/softcuda/torch/work.h"

namespace softcuda::torch_device {
namespace {

c10::Device device_of(const std::vector<c10::IValue>& arguments) {
    std::optional<c10::Device> device;
    for (const c10::IValue& argument : arguments) {
        for_each_tensor(argument, [&](const at::Tensor& tensor) {
            if (!device && tensor.defined() && tensor.is_cuda()) device = tensor.device();
        });
        if (!device && argument.isDevice() && argument.toDevice().is_cuda()) device = argument.toDevice();
    }
    if (device && device->has_index()) return *device;
    return {c10::kCUDA, c10::cuda::current_device()};
}

// What the CUDA wrappers of PyTorch check: numbers (0-dimensional CPU tensors) may come along, other CPU
// tensors may not.
void check_same_device(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments,
                       c10::Device device) {
    for (size_t i = 0; i < arguments.size(); ++i) {
        for_each_tensor(arguments[i], [&](const at::Tensor& tensor) {
            if (!tensor.defined() || tensor.device() == device || (tensor.is_cpu() && tensor.dim() == 0))
                return;
            TORCH_CHECK(false,
                        "Expected all tensors to be on the same device, but found at least two devices, ",
                        device, " and ", tensor.device(), "! (when checking argument for argument ",
                        op.schema().arguments()[i].name(), " in method wrapper_CUDA__",
                        op.schema().name().substr(6), ")");
        });
    }
}

bool shares_names(const c10::AliasInfo& a, const c10::AliasInfo& b) {
    for (const c10::Symbol& symbol : a.beforeSets()) {
        if (b.beforeSets().count(symbol) != 0) return true;
    }
    return false;
}

bool is_generator(const c10::Argument& argument) {
    c10::TypePtr type = argument.type();
    if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    return type->kind() == c10::TypeKind::GeneratorType;
}

}  // namespace

RedirectedOp::RedirectedOp(const c10::OperatorHandle& op, c10::DispatchKey cpu_key)
    : kernel_name_("softcuda::" + c10::toString(op.operator_name())),
      cpu_key_(cpu_key),
      mixes_devices_(softcuda::torch_device::mixes_devices(op)) {
    const auto& arguments = op.schema().arguments();
    for (const c10::Argument& returned : op.schema().returns()) {
        size_t position = none;
        for (size_t i = 0; returned.alias_info() != nullptr && position == none && i < arguments.size();
             ++i) {
            if (arguments[i].alias_info() != nullptr &&
                shares_names(*arguments[i].alias_info(), *returned.alias_info())) {
                position = i;
            }
        }
        returned_arguments_.push_back(position);
    }
    for (size_t i = 0; i < arguments.size(); ++i) {
        if (is_generator(arguments[i])) generator_argument_ = i;
    }
}

// One call of a redirected op.
class RedirectedCall {
  public:
    RedirectedCall(const RedirectedOp& kernel, const c10::OperatorHandle& op,
                   std::vector<c10::IValue> arguments, c10::Device device)
        : kernel_(kernel),
          op_(op),
          arguments_(std::move(arguments)),
          device_(device),
          stream_(c10::cuda::getCurrentCUDAStream(device.index()).stream()) {}

    torch::jit::Stack run();

  private:
    Work make_work(AliasMap& aliases);
    void take_random_numbers(Work& work) const;
    torch::jit::Stack wait_for_results();
    torch::jit::Stack enqueue(const Outcome& outcome);
    Outcome rehearse();
    void apply_resizes(const AliasMap& aliases, const Outcome& outcome) const;
    template <class OnFresh>
    torch::jit::Stack device_results(const AliasMap& aliases, const Outcome& outcome, OnFresh on_fresh);

    const RedirectedOp& kernel_;
    const c10::OperatorHandle& op_;
    std::vector<c10::IValue> arguments_;
    c10::Device device_;
    cudaStream_t stream_;
    std::string signature_;
};

torch::jit::Stack RedirectedCall::run() {
    if (!depends_on_data(op_, arguments_)) signature_ = signature_of(op_, arguments_);
    std::shared_ptr<const Outcome> outcome = signature_.empty() ? nullptr : find_outcome(signature_);
    if (!outcome && !signature_.empty() && is_capturing(stream_)) {
        outcome = std::make_shared<const Outcome>(rehearse());
        if (outcome->reusable) remember_outcome(signature_, outcome);
    }
    return outcome && outcome->reusable ? enqueue(*outcome) : wait_for_results();
}

Work RedirectedCall::make_work(AliasMap& aliases) {
    Work work{op_, {}, {}, {}, 0, kernel_.cpu_key_, at::get_num_threads()};
    if (kernel_.generator_argument_ != RedirectedOp::none)
        work.generator_argument = kernel_.generator_argument_;
    for (const c10::IValue& argument : arguments_) {
        work.arguments.push_back(argument.isGenerator() ? c10::IValue() : aliases.to_cpu(argument));
    }
    return work;
}

void RedirectedCall::take_random_numbers(Work& work) const {
    if (kernel_.generator_argument_ == RedirectedOp::none) return;
    const c10::IValue& argument = arguments_[kernel_.generator_argument_];
    work.random = take_random_state(argument.isNone() ? std::nullopt : std::optional(argument.toGenerator()));
}

// The results as the caller gets them. on_fresh(result, element, tensor) is told of every tensor that has to
// be filled.
template <class OnFresh>
torch::jit::Stack RedirectedCall::device_results(const AliasMap& aliases, const Outcome& outcome,
                                                 OnFresh on_fresh) {
    torch::jit::Stack results;
    for (size_t i = 0; i < outcome.returns.size(); ++i) {
        const size_t argument = kernel_.returned_arguments_[i];
        if (argument != RedirectedOp::none) {
            results.push_back(arguments_[argument]);
            continue;
        }
        const ReturnMeta& meta = outcome.returns[i];
        c10::List<at::Tensor> list;
        for (size_t element = 0; element < meta.tensors.size(); ++element) {
            at::Tensor tensor = aliases.materialize(meta.tensors[element], device_);
            if (meta.tensors[element].kind == TensorMeta::Kind::fresh && tensor.numel() != 0)
                on_fresh(i, element, tensor);
            list.push_back(std::move(tensor));
        }
        results.push_back(meta.is_list ? c10::IValue(std::move(list)) : c10::IValue(list.get(0)));
    }
    return results;
}

void RedirectedCall::apply_resizes(const AliasMap& aliases, const Outcome& outcome) const {
    for (const auto& [index, meta] : outcome.resized) {
        const at::Tensor& tensor = aliases.device(index);
        int64_t span = 1;
        for (size_t i = 0; i < meta.sizes.size(); ++i) span += (meta.sizes[i] - 1) * meta.strides[i];
        for (const int64_t size : meta.sizes) span = size == 0 ? 0 : span;
        tensor.resize_({span});
        tensor.unsafeGetTensorImpl()->set_sizes_and_strides(meta.sizes, meta.strides,
                                                            tensor.storage_offset());
    }
}

torch::jit::Stack RedirectedCall::enqueue(const Outcome& outcome) {
    if (!outcome.resized.empty()) {
        AliasMap before(Backing::device_now);
        make_work(before);
        apply_resizes(before, outcome);
    }
    AliasMap aliases(Backing::device_later);
    auto work = std::make_shared<Work>(make_work(aliases));
    take_random_numbers(*work);
    AliasMap targets(Backing::device_later);
    torch::jit::Stack results =
        device_results(aliases, outcome, [&](size_t i, size_t element, const at::Tensor& tensor) {
            work->destinations.push_back({i, element, targets.to_cpu(tensor)});
        });
    C10_CUDA_CHECK(launch(stream_, kernel_.kernel_name_.c_str(), [work] { work->run_to_destinations(); }));
    return results;
}

torch::jit::Stack RedirectedCall::wait_for_results() {
    struct Completion {
        torch::jit::Stack results;
        std::exception_ptr error;
    };
    if (is_capturing(stream_)) C10_CUDA_CHECK(synchronize(stream_));  // the error that a GPU gives
    AliasMap aliases(Backing::device_now);
    auto work = std::make_shared<Work>(make_work(aliases));
    take_random_numbers(*work);
    auto completion = std::make_shared<Completion>();
    C10_CUDA_CHECK(launch(stream_, kernel_.kernel_name_.c_str(), [work, completion]() noexcept {
        try {
            completion->results = work->run();
        } catch (...) {
            completion->error = std::current_exception();
        }
    }));
    C10_CUDA_CHECK(synchronize(stream_));
    if (completion->error) std::rethrow_exception(completion->error);

    const auto outcome = std::make_shared<const Outcome>(describe_outcome(aliases, completion->results));
    apply_resizes(aliases, *outcome);
    for (const auto& [index, meta] : outcome->resized) {
        const at::Tensor& cpu = aliases.cpu(index);
        void* target = host_view(aliases.device(index).mutable_data_ptr());
        if (cpu.numel() != 0 && target != cpu.const_data_ptr())
            std::memcpy(target, cpu.const_data_ptr(), span_bytes(cpu));
    }
    const torch::jit::Stack& cpu_results = completion->results;
    torch::jit::Stack results =
        device_results(aliases, *outcome, [&](size_t i, size_t element, const at::Tensor& tensor) {
            const at::Tensor cpu = cpu_results[i].isTensor() ? cpu_results[i].toTensor()
                                                             : cpu_results[i].toListRef()[element].toTensor();
            std::memcpy(host_view(tensor.mutable_data_ptr()), cpu.const_data_ptr(), span_bytes(cpu));
        });
    for (size_t i = 0; i < results.size(); ++i) {
        const bool returns_argument = kernel_.returned_arguments_[i] != RedirectedOp::none;
        if (!cpu_results[i].isTensor() && !cpu_results[i].isTensorList()) results[i] = cpu_results[i];
        if (!returns_argument && cpu_results[i].isTensor() && is_sparse(cpu_results[i].toTensor())) {
            results[i] = copy_to_device(cpu_results[i].toTensor(), device_);
        }
    }
    for (size_t i = 0; i < aliases.size(); ++i) {
        if (is_sparse(aliases.device(i))) update_sparse(aliases.device(i), aliases.cpu(i));
    }
    if (outcome->reusable && !signature_.empty()) remember_outcome(signature_, outcome);
    return results;
}

// Runs the op on zeros beside the device: the shapes of its results where the stream cannot be waited for.
Outcome RedirectedCall::rehearse() {
    AliasMap aliases(Backing::zeros);
    Work work = make_work(aliases);
    if (kernel_.generator_argument_ != RedirectedOp::none) work.random = at::PhiloxCudaState(0, 0);
    return describe_outcome(aliases, work.run());
}

void RedirectedOp::operator()(const c10::OperatorHandle& op, c10::DispatchKeySet /*keys*/,
                              torch::jit::Stack* stack) const {
    const size_t count = op.schema().arguments().size();
    std::vector<c10::IValue> arguments(
        std::make_move_iterator(stack->end() - static_cast<std::ptrdiff_t>(count)),
        std::make_move_iterator(stack->end()));
    torch::jit::drop(*stack, count);
    const c10::Device device = device_of(arguments);
    const c10::cuda::CUDAGuard guard(device);
    if (!mixes_devices_) check_same_device(op, arguments, device);
    RedirectedCall call(*this, op, std::move(arguments), device);
    for (c10::IValue& result : call.run()) stack->push_back(std::move(result));
}

}  // namespace softcuda::torch_device
