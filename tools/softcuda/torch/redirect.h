// The boxed kernel that stands in for an op's CUDA kernels.
#pragma once
#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <string>
#include <vector>

namespace softcuda::torch_device {

class RedirectedOp : public c10::OperatorKernel {
  public:
    // cpu_key: whose kernel stands in, CPU, SparseCPU or SparseCsrCPU.
    RedirectedOp(const c10::OperatorHandle& op, c10::DispatchKey cpu_key);

    void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) const;

  private:
    friend class RedirectedCall;

    static constexpr size_t none = static_cast<size_t>(-1);
    std::string kernel_name_;                 // as a launch, for profilers and error messages
    std::vector<size_t> returned_arguments_;  // per return: the argument that it is (in-place, out=), or none
    size_t generator_argument_ = none;
    c10::DispatchKey cpu_key_;
    bool mixes_devices_;
};

}  // namespace softcuda::torch_device
