// Ops that only CUDA has, because cuDNN or a fused kernel serves them: in terms of ops that softcuda runs.
#include <ATen/SDPBackend.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_fused_sdp_choice_native.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <torch/library.h>

#include <array>
#include <tuple>

#include "tools/softcuda/torch/start.h"

namespace softcuda::torch_device {
namespace {

using at::IntArrayRef;
using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// PyTorch's own choice, but for the fused attention kernels that have no host body: instead of them the math
// path, whose products are cuBLAS calls.
int64_t fused_sdp_choice(const Tensor& query, const Tensor& key, const Tensor& value,
                         const OptionalTensor& mask, double dropout, bool causal, std::optional<double> scale,
                         bool grouped) {
    const auto choice = static_cast<at::SDPBackend>(
        at::native::_fused_sdp_choice_cuda(query, key, value, mask, dropout, causal, scale, grouped));
    const bool kernel =
        choice == at::SDPBackend::flash_attention || choice == at::SDPBackend::efficient_attention;
    return static_cast<int64_t>(kernel ? at::SDPBackend::math : choice);
}

// keep: probability that an element stays.
std::tuple<Tensor, Tensor> drop(const Tensor& input, double keep, std::optional<at::Generator> generator,
                                at::ScalarType mask_type) {
    Tensor mask =
        at::empty_like(input, input.options().dtype(mask_type)).bernoulli_(keep, std::move(generator));
    return {at::mul(at::mul(input, mask), keep == 0.0 ? 0.0 : 1.0 / keep), mask};
}

std::tuple<Tensor, Tensor> native_dropout(const Tensor& input, double p, std::optional<bool> train) {
    if (train.has_value() && !*train) {
        return {input.clone(), at::ones_like(input, input.options().dtype(at::kBool))};
    }
    return drop(input, 1.0 - p, std::nullopt, at::kBool);
}

std::tuple<Tensor, Tensor> fused_dropout(const Tensor& input, double keep,
                                         std::optional<at::Generator> generator) {
    return drop(input, keep, std::move(generator), at::kByte);
}

Tensor masked_scale(const Tensor& self, const Tensor& mask, double scale) {
    return at::mul(at::mul(self, mask.to(self.scalar_type())), scale);
}

// Lists may mix devices here: element by element, each copy takes its own way.
void foreach_copy(at::TensorList targets, at::TensorList sources, bool non_blocking) {
    TORCH_CHECK(targets.size() == sources.size(), "Tensor lists must have the same number of tensors, got ",
                targets.size(), " and ", sources.size());
    for (size_t i = 0; i < targets.size(); ++i) targets[i].copy_(sources[i], non_blocking);
}

// d/dx of y = x * rstd * w with rstd = 1/sqrt(mean(x^2) + eps), means over the normalized dimensions.
std::tuple<Tensor, Tensor> rms_norm_backward(const Tensor& grad, const Tensor& input, IntArrayRef normalized,
                                             const Tensor& rstd, const OptionalTensor& weight,
                                             std::array<bool, 2> wanted) {
    std::vector<int64_t> inner, outer;
    const auto outer_count = input.dim() - static_cast<int64_t>(normalized.size());
    for (int64_t i = 0; i < input.dim(); ++i) (i < outer_count ? outer : inner).push_back(i);
    const at::ScalarType type = rstd.scalar_type();
    const Tensor normal = input.to(type) * rstd;
    const Tensor wide = grad.to(type);
    Tensor grad_input, grad_weight;
    if (wanted[0]) {
        const Tensor scaled = weight && weight->defined() ? wide * weight->to(type) : wide;
        grad_input = ((scaled - normal * (scaled * normal).mean(inner, true)) * rstd).to(input.scalar_type());
    }
    if (wanted[1] && weight && weight->defined()) {
        const Tensor product = wide * normal;
        grad_weight = (outer.empty() ? product : product.sum(outer)).to(weight->scalar_type());
    }
    return {grad_input, grad_weight};
}

}  // namespace

void install_library_ops() {
    static auto* const library =
        new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
    library->impl("_fused_sdp_choice", TORCH_FN(fused_sdp_choice));
    at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(fused_sdp_choice);  // asked past the dispatcher
    library->impl("native_dropout", TORCH_FN(native_dropout));
    library->impl("_fused_dropout", TORCH_FN(fused_dropout));
    library->impl("_masked_scale", TORCH_FN(masked_scale));
    library->impl("_foreach_copy_", TORCH_FN(foreach_copy));
    library->impl("_fused_rms_norm_backward", TORCH_FN(rms_norm_backward));
    install_convolutions(*library);
    install_recurrent_cells(*library);
}

}  // namespace softcuda::torch_device
