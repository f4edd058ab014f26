// Copies and fills that native ops (addmm, baddbmm, contiguous, to) launch through PyTorch's stubs, past the
// dispatcher.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/TensorBase.h>
#include <ATen/native/Copy.h>
#include <ATen/native/Fill.h>
#include <ATen/native/TensorIterator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <memory>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/torch/alias.h"
#include "tools/softcuda/torch/start.h"
#include "tools/softcuda/torch/work.h"

namespace softcuda::torch_device {
namespace {

at::native::copy_fn native_copy = nullptr;

void copy_on_device(const at::Tensor& target, const at::Tensor& source) {
    static const c10::OperatorHandle op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::copy_", "");
    const c10::cuda::CUDAGuard guard(target.device());
    AliasMap aliases(Backing::device_later);
    auto work = std::make_shared<Work>(Work{op, {}, {}, {}, 0, c10::DispatchKey::CPU, at::get_num_threads()});
    work->arguments = {aliases.to_cpu(target), aliases.to_cpu(source), false};
    C10_CUDA_CHECK(launch(c10::cuda::getCurrentCUDAStream(target.device().index()).stream(),
                          "softcuda::aten::copy_", [work] { work->run(); }));
}

// Between host and device PyTorch's own code ends in cudaMemcpyAsync, as do plain copies within the device.
void copy_kernel(at::TensorIterator& iterator, bool non_blocking) {
    const at::Tensor target(iterator.tensor(0));
    const at::Tensor source(iterator.tensor(1));
    const bool plain = target.dtype() == source.dtype() && target.is_contiguous() && source.is_contiguous() &&
                       target.is_conj() == source.is_conj() && target.is_neg() == source.is_neg() &&
                       target.sizes() == source.sizes();
    if (plain || !target.is_cuda() || !source.is_cuda()) return native_copy(iterator, non_blocking);
    copy_on_device(target, source);
}

void fill_kernel(at::TensorIterator& iterator, const c10::Scalar& value) {
    at::Tensor(iterator.tensor(0)).fill_(value);  // through the dispatcher, where it is redirected
}

}  // namespace

void install_copies() {
    // A stub holds its implementation and nothing else; there is no other way to read the present CUDA
    // pointer.
    static_assert(sizeof(at::native::copy_stub) == sizeof(at::native::DispatchStubImpl));
    auto& stub = reinterpret_cast<at::native::DispatchStubImpl&>(at::native::copy_stub);
    native_copy = reinterpret_cast<at::native::copy_fn>(stub.cuda_dispatch_ptr);
    at::native::copy_stub.set_cuda_dispatch_ptr(copy_kernel);
    at::native::fill_stub.set_cuda_dispatch_ptr(fill_kernel);
}

}  // namespace softcuda::torch_device
