// Where an operation's tensors lie, and what its kernels may do there.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <span>
#include <string>

#include "mapping/operation_rerun.h"

namespace fumi::mapping {

// The device of the first CUDA tensor; nullopt where there is none.
std::optional<c10::Device> cuda_device(std::span<const c10::IValue> arguments);

// The CUstream that the thread's work on `device` goes to.
void* current_stream(c10::Device device);

// Waits until the device has done what the thread's current stream holds; false after half a minute: it may
// wait for something that this very thread is yet to start.
bool has_caught_up(c10::Device device);

// The arguments with their tensors copied to the CPU: for kernels that a device does not have in fp64.
Arguments on_cpu(const Arguments& arguments);

// Is this torch's word for a kernel that does not exist?
bool lacks_kernel(const std::exception& error);

// What the kernels behind a matrix product or a convolution on a CUDA device may round besides the
// operation's bound, as torch's settings stand (docs/numerics.md sections 3 and 11). In u = 2^-24 of the
// magnitude.
struct Latitude {
    double inputs = 0;        // converting them to TF32
    double coarser = 1;       // sums in fp16: u_acc / u
    double each_term = 0;     // a tensor core truncates its sums
    double partial_sums = 0;  // legal, and warned of: split-K in the type of the output
    const char* words = "";
};

Latitude latitude_of_product(const RunningOperation& operation);

}  // namespace fumi::mapping
