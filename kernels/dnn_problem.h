// What one cuDNN call computes, as plain data that a kernel can take by value: tensors as strided views, the
// operation's own numbers, and the outputs that the call wrote. Where a call overwrites what it reads (beta
// != 0, running statistics), the problem has FuMi's own copy of it as it was before.
//
// Sizes and strides are in elements; an optional tensor is absent where its data is null.
#pragma once
#include <cstdint>

#include "kernels/gemm_problem.h"

namespace fumi {

inline constexpr int kMostDims = 8;
inline constexpr int kMostSpatial = 3;

struct TensorView {
    const void* data = nullptr;  // device pointer to element (0, 0, ...)
    DataType type = DataType::none;
    std::int32_t rank = 0;
    std::int64_t size[kMostDims] = {};
    std::int64_t stride[kMostDims] = {};
};

// ------------------------------------------------------------------------------------------- convolution
//   forward          y  = act( alpha conv(x, w)   + beta addend + bias )
//   backward_data    x  = act( alpha conv'(y, w)  + beta addend + bias )     x is dx, y is dy
//   backward_filter  w  = act( alpha conv''(y, x) + beta addend + bias )     w is dw, y is dy
// `addend` is the output as it was before the call (saved), or the residual of a fused call; `bias` has size
// 1 where it is broadcast. cuDNN's cross-correlation is what torch calls convolution.
enum class ConvDirection : std::int32_t { forward, backward_data, backward_filter };

struct ConvProblem {
    ConvDirection direction = ConvDirection::forward;
    std::int32_t spatial = 2;                  // 1..3
    std::int32_t flipped = 0;                  // CUDNN_CONVOLUTION: the filter is turned round
    Activation activation = Activation::none;  // none or relu
    std::int64_t groups = 1;
    std::int64_t stride[kMostSpatial] = {1, 1, 1};
    std::int64_t padding[kMostSpatial] = {0, 0, 0};  // before the first element
    std::int64_t dilation[kMostSpatial] = {1, 1, 1};
    TensorView x;  // N, C, spatial...
    TensorView w;  // Cout, C / groups, spatial...
    TensorView y;  // N, Cout, spatial...
    ScalarValue alpha, beta{0.0};
    TensorView addend;  // sizes of the output (1 where broadcast)
    TensorView bias;    // rank of the output
    // What a fused call keeps between its operations, where that is not the compute type: rounds once more
    // for each operation of the tail.
    DataType intermediate = DataType::none;
};

// -------------------------------------------------------------------------------------------- batch norm
enum class NormDirection : std::int32_t { forward_training, forward_inference, backward };
enum class NormMode : std::int32_t {
    per_activation,  // statistics over N: parameters have sizes 1, C, spatial...
    spatial,         // over N and the spatial dimensions: 1, C, 1...
};

struct BatchNormProblem {
    NormDirection direction = NormDirection::forward_training;
    NormMode mode = NormMode::spatial;
    Activation activation =
        Activation::none;                   // of y, fused (none or relu); backward: of dy, by the sign of y
    std::int32_t has_addend = 0;            // forward: y = act(norm(x) + z)
    double epsilon = 1e-5, momentum = 0.1;  // momentum: cuDNN's exponentialAverageFactor
    TensorView x, y;                        // N, C, spatial...; y: forward, and backward with relu
    TensorView z;                           // the addend of a fused forward call
    TensorView dy, dx, dz;                  // backward; dz: gradient of the addend, where asked for
    // C values each (mode per_activation: C x spatial, contiguous), of type `parameters`
    DataType parameters = DataType::f32;
    const void* scale = nullptr;
    const void* bias = nullptr;
    const void* mean = nullptr;           // inference: the estimated mean, an input
    const void* variance = nullptr;       // inference: the estimated variance
    const void* saved_mean = nullptr;     // forward training: written; backward: read (null: recomputed)
    const void* saved_inv_std = nullptr;  // 1 / sqrt(variance + epsilon)
    const void* running_mean = nullptr;   // forward training: as written; null: not asked for
    const void* running_variance = nullptr;
    const void* running_mean_before = nullptr;  // as it was (saved). Null: only momentum = 1 can be checked
    const void* running_variance_before = nullptr;
    const void* dscale = nullptr;  // backward: written
    const void* dbias = nullptr;
    ScalarValue alpha, beta{0.0};                      // of y, or of dx
    ScalarValue parameter_alpha, parameter_beta{0.0};  // of dscale and dbias
};

// --------------------------------------------------------------------------------------------- attention
//   S = scale Q K^T + bias, masked; P = softmax(S) over keys; O = P V; stats = log sum exp S
// Tensors are B, H, S, D by their strides. K and V may have fewer heads than Q (a divisor: GQA, MQA).
enum class AttentionDirection : std::int32_t { forward, backward };
enum class AttentionMask : std::int32_t {
    none,
    causal_top_left,      // key j of query i is seen where j <= i
    causal_bottom_right,  // j <= i + keys - queries
};

struct AttentionProblem {
    AttentionDirection direction = AttentionDirection::forward;
    AttentionMask mask = AttentionMask::none;
    double scale = 1.0;
    const void* scale_device = nullptr;  // read on the device where set (type scale_type)
    DataType scale_type = DataType::f32;
    double dropout = 0;     // above 0: not checkable
    TensorView q, k, v, o;  // backward: o is the forward's result, an input
    TensorView bias;        // B, H, Sq, Sk, size 1 where broadcast: added to S (also boolean masks, as -inf)
    TensorView stats;       // fp32: B, H, Sq, 1. Forward: written (absent: not asked for); backward: read
    TensorView d_o;         // backward
    TensorView dq, dk, dv;  // backward: written
    const void* query_lengths = nullptr;  // int32 per batch where padded; null: all
    const void* key_lengths = nullptr;
};

// --------------------------------------------------------------------------------------------------- RNN
// h(t), c(t) as cudnnRNNForward defines them. Gate order in weights: LSTM i f g o, GRU r z n.
enum class RnnCell : std::int32_t { relu, tanh, lstm, gru };
enum class RnnDirection : std::int32_t { forward, backward_data, backward_weights };
inline constexpr int kMostRnnLayers = 16;  // layers x directions

// Where the matrices of one layer and direction begin, in elements from the weight space; -1: absent. Gates
// are stacked by rows: w_ih (gates x hidden) x input, w_hh (gates x hidden) x (projection or hidden), w_hr
// projection x hidden.
struct RnnWeights {
    std::int64_t w_ih = -1, w_hh = -1, b_ih = -1, b_hh = -1, w_hr = -1;
};

struct RnnProblem {
    RnnDirection direction = RnnDirection::forward;
    RnnCell cell = RnnCell::lstm;
    std::int32_t layers = 1;
    std::int32_t directions = 1;  // 2: bidirectional
    std::int32_t steps = 0, batch = 0, input = 0, hidden = 0;
    std::int32_t projection = 0;    // 0: none; else the size of h (LSTM)
    double dropout = 0;             // above 0 between layers: not checkable
    DataType type = DataType::f32;  // of x, y, h, c
    DataType weight_type = DataType::f32;
    const void* weights = nullptr;  // the weight space
    RnnWeights of[kMostRnnLayers];  // [layer * directions + direction]
    // Per batch entry its number of steps (int32 on the device, descending where packed); null: all `steps`.
    const void* lengths = nullptr;
    // Strides of x and dx, y and dy in elements: of a step and of a batch entry. Packed: step_offsets (int64
    // on the device, steps values) says the row at which step t begins, and batch strides are one row.
    std::int64_t x_step = 0, x_batch = 0, y_step = 0, y_batch = 0;
    const void* step_offsets = nullptr;
    const void* x = nullptr;   // backward_data needs it too: the caller remembers it from the forward call
    const void* y = nullptr;   // forward: written; backward: read
    const void* hx = nullptr;  // (layers x directions) x batch x (projection or hidden), contiguous; null: 0
    const void* cx = nullptr;  // ... x hidden
    const void* hy = nullptr;  // forward: written; null: not asked for
    const void* cy = nullptr;
    const void* dy = nullptr;  // backward
    const void* dhy = nullptr;
    const void* dcy = nullptr;
    const void* dx = nullptr;  // backward_data: written
    const void* dhx = nullptr;
    const void* dcx = nullptr;
    const void* dweights = nullptr;         // backward_weights: written, laid out as weights
    const void* dweights_before = nullptr;  // its copy from before the call (mode ADD); null: zeros
};

// ----------------------------------------------------------------------------------------------- softmax
enum class SoftmaxKind : std::int32_t { softmax, log_softmax };
struct SoftmaxProblem {
    SoftmaxKind kind = SoftmaxKind::softmax;
    std::int32_t backward = 0;
    std::int32_t whole_instance = 0;  // over C and spatial together; else over C at each position
    TensorView x;                     // forward: input
    TensorView y;                     // forward: written; backward: read
    TensorView dy, dx;                // backward
    ScalarValue alpha, beta{0.0};
    TensorView before;  // the output as it was, where beta != 0
};

// ----------------------------------------------------------------------------------------------- pooling
enum class PoolKind : std::int32_t { max, average_include_padding, average_exclude_padding };
struct PoolProblem {
    PoolKind kind = PoolKind::max;
    std::int32_t backward = 0;
    std::int32_t spatial = 2;
    std::int64_t window[kMostSpatial] = {1, 1, 1};
    std::int64_t stride[kMostSpatial] = {1, 1, 1};
    std::int64_t padding[kMostSpatial] = {0, 0, 0};
    TensorView x, y;    // N, C, spatial...; forward: y written; backward: both read
    TensorView dy, dx;  // backward
    ScalarValue alpha, beta{0.0};
    TensorView before;
};

// --------------------------------------------------------------------------------------------------- CTC
struct CtcProblem {
    std::int32_t steps = 0, batch = 0, classes = 0, blank = 0;
    std::int32_t softmax = 1;             // normalisation CUDNN_LOSS_NORMALIZATION_SOFTMAX: inputs are logits
    std::int32_t zero_infinity = 0;       // gradients that are not finite are 0
    const void* inputs = nullptr;         // steps x batch x classes, fp32, contiguous
    const void* labels = nullptr;         // int32, all targets one after the other, on the device
    const void* label_lengths = nullptr;  // int32 on the device, per batch entry
    const void* input_lengths = nullptr;
    std::int32_t longest_label = 0;   // an upper limit: sizes the scratch
    const void* costs = nullptr;      // fp32, per batch entry: written
    const void* gradients = nullptr;  // laid out as inputs: written; null: not asked for
};

// --------------------------------------------------------------------------------------- spatial transformer
// Bilinear sampling of 4-D tensors, zeros outside, corners aligned (CUDNN_SAMPLER_BILINEAR).
struct GridSampleProblem {
    std::int32_t backward = 0;
    TensorView x;     // N, C, H, W
    TensorView grid;  // N, Ho, Wo, 2: (x, y) in -1..1
    TensorView y;     // N, C, Ho, Wo; forward: written
    TensorView dy;    // backward
    TensorView dx, dgrid;
    ScalarValue alpha, beta{0.0};            // of y or dx
    ScalarValue grid_alpha, grid_beta{0.0};  // of dgrid
};

}  // namespace fumi
