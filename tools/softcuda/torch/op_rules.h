// Which aten ops are redirected to the CPU kernels, and which of them need care.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <vector>

namespace softcuda::torch_device {

// True for ops whose dense CUDA implementation is calls of cuBLAS or cuDNN.
bool served_by_library(const c10::OperatorHandle& op);

// True for ops that launch no kernel: views, allocation, metadata.
bool stays_native(const c10::OperatorHandle& op);

// True for ops that accept CPU tensors with dimensions beside CUDA ones (indices, lists of mixed tensors).
bool mixes_devices(const c10::OperatorHandle& op);

// True where the shape or the value of what comes back depends on the contents of the arguments: the host has
// to wait.
bool depends_on_data(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments);

}  // namespace softcuda::torch_device
