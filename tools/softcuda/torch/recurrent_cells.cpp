// The fused LSTM and GRU cells: plain kernels on a GPU that have no CPU counterpart.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "tools/softcuda/torch/start.h"

namespace softcuda::torch_device {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

Tensor biased(const Tensor& gates, const OptionalTensor& bias) {
    return bias && bias->defined() ? gates + *bias : gates;
}

// Gates in PyTorch's order: input, forget, cell, output. The workspace keeps their activations for the
// backward pass.
std::tuple<Tensor, Tensor, Tensor> lstm_cell(const Tensor& input_gates, const Tensor& hidden_gates,
                                             const Tensor& cx, const OptionalTensor& input_bias,
                                             const OptionalTensor& hidden_bias) {
    const std::vector<Tensor> gates =
        (biased(input_gates, input_bias) + biased(hidden_gates, hidden_bias)).chunk(4, 1);
    const Tensor i = at::sigmoid(gates[0]), f = at::sigmoid(gates[1]), g = at::tanh(gates[2]),
                 o = at::sigmoid(gates[3]);
    Tensor cy = f * cx + i * g;
    Tensor hy = o * at::tanh(cy);
    return {hy, cy, at::cat({i, f, g, o}, 1)};
}

std::tuple<Tensor, Tensor, Tensor> lstm_cell_backward(const OptionalTensor& grad_hy,
                                                      const OptionalTensor& grad_cy, const Tensor& cx,
                                                      const Tensor& cy, const Tensor& workspace,
                                                      bool has_bias) {
    const bool has_hy = grad_hy && grad_hy->defined();
    const bool has_cy = grad_cy && grad_cy->defined();
    if (!has_hy && !has_cy) return {};
    const std::vector<Tensor> gates = workspace.chunk(4, 1);
    const Tensor &i = gates[0], &f = gates[1], &g = gates[2], &o = gates[3];
    const Tensor tanh_cy = at::tanh(cy);
    Tensor grad_o = at::zeros_like(o);
    Tensor grad_cell = has_cy ? *grad_cy : at::zeros_like(cy);
    if (has_hy) {
        grad_o = *grad_hy * tanh_cy * o * (1 - o);
        grad_cell = grad_cell + *grad_hy * o * (1 - tanh_cy * tanh_cy);
    }
    Tensor grad_gates = at::cat(
        {grad_cell * g * i * (1 - i), grad_cell * cx * f * (1 - f), grad_cell * i * (1 - g * g), grad_o}, 1);
    Tensor grad_bias = has_bias ? grad_gates.sum(0) : Tensor();
    return {grad_gates, grad_cell * f, grad_bias};
}

// Gates in PyTorch's order: reset, update, new. The workspace keeps r, z, n, the old state and the hidden
// part of n.
std::tuple<Tensor, Tensor> gru_cell(const Tensor& input_gates, const Tensor& hidden_gates, const Tensor& hx,
                                    const OptionalTensor& input_bias, const OptionalTensor& hidden_bias) {
    const std::vector<Tensor> input = biased(input_gates, input_bias).chunk(3, 1);
    const std::vector<Tensor> hidden = biased(hidden_gates, hidden_bias).chunk(3, 1);
    const Tensor r = at::sigmoid(input[0] + hidden[0]);
    const Tensor z = at::sigmoid(input[1] + hidden[1]);
    const Tensor n = at::tanh(input[2] + r * hidden[2]);
    return {n + z * (hx - n), at::cat({r, z, n, hx, hidden[2]}, 1)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> gru_cell_backward(const Tensor& grad,
                                                                     const Tensor& workspace, bool has_bias) {
    const std::vector<Tensor> parts = workspace.chunk(5, 1);
    const Tensor &r = parts[0], &z = parts[1], &n = parts[2], &hx = parts[3], &hidden_n = parts[4];
    const Tensor grad_n = grad * (1 - z) * (1 - n * n);
    const Tensor grad_z = grad * (hx - n) * z * (1 - z);
    const Tensor grad_r = grad_n * hidden_n * r * (1 - r);
    Tensor grad_input = at::cat({grad_r, grad_z, grad_n}, 1);
    Tensor grad_hidden = at::cat({grad_r, grad_z, grad_n * r}, 1);
    Tensor input_bias = has_bias ? grad_input.sum(0) : Tensor();
    Tensor hidden_bias = has_bias ? grad_hidden.sum(0) : Tensor();
    return {grad_input, grad_hidden, grad * z, input_bias, hidden_bias};
}

}  // namespace

void install_recurrent_cells(torch::Library& library) {
    library.impl("_thnn_fused_lstm_cell", TORCH_FN(lstm_cell));
    library.impl("_thnn_fused_lstm_cell_backward_impl", TORCH_FN(lstm_cell_backward));
    library.impl("_thnn_fused_gru_cell", TORCH_FN(gru_cell));
    library.impl("_thnn_fused_gru_cell_backward", TORCH_FN(gru_cell_backward));
}

}  // namespace softcuda::torch_device
