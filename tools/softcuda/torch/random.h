// Random numbers of redirected ops: a CPU generator derived from the state of the CUDA generator.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/cuda/PhiloxCudaState.h>

#include <optional>

namespace softcuda::torch_device {

// Takes the next numbers of `generator` (the default CUDA generator of the current device where none is
// given): its Philox offset advances as it does for a kernel, so that seeds, get_rng_state and set_rng_state
// mean what they mean on a GPU. During capture the state holds pointers that each replay fills anew. Throws
// for a generator that is not CUDA's.
at::PhiloxCudaState take_random_state(const std::optional<at::Generator>& generator);

// A CPU generator whose numbers depend on seed and offset alone. To be called where the kernel would run: it
// reads the device memory that a captured state points to.
at::Generator generator_for(const at::PhiloxCudaState& state);

}  // namespace softcuda::torch_device
