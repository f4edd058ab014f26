// What a cuDNN call computes, as far as its descriptors say it. Plain data, beside the Call (call.h): it is
// filled in storage of the calling thread, copied into the queue of the drainer, and made problems of for the
// checks (rerun/dnn_problems.h).
#pragma once
#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/gemm_problem.h"

namespace fumi::libraries {

enum class DnnOperation : std::uint8_t {
    none,
    convolution_forward,
    convolution_backward_data,
    convolution_backward_filter,
    convolution_backward_bias,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_backward,
    rnn_forward,
    rnn_backward_data,
    rnn_backward_weights,
    attention_forward,
    attention_backward,
    softmax_forward,
    softmax_backward,
    pooling_forward,
    pooling_backward,
    activation_forward,
    activation_backward,
    ctc_loss,
    grid_sample_forward,
    grid_sample_backward,
    other,  // named by its function, or by the operations of its graph
};
const char* operation_name(DnnOperation operation) noexcept;  // convolution_forward; "" for none and other

// What a tensor is to its operation. Gradients are d followed by the name.
enum class DnnRole : std::uint8_t {
    none,
    x,
    dx,
    w,
    dw,
    y,
    dy,
    z,
    dz,  // added to the result: a residual
    bias,
    dbias,  // of a convolution or a norm
    scale,
    dscale,  // of a norm
    mean,
    variance,  // estimated, or running (read and written)
    saved_mean,
    saved_inverse_variance,
    q,
    dq,
    k,
    dk,
    v,
    dv,
    o,
    d_o,
    stats,  // of attention
    mask,   // added to its scores
    dropout_mask,
    seed,
    offset,
    hx,
    hy,
    dhx,
    dhy,
    cx,
    cy,
    dcx,
    dcy,  // states of a recurrent network
    weights,
    dweights,  // its packed parameters
    lengths,   // int32, of its sequences (on the device)
    grid,
    dgrid,  // where a sampler reads
    labels,
    label_lengths,
    input_lengths,
    costs,  // of CTC
};

struct DnnTensor {
    const void* data = nullptr;  // on the device
    DnnRole role = DnnRole::none;
    DataType type = DataType::none;
    std::int32_t rank = 0;
    std::int64_t size[8] = {};
    std::int64_t stride[8] = {};
};

inline constexpr int most_tensors = 20;
inline constexpr int most_graph_operations = 64;
inline constexpr int most_knobs = 8;

// What is known of the engine that a plan was made for; -1 and 0 where unknown.
struct DnnEngine {
    std::int32_t index = -1;            // CUDNN_ATTR_ENGINE_GLOBAL_INDEX
    bool notes_known = false;           // numerical_notes is what cuDNN said
    std::uint32_t numerical_notes = 0;  // bit n: cudnnBackendNumericalNote_t n
    std::uint32_t behaviour_notes = 0;  // bit n: cudnnBackendBehaviorNote_t n
    std::int32_t knob_count = 0;
    struct Knob {
        std::int32_t type, value;  // cudnnBackendKnobType_t
    } knobs[most_knobs] = {};
    bool noted(cudnnBackendNumericalNote_t note) const noexcept {
        return (numerical_notes >> note & 1U) != 0;
    }
};

struct DnnConvolution {
    std::int32_t spatial_rank = 0;  // 1 to 3
    std::int32_t groups = 1;
    bool flipped = false;  // CUDNN_CONVOLUTION: the filter runs backwards
    std::int64_t stride[3] = {1, 1, 1}, padding[3] = {}, post_padding[3] = {}, dilation[3] = {1, 1, 1};
    // What follows it: y = act( conv + z_scale z + bias )
    double z_scale = 0;
    bool relu = false;
    DataType intermediate = DataType::none;  // what lies between the operations, where not the compute type
};

struct DnnNorm {
    bool per_activation = false;
    double epsilon = 0, factor = 0;          // factor: of the running statistics
    double param_alpha = 1, param_beta = 0;  // of dscale and dbias
    bool relu = false, add = false;          // y = relu( norm + z )
};

struct DnnRnn {
    cudnnRNNMode_t cell = CUDNN_LSTM;
    bool training = false, bidirectional = false, skip_input = false, accumulates = false;
    cudnnRNNBiasMode_t bias_mode = CUDNN_RNN_DOUBLE_BIAS;
    std::int32_t layers = 0, input_size = 0, hidden_size = 0, projection_size = 0;
    std::int32_t batch = 0, max_length = 0;
    std::int32_t layout = 0;  // cudnnRNNDataLayout_t
    bool ragged = false;      // sequences differ in length
    float dropout = 0;
    bool clipped = false;
    std::size_t weight_bytes = 0;
    cudnnRNNDescriptor_t descriptor = nullptr;  // alive during the call
    const int* host_lengths = nullptr;          // of each sequence; alive until the call returns
    const void* reserve = nullptr;              // ties the backward calls to their forward one
};

struct DnnAttention {
    double scale = 1;
    // Of a graph that spells attention out backwards: what scales the gradient of the scores, and the row
    // sums.
    double gradient_scale = 1, row_sum_scale = 1;
    bool causal = false, bottom_right = false, dropout = false;
    bool decomposed = false;  // the graph spells it out in matmuls and pointwise operations
};

struct DnnPooling {
    cudnnPoolingMode_t mode = CUDNN_POOLING_MAX;
    std::int32_t spatial_rank = 0;
    std::int64_t window[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, padding[3] = {};
};

struct DnnSoftmax {
    bool logarithm = false, per_channel = false;  // per_channel: over C alone
};

struct DnnCtc {
    std::int32_t blank = 0;
    bool softmax = true;  // the input is normalised by cuDNN itself
    bool labels_on_host = false;
    std::int32_t most_labels = 0;
    bool skips_out_of_range = false;
};

struct DnnCall {
    DnnOperation operation = DnnOperation::none;
    std::int32_t tensor_count = 0;
    DataType compute_type = DataType::none;
    std::int32_t math_type = -1;           // cudnnMathType_t of the legacy API
    std::int32_t algorithm = -1;           // of the legacy API: cudnnConvolutionFwdAlgo_t and its like
    double alpha = 1, beta = 0;            // the result is alpha op(...) + beta of what was there before
    double grid_alpha = 1, grid_beta = 0;  // of a sampler's dgrid
    bool partly = false;                   // the graph goes on behind the result that is described here
    std::uint32_t graph_count = 0;
    struct GraphOperation {
        std::uint16_t type, mode;  // cudnnBackendDescriptorType_t; mode of a pointwise one
    } graph[most_graph_operations] = {};
    DnnEngine engine;
    DnnConvolution convolution;
    DnnNorm norm;
    DnnRnn rnn;
    DnnAttention attention;
    DnnPooling pooling;
    DnnSoftmax softmax;
    DnnCtc ctc;
    // Last, so that no more of them is copied than there are (dnn_call_bytes).
    DnnTensor tensors[most_tensors] = {};

    const DnnTensor* find(DnnRole role) const noexcept {
        for (std::int32_t i = 0; i < tensor_count; ++i)
            if (tensors[i].role == role) return &tensors[i];
        return nullptr;
    }
    // nullptr where there is no room.
    DnnTensor* add(DnnRole role) noexcept {
        if (tensor_count == most_tensors) return nullptr;
        tensors[tensor_count].role = role;
        return &tensors[tensor_count++];
    }
};
static_assert(std::is_trivially_copyable_v<DnnCall> && std::is_trivially_destructible_v<DnnCall>);

inline std::size_t dnn_call_bytes(const DnnCall& call) noexcept {
    return offsetof(DnnCall, tensors) + static_cast<std::size_t>(call.tensor_count) * sizeof(DnnTensor);
}

// The calling thread's own, for the call that it is in.
DnnCall& this_threads_dnn_call() noexcept;

DataType data_type(cudnnDataType_t type) noexcept;

}  // namespace fumi::libraries
