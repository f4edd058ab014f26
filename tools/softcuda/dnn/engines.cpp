#include "tools/softcuda/dnn/engines.h"

#include "tools/softcuda/core/device.h"

namespace softcuda::dnn {
namespace {

const Convolution* convolution_in(const Graph& graph) noexcept {
    for (const Operation& operation : graph.operations)
        if (const auto* convolution = std::get_if<Convolution>(&operation)) return convolution;
    return nullptr;
}

// The type of what the products are formed from.
cudnnDataType_t input_type(const Graph& graph) noexcept {
    for (const Operation& operation : graph.operations) {
        if (const auto* convolution = std::get_if<Convolution>(&operation)) {
            const int input =
                convolution->direction == Direction::backward_data ? convolution->y : convolution->x;
            return graph.tensors[static_cast<std::size_t>(input)].type;
        }
        if (const auto* attention = std::get_if<Attention>(&operation))
            return graph.tensors[static_cast<std::size_t>(attention->q)].type;
        if (const auto* matmul = std::get_if<Matmul>(&operation))
            return graph.tensors[static_cast<std::size_t>(matmul->a)].type;
    }
    return graph.tensors.empty() ? CUDNN_DATA_FLOAT : graph.tensors[0].type;
}

// True where the engine's products are formed on tensor cores and not, under ieee numerics, as if by fp32
// ones.
bool on_tensor_cores(const Engine& engine) noexcept {
    return engine.algorithm == Algorithm::tensor_cores && settings().numerics == Numerics::tensorcore;
}

// The names that cuDNN's kernels spell types with.
const char* spelled(cudnnDataType_t type, bool tensor) noexcept {
    switch (type) {
        case CUDNN_DATA_DOUBLE:
            return "f64f64_f64f64_f64";
        case CUDNN_DATA_HALF:
            return "f16f16_f16f32_f32";
        case CUDNN_DATA_BFLOAT16:
            return "bf16bf16_bf16f32_f32";
        case CUDNN_DATA_INT8:
            return "i8i8_i8i32_f32";
        default:
            return tensor ? "tf32f32_tf32f32_f32" : "f32f32_f32f32_f32";
    }
}

bool channels_last(const Tensor& tensor) noexcept {
    return tensor.size.size() > 2 && tensor.stride[1] == 1 && tensor.size[1] > 1;
}

}  // namespace

std::vector<Engine> engines_for(const Graph& graph) {
    const Convolution* convolution = convolution_in(graph);
    std::vector<Engine> engines;
    // Every index stays with its algorithm, whatever else there is for the graph.
    // Integers are exact on either: their sums are formed in double here.
    if (!graph.in_double || input_type(graph) == CUDNN_DATA_INT8)
        engines.push_back({1, Algorithm::tensor_cores, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 0});
    engines.push_back({0, Algorithm::plain, {}, 0});
    if (convolution != nullptr && convolution->direction == Direction::backward_filter) {
        const auto& filter = graph.tensors[static_cast<std::size_t>(convolution->w)];
        const auto element = static_cast<std::int64_t>(graph.in_double ? sizeof(double) : sizeof(float));
        engines.push_back({2,
                           Algorithm::split_k,
                           {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC},
                           split_parts * filter.count() * element});
    }
    return engines;
}

std::string kernel_name(const Graph& graph, const Engine& engine) {
    const char* arch = on_tensor_cores(engine) ? "tensorop" : "simt";
    const std::string types = spelled(input_type(graph), on_tensor_cores(engine));
    const Convolution* convolution = convolution_in(graph);
    if (convolution == nullptr) {
        if (graph.name.rfind("attention", 0) == 0)
            return "softcuda_cudnn_generated_sdpa_flash_" +
                   std::string(graph.name == "attention_forward" ? "fprop_" : "bprop_") + types;
        return "softcuda_cudnn_generated_" + graph.name + "_" + types;
    }
    const char* pass = convolution->direction == Direction::forward         ? "fprop"
                       : convolution->direction == Direction::backward_data ? "dgrad"
                                                                            : "wgrad";
    const char* layout = channels_last(graph.tensors[static_cast<std::size_t>(convolution->x)])
                             ? "nhwckrsc_nhwc"
                             : "nchwkcrs_nchw";
    std::string name =
        std::string("softcuda_") + arch + "_xmma_" + pass + "_implicit_gemm_" + types + "_" + layout;
    if (engine.algorithm == Algorithm::split_k) name += "_splitK";
    if (graph.operations.size() > 1) name += "_fused";
    return name + "_kernel_cudnn";
}

}  // namespace softcuda::dnn
