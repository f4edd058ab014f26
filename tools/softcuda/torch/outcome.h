// What is known about the results of a call before it has run: enough to allocate them and go on without
// waiting.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/softcuda/torch/alias.h"

namespace softcuda::torch_device {

struct ReturnMeta {
    bool is_list = false;
    std::vector<TensorMeta> tensors;
};

struct Outcome {
    bool reusable = true;  // false: depends on the data, or holds values that are not tensors
    std::vector<ReturnMeta> returns;
    std::vector<std::pair<size_t, TensorMeta>> resized;  // out= arguments that the op gave another shape
};

// Describes what the CPU kernel returned and did to the arguments' shapes.
Outcome describe_outcome(const AliasMap& aliases, const std::vector<c10::IValue>& results);

// Identifies calls with equal outcomes: the op, layouts and types of its tensors, its other arguments.
// Doubles count only for ops without tensors to read (arange): a learning rate or a probability shapes
// nothing. Empty where the outcome depends on values.
std::string signature_of(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments);

std::shared_ptr<const Outcome> find_outcome(const std::string& signature);
void remember_outcome(const std::string& signature, std::shared_ptr<const Outcome> outcome);

}  // namespace softcuda::torch_device
