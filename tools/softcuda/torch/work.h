// One redirected call as a work item of a stream.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <memory>
#include <optional>
#include <vector>

#include "tools/softcuda/torch/random.h"

namespace softcuda::torch_device {

// Where a fresh result goes: `target` is a CPU tensor over the device's view of memory that the calling
// thread allocated.
struct Destination {
    size_t result, element;  // position among the op's returns, and in that return's list
    at::Tensor target;
};

// All that a call of a CPU kernel needs, by value: it may run on any thread, any number of times (graph
// replays).
struct Work {
    c10::OperatorHandle op;
    std::vector<c10::IValue> arguments;  // CPU counterparts
    std::vector<Destination> destinations;
    std::optional<at::PhiloxCudaState> random;
    size_t generator_argument = 0;
    c10::DispatchKey cpu_key = c10::DispatchKey::CPU;
    int threads = 1;  // of the calling thread's setting: the split of a sum over threads decides its rounding

    // Runs the CPU kernel without autograd, autocast or profiler and returns its results.
    torch::jit::Stack run() const;

    // The same, results copied to their destinations. Throws where a result is not what was expected.
    void run_to_destinations() const;

  private:
    torch::jit::Stack run_unattended() const;
};

}  // namespace softcuda::torch_device
