#include "cupti_hook/libraries/cudnn_text.h"

#include <algorithm>
#include <initializer_list>

#include "cupti_hook/libraries/cudnn_api.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "kernels/contract.h"

namespace fumi::libraries {

const char* operation_name(DnnOperation operation) noexcept {
    static constexpr const char* names[] = {"",
                                            "convolution_forward",
                                            "convolution_backward_data",
                                            "convolution_backward_filter",
                                            "convolution_backward_bias",
                                            "batch_norm_forward",
                                            "batch_norm_inference",
                                            "batch_norm_backward",
                                            "rnn_forward",
                                            "rnn_backward_data",
                                            "rnn_backward_weights",
                                            "attention_forward",
                                            "attention_backward",
                                            "softmax_forward",
                                            "softmax_backward",
                                            "pooling_forward",
                                            "pooling_backward",
                                            "activation_forward",
                                            "activation_backward",
                                            "ctc_loss",
                                            "grid_sample_forward",
                                            "grid_sample_backward",
                                            ""};
    static_assert(std::size(names) == static_cast<std::size_t>(DnnOperation::other) + 1);
    return names[static_cast<std::size_t>(operation)];
}

namespace {

std::string size_text(const DnnTensor& tensor) {
    std::string text;
    for (std::int32_t i = 0; i < tensor.rank; ++i)
        text += (i > 0 ? "x" : "") + std::to_string(tensor.size[i]);
    return text.empty() ? "scalar" : text;
}

// The gradient of the tensor where the tensor itself is not there.
const DnnTensor* find(const DnnCall& call, std::initializer_list<DnnRole> roles) {
    for (const DnnRole role : roles)
        if (const DnnTensor* const found = call.find(role)) return found;
    return nullptr;
}
const DnnTensor* find_x(const DnnCall& call) {
    return find(call, {DnnRole::x, DnnRole::dx});
}
const DnnTensor* find_w(const DnnCall& call) {
    return find(call, {DnnRole::w, DnnRole::dw});
}

void add(std::string& text, const char* name, const DnnTensor* tensor) {
    if (tensor != nullptr) text += std::string(" ") + name + '=' + size_text(*tensor);
}

// 1 where all dimensions agree, else 2x1.
std::string each_dimension(const std::int64_t* values, std::int32_t rank) {
    std::string text;
    bool same = true;
    for (std::int32_t i = 0; i < rank; ++i) {
        text += (i > 0 ? "x" : "") + std::to_string(values[i]);
        same = same && values[i] == values[0];
    }
    return same && rank > 0 ? std::to_string(values[0]) : text;
}

std::string layout(const DnnTensor& tensor) {
    const bool last = tensor.rank > 2 && tensor.size[1] > 1 && tensor.stride[1] == 1;
    static constexpr const char* first_names[] = {"NCW", "NCHW", "NCDHW"};
    static constexpr const char* last_names[] = {"NWC", "NHWC", "NDHWC"};
    if (tensor.rank < 3 || tensor.rank > 5) return {};
    return std::string(" ") + (last ? last_names : first_names)[tensor.rank - 3];
}

// Products in the sum behind one element of the result.
std::int64_t inner_length(const DnnCall& call) {
    const DnnTensor* const w = find_w(call);
    const DnnTensor* const y = find(call, {DnnRole::y, DnnRole::dy});
    if (w == nullptr || y == nullptr) return 0;
    std::int64_t taps = 1, places = y->size[0];
    for (std::int32_t i = 2; i < w->rank; ++i) taps *= w->size[i];
    for (std::int32_t i = 2; i < y->rank; ++i) places *= y->size[i];
    switch (call.operation) {
        case DnnOperation::convolution_backward_filter:
            return places;
        case DnnOperation::convolution_backward_data:
            return w->size[0] / std::max(call.convolution.groups, 1) * taps;
        default:
            return w->size[1] * taps;
    }
}

std::string convolution_shape(const DnnCall& call) {
    const DnnConvolution& c = call.convolution;
    std::string text;
    add(text, "x", find_x(call));
    add(text, "w", find_w(call));
    text += " s=" + each_dimension(c.stride, c.spatial_rank) +
            " p=" + each_dimension(c.padding, c.spatial_rank) +
            " d=" + each_dimension(c.dilation, c.spatial_rank) + " g=" + std::to_string(c.groups);
    if (c.flipped) text += " flipped";
    const DnnTensor* const x = find_x(call);
    if (x != nullptr) text += layout(*x);
    return text + " k=" + std::to_string(inner_length(call));
}

std::string rnn_shape(const DnnRnn& r) {
    static constexpr const char* cells[] = {"relu", "tanh", "lstm", "gru"};
    std::string text = std::string(" ") + (r.cell <= CUDNN_GRU ? cells[r.cell] : "cell") +
                       " steps=" + std::to_string(r.max_length) + " batch=" + std::to_string(r.batch) +
                       " input=" + std::to_string(r.input_size) + " hidden=" + std::to_string(r.hidden_size) +
                       " layers=" + std::to_string(r.layers);
    if (r.projection_size != 0 && r.projection_size != r.hidden_size)
        text += " projection=" + std::to_string(r.projection_size);
    if (r.bidirectional) text += " bidirectional";
    if (r.ragged) text += " packed";
    return text;
}

std::string attention_shape(const DnnCall& call) {
    std::string text;
    add(text, "q", call.find(DnnRole::q));
    add(text, "k", call.find(DnnRole::k));
    add(text, "v", call.find(DnnRole::v));
    if (call.attention.causal) text += call.attention.bottom_right ? " causal(bottom right)" : " causal";
    if (call.find(DnnRole::mask) != nullptr) text += " mask";
    if (call.attention.dropout) text += " dropout";
    return text;
}

std::string pooling_shape(const DnnCall& call) {
    const DnnPooling& p = call.pooling;
    std::string text;
    add(text, "x", find_x(call));
    text += " window=" + each_dimension(p.window, p.spatial_rank) +
            " s=" + each_dimension(p.stride, p.spatial_rank) +
            " p=" + each_dimension(p.padding, p.spatial_rank);
    return text +
           (p.mode == CUDNN_POOLING_MAX || p.mode == CUDNN_POOLING_MAX_DETERMINISTIC ? " max" : " average");
}

std::string plain_shape(const DnnCall& call) {
    std::string text;
    add(text, "x", find_x(call));
    add(text, "grid", find(call, {DnnRole::grid, DnnRole::dgrid}));
    const DnnTensor* const x = find_x(call);
    const bool norm = call.operation >= DnnOperation::batch_norm_forward &&
                      call.operation <= DnnOperation::batch_norm_backward;
    if (norm && call.norm.per_activation) text += " per activation";
    return norm && x != nullptr ? text + layout(*x) : text;
}

const char* graph_operation_name(int type) {
    switch (type) {
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
            return "convolution_forward";
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
            return "convolution_backward_filter";
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
            return "convolution_backward_data";
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
            return "pointwise";
        case CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR:
            return "statistics";
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
            return "matmul";
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
            return "reduction";
        case CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR:
            return "pooling";
        case CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR:
            return "pooling_backward";
        case CUDNN_BACKEND_OPERATION_CONCAT_DESCRIPTOR:
            return "concatenation";
        case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR:
            return "norm";
        case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR:
            return "norm_backward";
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
            return "reshape";
        case CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR:
            return "random";
        case CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR:
            return "attention";
        case CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR:
            return "attention_backward";
        default:
            return nullptr;
    }
}

std::string operation_text(const DnnCall::GraphOperation& operation) {
    const char* const name = graph_operation_name(operation.type);
    std::string text = name != nullptr ? name : "operation " + std::to_string(operation.type);
    if (operation.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
        text += ':' + std::to_string(operation.mode);
    return text;
}

// Operations that follow each other more than once are counted: pointwise:0 x2.
std::string operations_text(const DnnCall& call) {
    std::string text;
    for (std::uint32_t i = 0; i < call.graph_count;) {
        std::uint32_t run = 1;
        while (i + run < call.graph_count && call.graph[i + run].type == call.graph[i].type &&
               call.graph[i + run].mode == call.graph[i].mode)
            ++run;
        text += (i > 0 ? ", " : "") + operation_text(call.graph[i]);
        if (run > 1) text += " x" + std::to_string(run);
        i += run;
    }
    return text;
}

std::string type_text(DataType type, const char* conversion) {
    switch (type) {
        case DataType::f32:
            return std::string("32F") + conversion;
        case DataType::f64:
            return "64F";
        case DataType::f16:
            return "16F";
        case DataType::bf16:
            return "16BF";
        case DataType::i32:
            return "32I";
        default:
            return {};
    }
}

struct Note {
    cudnnBackendNumericalNote_t note;
    const char* text;
};
// In the order in which they are said.
constexpr Note notes[] = {{CUDNN_NUMERICAL_NOTE_WINOGRAD, "winograd"},
                          {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4, "TILE_4x4"},
                          {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, "TILE_6x6"},
                          {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13, "TILE_13x13"},
                          {CUDNN_NUMERICAL_NOTE_FFT, "fft"},
                          {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, "tensor_core"},
                          {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, "down_convert_inputs"},
                          {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, "reduced_precision_reduction"},
                          {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, "nondeterministic"}};

void say(std::string& text, const std::string& word) {
    text += (text.empty() ? "" : " ") + word;
}

const char* knob_name(int type) {
    switch (type) {
        case CUDNN_KNOB_TYPE_TILE_SIZE:
            return "tile";
        case CUDNN_KNOB_TYPE_STAGES:
            return "stages";
        case CUDNN_KNOB_TYPE_SPLIT_K_BUF:
            return "split_k_buf";
        case CUDNN_KNOB_TYPE_SPLIT_K_SLC:
            return "split_k";
        case CUDNN_KNOB_TYPE_REDUCTION_MODE:
            return "reduction";
        case CUDNN_KNOB_TYPE_KERNEL_CFG:
            return "kernel_cfg";
        default:
            return nullptr;
    }
}

}  // namespace

std::string dnn_shape_text(const Call& call) {
    if (!call.decoded || call.dnn == nullptr) return {};
    const DnnCall& dnn = *call.dnn;
    const std::string name = operation_name(dnn.operation);
    switch (dnn.operation) {
        case DnnOperation::none:
            return {};
        case DnnOperation::convolution_forward:
        case DnnOperation::convolution_backward_data:
        case DnnOperation::convolution_backward_filter:
            return name + convolution_shape(dnn);
        case DnnOperation::rnn_forward:
        case DnnOperation::rnn_backward_data:
        case DnnOperation::rnn_backward_weights:
            return name + rnn_shape(dnn.rnn);
        case DnnOperation::attention_forward:
        case DnnOperation::attention_backward:
            return name + attention_shape(dnn);
        case DnnOperation::pooling_forward:
        case DnnOperation::pooling_backward:
            return name + pooling_shape(dnn);
        case DnnOperation::other:
            return dnn.graph_count > 0 ? "graph: " + operations_text(dnn) : plain_shape(dnn);
        default:
            return name + plain_shape(dnn);
    }
}

std::string dnn_dtypes_text(const Call& call) {
    if (!call.decoded || call.dnn == nullptr) return {};
    const DnnCall& dnn = *call.dnn;
    std::string text;
    const auto type_of = [&](const DnnTensor* tensor) {
        if (tensor != nullptr) text += (text.empty() ? "" : ",") + std::string(type_name(tensor->type));
    };
    if (dnn.find(DnnRole::q) != nullptr) {
        for (const DnnRole role : {DnnRole::q, DnnRole::k, DnnRole::v, DnnRole::o}) type_of(dnn.find(role));
        return text;
    }
    type_of(find_x(dnn));
    type_of(find(
        dnn, {DnnRole::w, DnnRole::dw, DnnRole::weights, DnnRole::dweights, DnnRole::scale, DnnRole::grid}));
    type_of(find(dnn, {DnnRole::y, DnnRole::dy, DnnRole::costs}));
    return text;
}

std::string dnn_compute_type_text(const Call& call) {
    if (!call.decoded || call.dnn == nullptr) return {};
    const DnnCall& dnn = *call.dnn;
    const DnnTensor* const x = find_x(dnn);
    const bool products = dnn.engine.notes_known || dnn.math_type >= 0;
    if (x == nullptr || x->type != DataType::f32 || !products) return type_text(dnn.compute_type, "");
    if (dnn.engine.noted(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))
        return type_text(dnn.compute_type, "_FAST_16F");
    // The legacy functions take TF32 where they are not told to use FMA.
    const bool converted = dnn.engine.notes_known ? dnn.engine.noted(CUDNN_NUMERICAL_NOTE_TENSOR_CORE)
                                                  : dnn.math_type != CUDNN_FMA_MATH;
    return type_text(dnn.compute_type, converted ? "_FAST_TF32" : "");
}

std::string dnn_epilogue_text(const Call& call) {
    if (!call.decoded || call.dnn == nullptr) return {};
    const DnnCall& dnn = *call.dnn;
    std::string text;
    const auto part = [&](bool is, const char* name) {
        if (is) text += (text.empty() ? "" : "_") + std::string(name);
    };
    const bool norm = dnn.operation >= DnnOperation::batch_norm_forward &&
                      dnn.operation <= DnnOperation::batch_norm_backward;
    const bool convolution = dnn.operation >= DnnOperation::convolution_forward &&
                             dnn.operation <= DnnOperation::convolution_backward_filter;
    part(norm ? dnn.norm.add : dnn.find(DnnRole::z) != nullptr, "ADD");
    part(convolution && dnn.find(DnnRole::bias) != nullptr, "BIAS");
    part(norm ? dnn.norm.relu : dnn.convolution.relu, "RELU");
    part(dnn.partly, "MORE");
    return text;
}

std::string dnn_algorithm_text(const Call& call) {
    if (!call.decoded || call.dnn == nullptr) return {};
    const DnnCall& dnn = *call.dnn;
    std::string text;
    if (dnn.engine.index >= 0) say(text, "engine=" + std::to_string(dnn.engine.index));
    if (dnn.algorithm >= 0) say(text, "algo=" + std::to_string(dnn.algorithm));
    for (const Note& note : notes)
        if (dnn.engine.noted(note.note)) say(text, note.text);
    for (std::int32_t i = 0; i < dnn.engine.knob_count; ++i)
        if (const char* const name = knob_name(dnn.engine.knobs[i].type))
            say(text, std::string(name) + '=' + std::to_string(dnn.engine.knobs[i].value));
    return text;
}

std::string dnn_graph_text(const Call& call) {
    return call.dnn == nullptr ? "this graph" : "a graph of " + operations_text(*call.dnn);
}

std::string dnn_status_text(int status) {
    static const auto describe = [] {
        const CudnnApi* const api = cudnn_api();
        return api == nullptr ? nullptr : api->cudnnGetErrorString;
    }();
    const char* const text = describe == nullptr ? nullptr : describe(static_cast<cudnnStatus_t>(status));
    return text != nullptr ? text : "cuDNN status " + std::to_string(status);
}

}  // namespace fumi::libraries
