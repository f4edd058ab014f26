#include "tools/softcuda/torch/work.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstring>
#include <stdexcept>

#include "tools/softcuda/torch/alias.h"
#include "tools/softcuda/torch/wide_kernels.h"

namespace softcuda::torch_device {
namespace {

const at::Tensor& element_of(const torch::jit::Stack& results, const Destination& destination) {
    const c10::IValue& value = results.at(destination.result);
    return value.isTensor() ? value.toTensor() : value.toListRef().at(destination.element).toTensor();
}

// PyTorch keeps the number of threads per thread; a worker takes over the setting of the thread that made the
// call.
void use_threads(int threads) {
    if (at::get_num_threads() != threads) at::set_num_threads(threads);
}

}  // namespace

torch::jit::Stack Work::run() const {
    const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset_with_ADInplaceOrView |
                                                   c10::autocast_dispatch_keyset);
    const at::NoGradGuard no_grad;
    const at::DisableRecordFunctionGuard no_profile;
    use_threads(threads);
    torch::jit::Stack stack(arguments);
    if (random) stack[generator_argument] = generator_for(*random);
    if (computes_in_fp32(op, stack)) {
        run_in_fp32(op, cpu_key, &stack);
    } else {
        op.redispatchBoxed(c10::DispatchKeySet(cpu_key), &stack);
    }
    return stack;
}

torch::jit::Stack Work::run_unattended() const {
    try {
        return run();
    } catch (const c10::Error& error) {
        throw std::runtime_error(error.what_without_backtrace());  // for the device's message: one line
    }
}

void Work::run_to_destinations() const {
    const torch::jit::Stack results = run_unattended();
    for (const Destination& destination : destinations) {
        const at::Tensor& result = element_of(results, destination);
        const at::Tensor& target = destination.target;
        TORCH_INTERNAL_ASSERT(result.sizes() == target.sizes() && result.strides() == target.strides() &&
                                  result.dtype() == target.dtype(),
                              "softcuda: the result of ", op.operator_name(),
                              " changed its shape between two runs");
        std::memcpy(target.mutable_data_ptr(), result.const_data_ptr(), span_bytes(result));
    }
}

}  // namespace softcuda::torch_device
