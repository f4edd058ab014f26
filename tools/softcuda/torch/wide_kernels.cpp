#include "tools/softcuda/torch/wide_kernels.h"

#include <ATen/ATen.h>

#include <string_view>

namespace softcuda::torch_device {
namespace {

constexpr std::string_view forward = "aten::native_batch_norm";
constexpr std::string_view backward = "aten::native_batch_norm_backward";

bool is_narrow(const c10::IValue& value) {
    if (!value.isTensor() || !value.toTensor().defined()) return false;
    const at::ScalarType type = value.toTensor().scalar_type();
    return type == at::kHalf || type == at::kBFloat16;
}

c10::IValue widened(const c10::IValue& value) {
    return is_narrow(value) ? c10::IValue(value.toTensor().to(at::kFloat)) : value;
}

// The type that result i has on a GPU; fp32: the statistics'.
at::ScalarType type_of_result(const c10::OperatorHandle& op, const torch::jit::Stack& arguments, size_t i) {
    const auto type = [&](size_t argument) { return arguments[argument].toTensor().scalar_type(); };
    if (op.operator_name().name == forward) return i == 0 ? type(0) : at::kFloat;
    if (i == 0) return type(1);
    return is_narrow(arguments[2]) ? type(2) : at::kFloat;  // gradients of weight and bias
}

}  // namespace

bool computes_in_fp32(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) {
    const std::string_view name = op.operator_name().name;
    return op.operator_name().overload_name.empty() && (name == forward || name == backward) &&
           is_narrow(arguments[name == forward ? 0 : 1]);
}

void run_in_fp32(const c10::OperatorHandle& op, c10::DispatchKey key, torch::jit::Stack* stack) {
    const torch::jit::Stack given = *stack;
    for (c10::IValue& argument : *stack) argument = widened(argument);
    const torch::jit::Stack wide = *stack;
    op.redispatchBoxed(c10::DispatchKeySet(key), stack);
    for (size_t i = 0; i < stack->size(); ++i) {
        if ((*stack)[i].isTensor() && (*stack)[i].toTensor().defined()) {
            (*stack)[i] = (*stack)[i].toTensor().to(type_of_result(op, given, i));
        }
    }
    if (op.operator_name().name != forward) return;
    for (const size_t running : {size_t{3}, size_t{4}}) {
        if (is_narrow(given[running])) given[running].toTensor().copy_(wide[running].toTensor());
    }
}

}  // namespace softcuda::torch_device
