// Sparse tensors of redirected ops: their parts are dense tensors, which alias like any other.
#pragma once
#include <ATen/core/Tensor.h>

#include "tools/softcuda/torch/alias.h"

namespace softcuda::torch_device {

bool is_sparse(const at::Tensor& tensor);

// A CPU tensor of the same layout over the counterparts of the parts of `tensor`.
at::Tensor sparse_counterpart(AliasMap& aliases, const at::Tensor& tensor);

// A CUDA tensor with the contents of `cpu`, sparse or dense, in memory of its own. The current stream must be
// idle.
at::Tensor copy_to_device(const at::Tensor& cpu, c10::Device device);

// Gives the CUDA tensor the parts that an in-place op gave its counterpart. The current stream must be idle.
void update_sparse(const at::Tensor& device, const at::Tensor& cpu);

}  // namespace softcuda::torch_device
