#include "mapping/operation_quantised.h"

#include <ATen/ATen.h>

#include <limits>

namespace fumi::mapping {
namespace {

constexpr double u = 0x1p-24;

// scale (q - zero point), and the scales.
struct Dequantised {
    at::Tensor values, scales;
};

Dequantised numbers_of(const at::Tensor& tensor) {
    const at::Tensor integers = at::int_repr(tensor).to(at::kDouble);
    if (tensor.qscheme() == at::kPerTensorAffine || tensor.qscheme() == at::kPerTensorSymmetric) {
        const at::Tensor scale = at::scalar_tensor(tensor.q_scale(), integers.options());
        return {(integers - static_cast<double>(tensor.q_zero_point())) * scale, scale};
    }
    std::vector<std::int64_t> shape(static_cast<std::size_t>(tensor.dim()), 1);
    shape[static_cast<std::size_t>(tensor.q_per_channel_axis())] = -1;
    const at::Tensor scales = tensor.q_per_channel_scales().to(at::kDouble);
    const at::Tensor zero = tensor.q_per_channel_zero_points().to(at::kDouble);
    return {(integers - zero.reshape(shape)) * scales.reshape(shape), scales};
}

struct Weight {
    at::Tensor weight, bias;
};

Weight unpacked(const c10::IValue& packed) {
    const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow("quantized::linear_unpack", "");
    c10::Stack stack{packed};
    handle.callBoxed(&stack);
    Weight all{stack.at(0).toTensor(), {}};
    if (stack.at(1).isTensor()) {
        all.bias = stack.at(1).toTensor().to(at::kDouble);
    }
    return all;
}

}  // namespace

Allowance quantised_linear(const RunningOperation& operation) {
    const Dequantised x = numbers_of(operation.arguments.at(0).toTensor());
    const Weight packed = unpacked(operation.arguments.at(1));
    const Dequantised w = numbers_of(packed.weight);
    const at::Tensor& result = operation.results.at(0).toTensor();
    const double scale = result.q_scale();
    const auto zero = static_cast<double>(result.q_zero_point());
    const at::Tensor product = at::linear(x.values, w.values) / scale;
    at::Tensor sum = product;
    // The products are summed in integers; their sum becomes fp32, is scaled, and the bias may be rounded to
    // the quantum of the sum.
    at::Tensor before = 4 * u * product.abs();
    if (packed.bias.defined()) {
        sum = sum + packed.bias / scale;
        before = before + 4 * u * packed.bias.abs() / scale + 0.5 * x.scales * w.scales / scale;
    }
    const double least = result.scalar_type() == at::kQUInt8 ? 0 : -128;
    Allowance all;
    all.value = at::int_repr(result).to(at::kDouble) - zero;
    all.expected = sum.clamp(least - zero, least + 255 - zero);
    all.allowed = (0.5 + before) / u;
    all.magnitude = at::full_like(sum, 1 / u);
    all.words = "half a quantum and 4 u (|x w| + |b|) before the rounding";
    return all;
}

}  // namespace fumi::mapping
