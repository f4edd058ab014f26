// Ops whose GPU kernels keep fp32 numbers where the CPU's fp16 and bf16 kernels round in between.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace softcuda::torch_device {

// Batch norm of narrow types: its statistics, and the ones that it returns, are fp32 on a GPU.
bool computes_in_fp32(const c10::OperatorHandle& op, const torch::jit::Stack& arguments);

// Calls the kernel of `key` with fp32 copies of the arguments, rounds the results that have an argument's
// type and writes the running statistics back. stack: arguments, then results.
void run_in_fp32(const c10::OperatorHandle& op, c10::DispatchKey key, torch::jit::Stack* stack);

}  // namespace softcuda::torch_device
