#include "tools/softcuda/dnn/legacy/convolution.h"

#include <algorithm>

#include "tools/softcuda/dnn/execute.h"
#include "tools/softcuda/dnn/legacy/real_function.h"
#include "tools/softcuda/dnn/legacy/tensor.h"
#include "tools/softcuda/dnn/run.h"

namespace softcuda::dnn::legacy {
namespace {

cudnnStatus_t read_tensor(cudnnTensorDescriptor_t descriptor, std::int64_t uid, dnn::Tensor& result) {
    Tensor tensor;
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = read(descriptor, tensor)) return status;
    result.uid = uid;
    result.type = tensor.type;
    result.size.assign(tensor.size.begin(), tensor.size.begin() + tensor.rank);
    result.stride.assign(tensor.stride.begin(), tensor.stride.begin() + tensor.rank);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t read_filter(cudnnFilterDescriptor_t descriptor, std::int64_t uid, dnn::Tensor& result) {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetFilterNdDescriptor);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnTensorFormat_t format{};
    int rank = 0, size[CUDNN_DIM_MAX] = {};
    if (const auto status = get(descriptor, CUDNN_DIM_MAX, &result.type, &format, &rank, size)) return status;
    if (format != CUDNN_TENSOR_NCHW && format != CUDNN_TENSOR_NHWC) return CUDNN_STATUS_NOT_SUPPORTED;
    result.uid = uid;
    result.size.assign(size, size + rank);
    result.stride.assign(static_cast<std::size_t>(rank), 1);
    std::int64_t step = 1;
    const auto place = [&](int i) {
        result.stride[static_cast<std::size_t>(i)] = step;
        step *= size[i];
    };
    if (format == CUDNN_TENSOR_NHWC) place(1);
    for (int i = rank - 1; i >= 0; --i)
        if (i != 1 || format == CUDNN_TENSOR_NCHW) place(i);
    return CUDNN_STATUS_SUCCESS;
}

struct Facts {
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

cudnnStatus_t read_descriptor(cudnnConvolutionDescriptor_t descriptor, Convolution& result, Facts& facts) {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetConvolutionNdDescriptor);
    const auto get_groups = SOFTCUDA_REAL_CUDNN(cudnnGetConvolutionGroupCount);
    const auto get_math = SOFTCUDA_REAL_CUDNN(cudnnGetConvolutionMathType);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr || get_groups == nullptr || get_math == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    constexpr int most = CUDNN_DIM_MAX - 2;
    int rank = 0, groups = 1, padding[most] = {}, stride[most] = {}, dilation[most] = {};
    cudnnConvolutionMode_t mode{};
    if (const auto status = get(descriptor, most, &rank, padding, stride, dilation, &mode, &facts.compute))
        return status;
    if (const auto status = get_groups(descriptor, &groups)) return status;
    if (const auto status = get_math(descriptor, &facts.math)) return status;
    result.stride.assign(stride, stride + rank);
    result.pre_padding.assign(padding, padding + rank);
    result.dilation.assign(dilation, dilation + rank);
    result.flipped = mode == CUDNN_CONVOLUTION;
    result.groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_sizes(const Graph& graph, const Convolution& op) {
    const auto &x = graph.tensors[0], &w = graph.tensors[1], &y = graph.tensors[2];
    const std::size_t rank = x.size.size();
    if (w.size.size() != rank || y.size.size() != rank || op.stride.size() + 2 != rank)
        return CUDNN_STATUS_BAD_PARAM;
    if (x.type != w.type || x.type != y.type) return CUDNN_STATUS_BAD_PARAM;
    if (!is_real(x.type)) return CUDNN_STATUS_NOT_SUPPORTED;
    const bool fits = x.size[0] == y.size[0] && x.size[1] == w.size[1] * op.groups &&
                      y.size[1] == w.size[0] && w.size[0] % op.groups == 0;
    if (!fits) return CUDNN_STATUS_BAD_PARAM;
    for (std::size_t i = 0; i + 2 < rank; ++i) {
        const std::int64_t room =
            x.size[i + 2] + 2 * op.pre_padding[i] - op.dilation[i] * (w.size[i + 2] - 1) - 1;
        if (room < 0 || y.size[i + 2] != room / op.stride[i] + 1) return CUDNN_STATUS_BAD_PARAM;
    }
    return CUDNN_STATUS_SUCCESS;
}

Engine engine_for(const ConvolutionCall& call, const Facts& facts, int algorithm) {
    const Algorithm wanted = !is_deterministic(call.direction, algorithm) ? Algorithm::split_k
                             : facts.math == CUDNN_FMA_MATH               ? Algorithm::plain
                                                                          : Algorithm::tensor_cores;
    const std::vector<Engine> engines = engines_for(call.graph);
    const auto found = std::find_if(engines.begin(), engines.end(),
                                    [&](const Engine& engine) { return engine.algorithm == wanted; });
    return found != engines.end() ? *found : engines.front();
}

int add_tensor(Graph& graph, dnn::Tensor tensor) {
    graph.tensors.push_back(std::move(tensor));
    return static_cast<int>(graph.tensors.size()) - 1;
}

}  // namespace

std::vector<int> algorithms_of(Direction direction) {
    switch (direction) {
        case Direction::forward:
            return {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
        case Direction::backward_data:
            return {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1};
        default:
            return {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0};
    }
}

bool is_deterministic(Direction direction, int algorithm) noexcept {
    return direction != Direction::backward_filter || algorithm != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0;
}

cudnnStatus_t read_convolution(ConvolutionCall& call, Direction direction, cudnnTensorDescriptor_t x,
                               cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t convolution,
                               cudnnTensorDescriptor_t y, int algorithm) {
    constexpr const char* names[] = {"convolution_forward", "convolution_backward_data",
                                     "convolution_backward_filter"};
    call.direction = direction;
    call.graph.name = names[static_cast<int>(direction)];
    call.graph.tensors.resize(3);
    Convolution op;
    Facts facts;
    if (const auto status = read_tensor(x, 1, call.graph.tensors[0])) return status;
    if (const auto status = read_filter(w, 2, call.graph.tensors[1])) return status;
    if (const auto status = read_tensor(y, 3, call.graph.tensors[2])) return status;
    if (const auto status = read_descriptor(convolution, op, facts)) return status;
    if (const auto status = check_sizes(call.graph, op)) return status;
    const std::vector<int> known = algorithms_of(direction);
    if (std::find(known.begin(), known.end(), algorithm) == known.end()) return CUDNN_STATUS_NOT_SUPPORTED;
    op.direction = direction;
    op.x = 0;
    op.w = 1;
    op.y = 2;
    call.graph.in_double = call.graph.tensors[0].type == CUDNN_DATA_DOUBLE;
    call.graph.operations = {op};
    call.engine = engine_for(call, facts, algorithm);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t add_bias_and_activation(ConvolutionCall& call, double alpha2, cudnnTensorDescriptor_t z,
                                      cudnnTensorDescriptor_t bias, cudnnActivationDescriptor_t activation) {
    Graph& graph = call.graph;
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetActivationDescriptor);
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnActivationMode_t mode{};
    cudnnNanPropagation_t nan{};
    double coefficient = 0;
    if (activation == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = get(activation, &mode, &nan, &coefficient)) return status;
    if (mode != CUDNN_ACTIVATION_RELU && mode != CUDNN_ACTIVATION_IDENTITY) return CUDNN_STATUS_NOT_SUPPORTED;
    dnn::Tensor addend, shift, between = graph.tensors[2];
    if (const auto status = read_tensor(z, 4, addend)) return status;
    if (const auto status = read_tensor(bias, 5, shift)) return status;
    if (addend.size != between.size || shift.size.size() != between.size.size() ||
        shift.size[1] != between.size[1])
        return CUDNN_STATUS_BAD_PARAM;
    between.is_virtual = true;
    between.type = graph.in_double ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const int at_z = add_tensor(graph, std::move(addend)), at_bias = add_tensor(graph, std::move(shift));
    const int sums[] = {add_tensor(graph, between), add_tensor(graph, between), add_tensor(graph, between)};
    for (std::int64_t i = 0; i < 3; ++i) graph.tensors[static_cast<std::size_t>(sums[i])].uid = 6 + i;
    const auto add = [&](int x, int b, double scale, int y) {
        Pointwise op;
        op.mode = CUDNN_POINTWISE_ADD;
        op.x = x;
        op.b = b;
        op.alpha2 = scale;
        op.y = y;
        graph.operations.emplace_back(op);
    };
    const bool relu = mode == CUDNN_ACTIVATION_RELU;
    std::get<Convolution>(graph.operations.front()).y = sums[0];
    add(sums[0], at_z, alpha2, sums[1]);
    add(sums[1], at_bias, 1, relu ? sums[2] : 2);
    if (!relu) return CUDNN_STATUS_SUCCESS;
    Pointwise op;
    op.mode = CUDNN_POINTWISE_RELU_FWD;
    op.x = sums[2];
    op.y = 2;
    op.upper_clip = std::numeric_limits<double>::infinity();
    graph.operations.emplace_back(op);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t launch(cudnnHandle_t handle, const char* function, ConvolutionCall call,
                     std::vector<void*> pointers) {
    auto filled = std::make_shared<dnn::Call>();
    pointers.resize(call.graph.tensors.size());
    filled->host_values.resize(call.graph.tensors.size());
    filled->pointers = std::move(pointers);
    filled->engine = call.engine;
    filled->graph = std::make_shared<const Graph>(std::move(call.graph));
    return dnn::enqueue(handle, std::move(filled), function);
}

}  // namespace softcuda::dnn::legacy
