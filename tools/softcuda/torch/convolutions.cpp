// Convolutions that no library serves on a GPU but PyTorch's own kernels: depthwise ones, and those of
// programs that switch cuDNN off. Their backward kernels are called past the dispatcher.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/ConvUtils.h>
#include <torch/library.h>

#include <array>
#include <tuple>
#include <vector>

#include "tools/softcuda/torch/redirect.h"
#include "tools/softcuda/torch/start.h"

namespace softcuda::torch_device {
namespace {

using at::IntArrayRef;
using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

// A redirected op that is not registered under its own name, because cuDNN serves that.
class OnCpu {
  public:
    explicit OnCpu(const char* name)
        : op_(c10::Dispatcher::singleton().findSchemaOrThrow(name, "")),
          redirected_(op_, c10::DispatchKey::CPU) {}
    torch::jit::Stack operator()(torch::jit::Stack stack) const {
        redirected_(op_, {}, &stack);
        return stack;
    }

  private:
    c10::OperatorHandle op_;
    RedirectedOp redirected_;
};

struct Window {
    IntArrayRef stride, padding, dilation;
    std::vector<int64_t> output_padding{};
    bool transposed = false;
    int64_t groups = 1;
};

Tensor forward(const Tensor& self, const Tensor& weight, const OptionalTensor& bias, const Window& window) {
    static const OnCpu convolution("aten::convolution");
    const std::vector<int64_t> none(window.stride.size(), 0);
    return convolution({self, weight, bias, window.stride, window.padding, window.dilation, window.transposed,
                        window.output_padding.empty() ? none : window.output_padding, window.groups})
        .at(0)
        .toTensor();
}

Three backward(const Tensor& grad, const Tensor& self, const Tensor& weight, const Window& window,
               std::array<bool, 3> wanted) {
    static const OnCpu convolution("aten::convolution_backward");
    const std::vector<int64_t> none(window.stride.size(), 0);
    const int64_t filters = window.transposed ? weight.size(1) * window.groups : weight.size(0);
    const auto results = convolution({grad, self, weight, std::vector<int64_t>{filters}, window.stride,
                                      window.padding, window.dilation, window.transposed,
                                      window.output_padding.empty() ? none : window.output_padding,
                                      window.groups, c10::List<bool>({wanted[0], wanted[1], wanted[2]})});
    const auto tensor = [&](size_t i) { return wanted[i] ? results.at(i).toTensor() : Tensor(); };
    return {tensor(0), tensor(1), tensor(2)};
}

Tensor depthwise(const Tensor& self, const Tensor& weight, IntArrayRef, const OptionalTensor& bias,
                 IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation) {
    return forward(self, weight, bias, {stride, padding, dilation, {}, false, self.size(1)});
}

const Tensor& depthwise_out(const Tensor& self, const Tensor& weight, IntArrayRef kernel,
                            const OptionalTensor& bias, IntArrayRef stride, IntArrayRef padding,
                            IntArrayRef dilation, const Tensor& out) {
    const Tensor result = depthwise(self, weight, kernel, bias, stride, padding, dilation);
    return out.resize_(result.sizes()).copy_(result);
}

std::tuple<Tensor, Tensor> depthwise2d_backward(const Tensor& grad, const Tensor& self, const Tensor& weight,
                                                IntArrayRef, IntArrayRef stride, IntArrayRef padding,
                                                IntArrayRef dilation, std::array<bool, 2> wanted) {
    const auto [input, filter, bias] =
        backward(grad, self, weight, {stride, padding, dilation, {}, false, self.size(1)},
                 {wanted[0], wanted[1], false});
    return {input, filter};
}

Three depthwise3d_backward(const Tensor& grad, const Tensor& self, const Tensor& weight, IntArrayRef,
                           IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                           std::array<bool, 3> wanted) {
    return backward(grad, self, weight, {stride, padding, dilation, {}, false, self.size(1)}, wanted);
}

Three plain_backward(const Tensor& grad, const Tensor& self, const Tensor& weight, IntArrayRef,
                     IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                     std::array<bool, 3> wanted) {
    return backward(grad, self, weight, {stride, padding, dilation}, wanted);
}

Three transposed_backward(const Tensor& grad, const Tensor& self, const Tensor& weight, IntArrayRef,
                          IntArrayRef stride, IntArrayRef padding, IntArrayRef output_padding,
                          IntArrayRef dilation, std::array<bool, 3> wanted) {
    return backward(grad, self, weight, {stride, padding, dilation, output_padding.vec(), true}, wanted);
}

}  // namespace

void install_convolutions(torch::Library& library) {
    library.impl("_conv_depthwise2d", TORCH_FN(depthwise));
    library.impl("_conv_depthwise2d.out", TORCH_FN(depthwise_out));
    library.impl("conv_depthwise3d", TORCH_FN(depthwise));
    at::native::conv_depthwise2d_backward_stub.set_cuda_dispatch_ptr(depthwise2d_backward);
    at::native::conv_depthwise3d_backward_stub.set_cuda_dispatch_ptr(depthwise3d_backward);
    at::native::slow_conv_dilated2d_backward_stub.set_cuda_dispatch_ptr(plain_backward);
    at::native::slow_conv_dilated3d_backward_stub.set_cuda_dispatch_ptr(plain_backward);
    at::native::slow_conv_transpose2d_backward_stub.set_cuda_dispatch_ptr(transposed_backward);
    at::native::slow_conv_transpose3d_backward_stub.set_cuda_dispatch_ptr(transposed_backward);
}

}  // namespace softcuda::torch_device
