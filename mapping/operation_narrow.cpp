#include "mapping/operation_narrow.h"

#include <ATen/ATen.h>
#include <ATen/native/ConvUtils.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace fumi::mapping {
namespace {

using at::native::ConvBackend;

bool starts_with(const Question& q, const char* name) {
    return std::string_view(q.row.op).rfind(name, 0) == 0;
}

std::int64_t spatial_dimensions(const Question& q) {
    return q.tensor("weight").dim() - 2;
}

std::vector<c10::SymInt> per_dimension(const Question& q, const char* name) {
    const std::vector<std::int64_t> given = q.get(name).toIntVector();
    const auto count = static_cast<std::size_t>(spatial_dimensions(q));
    std::vector<c10::SymInt> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(given[given.size() == 1 ? 0 : i]);
    }
    return all;
}

// torch's choice for the program's own tensors.
ConvBackend backend_of_transposed(const Question& q) {
    const auto own = [&](const char* name) {
        const c10::IValue& value = q.operation->arguments.at(q.place(name));
        return value.isTensor() ? value.toTensor() : at::Tensor();
    };
    at::Tensor input = own("input");
    input = input.dim() == spatial_dimensions(q) + 1 ? input.unsqueeze(0) : input;
    const std::vector<c10::SymInt> stride = per_dimension(q, "stride"), padding = per_dimension(q, "padding"),
                                   dilation = per_dimension(q, "dilation"),
                                   output_padding = per_dimension(q, "output_padding");
    return at::native::select_conv_backend(input, own("weight"), own("bias"), stride, padding, dilation, true,
                                           output_padding, c10::SymInt(q.get("groups").toInt()),
                                           std::nullopt);
}

bool is_kept(const Question& q) {
    return starts_with(q, "aten::linear") &&
           (q.operation->rows_kept || keeps_rows(q.operation->arguments.at(0).toTensor()));
}

}  // namespace

bool keeps_rows(const at::Tensor& input_of_linear) {
    return input_of_linear.dim() > 3 || (input_of_linear.dim() == 3 && !input_of_linear.is_contiguous());
}

double rounded_steps(const Question& q) {
    if (q.own() == q.unit) {
        return 1;
    }
    // CUDA's scans keep what they have so far in the type of the numbers.
    if (q.result().is_cuda() && (starts_with(q, "aten::cum") || starts_with(q, "aten::logcumsumexp"))) {
        return q.own() / q.unit;
    }
    // col2im adds products up in their type: the CPU's, and that of torch's own CUDA kernels, which stand in
    // where cuDNN does not serve.
    if (!starts_with(q, "aten::conv_transpose")) {
        return 1;
    }
    if (q.result().is_cuda()) {
        const ConvBackend backend = backend_of_transposed(q);
        if (backend != ConvBackend::SlowTranspose2d && backend != ConvBackend::SlowTranspose3d) {
            return 1;
        }
    }
    return q.own() / q.unit;
}

// cuDNN's convolutions know no bias in torch, nor does the matmul that becomes of a linear whose rows it does
// not flatten. The sum is y - bias.
at::Tensor rounded_before_bias(const Question& q) {
    const at::Tensor bias = q.tensor("bias");
    const bool convolution = starts_with(q, "aten::conv");
    if (q.own() == q.unit || !bias.defined() || !(convolution ? q.result().is_cuda() : is_kept(q))) {
        return {};
    }
    std::vector<std::int64_t> shape(static_cast<std::size_t>(q.reference.dim()), 1);
    const auto spatial = static_cast<std::size_t>(convolution ? spatial_dimensions(q) : 0);
    shape.at(shape.size() - 1 - spatial) = bias.numel();
    return (q.reference - bias.reshape(shape)).abs() * (q.own() / q.unit);
}

}  // namespace fumi::mapping
