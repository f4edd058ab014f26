#include "tools/softcuda/dnn/graph.h"

#include <algorithm>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/elements.h"

namespace softcuda::dnn {
namespace {

using Name = cudnnBackendAttributeName_t;

cudnnStatus_t unsupported(const std::string& what, cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED) {
    const std::string text = "cuDNN graph: " + what + " is not there; returning " +
                             (status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                                                   : "CUDNN_STATUS_NOT_SUPPORTED_SHAPE");
    warn_once(text.c_str(), "%s", text.c_str());
    return failed(status, text);
}

class Reader {
  public:
    explicit Reader(Graph& graph) : graph_(graph) {}

    cudnnStatus_t read(const Descriptor& operation) {
        switch (operation.kind) {
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
                return convolution(operation);
            case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
                return pointwise(operation);
            case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
                return matmul(operation);
            case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
                return reduction(operation);
            case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
                graph_.operations.emplace_back(
                    Reshape{tensor(operation, CUDNN_ATTR_OPERATION_RESHAPE_XDESC),
                            tensor(operation, CUDNN_ATTR_OPERATION_RESHAPE_YDESC)});
                return CUDNN_STATUS_SUCCESS;
            case CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR:
                return rng(operation);
            case CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR:
                return attention(operation);
            default:
                return unsupported("operation of descriptor type " + std::to_string(operation.kind));
        }
    }

  private:
    int tensor(const Descriptor& operation, Name name) {
        const auto descriptor = operation.child(name);
        if (descriptor == nullptr) return -1;
        const auto uid = descriptor->value<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
        for (std::size_t i = 0; i < graph_.tensors.size(); ++i)
            if (graph_.tensors[i].uid == uid) return static_cast<int>(i);
        Tensor tensor;
        tensor.uid = uid;
        tensor.type = descriptor->value(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT);
        tensor.size = descriptor->values<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
        tensor.stride = descriptor->values<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
        tensor.is_virtual = descriptor->value(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false);
        tensor.by_value = descriptor->value(CUDNN_ATTR_TENSOR_IS_BY_VALUE, false);
        graph_.in_double |= tensor.type == CUDNN_DATA_DOUBLE;
        graph_.tensors.push_back(std::move(tensor));
        return static_cast<int>(graph_.tensors.size()) - 1;
    }

    const Tensor& at(int index) const { return graph_.tensors.at(static_cast<std::size_t>(index)); }
    bool is_int8(const Matmul& op) const {
        return at(op.a).type == CUDNN_DATA_INT8 && at(op.b).type == CUDNN_DATA_INT8;
    }

    struct ConvolutionNames {
        Direction direction;
        Name description, x, w, y, alpha, beta;
    };
    static ConvolutionNames names_of(cudnnBackendDescriptorType_t kind) {
        // clang-format off
        switch (kind) {
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
                return {Direction::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
                return {Direction::backward_data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
            default:
                return {Direction::backward_filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
        }
        // clang-format on
    }

    cudnnStatus_t convolution(const Descriptor& operation) {
        const ConvolutionNames names = names_of(operation.kind);
        const auto description = operation.child(names.description);
        if (description == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM, "a convolution without its descriptor");
        Convolution convolution;
        convolution.direction = names.direction;
        convolution.x = tensor(operation, names.x);
        convolution.w = tensor(operation, names.w);
        convolution.y = tensor(operation, names.y);
        convolution.stride = description->values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
        convolution.dilation = description->values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS);
        convolution.pre_padding = description->values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
        convolution.flipped =
            description->value(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CONVOLUTION) == CUDNN_CONVOLUTION;
        convolution.alpha = operation.number(names.alpha, 1);
        convolution.beta = operation.number(names.beta, 0);
        graph_.in_double |=
            description->value(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT) == CUDNN_DATA_DOUBLE;
        const std::size_t rank = at(convolution.x).size.size();
        if (rank < 3 || rank > 5 || at(convolution.w).size.size() != rank ||
            at(convolution.y).size.size() != rank || convolution.stride.size() != rank - 2 ||
            convolution.dilation.size() != rank - 2 || convolution.pre_padding.size() != rank - 2)
            return unsupported("convolution of rank " + std::to_string(rank));
        const std::int64_t channels = at(convolution.w).size[1];
        if (channels == 0 || at(convolution.x).size[1] % channels != 0)
            return failed(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "the channels of x are no multiple of w's");
        convolution.groups = at(convolution.x).size[1] / channels;
        if (at(convolution.w).size[0] % convolution.groups != 0)
            return failed(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "the filters are no multiple of the groups");
        graph_.operations.emplace_back(std::move(convolution));
        return CUDNN_STATUS_SUCCESS;
    }

    cudnnStatus_t pointwise(const Descriptor& operation) {
        const auto description = operation.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        if (description == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM, "a pointwise operation without its descriptor");
        Pointwise pointwise;
        pointwise.mode = description->value(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_IDENTITY);
        const bool backward = pointwise.mode >= CUDNN_POINTWISE_RELU_BWD &&
                              pointwise.mode <= CUDNN_POINTWISE_GELU_APPROX_TANH_BWD;
        if (backward) {
            pointwise.x = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC);
            pointwise.b = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
            if (pointwise.b < 0) return unsupported("backward pointwise operation by the forward result");
            pointwise.y = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC);
        } else {
            pointwise.x = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
            pointwise.b = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
            pointwise.t = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
            pointwise.y = tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        }
        pointwise.alpha1 = operation.number(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
        pointwise.alpha2 = operation.number(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
        constexpr double unlimited = 1e308;
        pointwise.lower_clip = description->number(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0);
        pointwise.upper_clip = description->number(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, unlimited);
        pointwise.lower_slope = description->number(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
        pointwise.elu_alpha = description->number(CUDNN_ATTR_POINTWISE_ELU_ALPHA, 1);
        pointwise.softplus_beta = description->number(CUDNN_ATTR_POINTWISE_SOFTPLUS_BETA, 1);
        pointwise.swish_beta = description->number(CUDNN_ATTR_POINTWISE_SWISH_BETA, 1);
        pointwise.axis = description->value<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS, -1);
        graph_.operations.emplace_back(pointwise);
        return CUDNN_STATUS_SUCCESS;
    }

    cudnnStatus_t matmul(const Descriptor& operation) {
        Matmul matmul;
        matmul.a = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
        matmul.b = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
        matmul.c = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
        matmul.m_override = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC);
        matmul.n_override = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC);
        matmul.k_override = tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC);
        if (matmul.m_override >= 0 || matmul.n_override >= 0 || matmul.k_override >= 0)
            return unsupported("matrix product with overridden sizes");
        // Their sums are integers, as exact in double.
        graph_.in_double |= graph_.tensors[static_cast<std::size_t>(matmul.a)].type == CUDNN_DATA_INT8;
        graph_.operations.emplace_back(matmul);
        return CUDNN_STATUS_SUCCESS;
    }

    cudnnStatus_t reduction(const Descriptor& operation) {
        const auto description = operation.child(CUDNN_ATTR_OPERATION_REDUCTION_DESC);
        if (description == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM, "a reduction without its descriptor");
        graph_.operations.emplace_back(
            Reduction{description->value(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_REDUCE_TENSOR_ADD),
                      tensor(operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC),
                      tensor(operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC)});
        return CUDNN_STATUS_SUCCESS;
    }

    cudnnStatus_t rng(const Descriptor& operation) {
        const auto description = operation.child(CUDNN_ATTR_OPERATION_RNG_DESC);
        if (description == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM, "a random number operation without its descriptor");
        Rng rng;
        rng.distribution = description->value(CUDNN_ATTR_RNG_DISTRIBUTION, CUDNN_RNG_DISTRIBUTION_BERNOULLI);
        rng.probability = description->number(CUDNN_ATTR_RNG_BERNOULLI_DIST_PROBABILITY, 0.5);
        rng.minimum = description->number(CUDNN_ATTR_RNG_UNIFORM_DIST_MINIMUM, 0);
        rng.maximum = description->number(CUDNN_ATTR_RNG_UNIFORM_DIST_MAXIMUM, 1);
        if (rng.distribution == CUDNN_RNG_DISTRIBUTION_NORMAL) return unsupported("normal random numbers");
        rng.y = tensor(operation, CUDNN_ATTR_OPERATION_RNG_YDESC);
        rng.offset = tensor(operation, CUDNN_ATTR_OPERATION_RNG_OFFSET_DESC);
        const Attribute* seed = operation.find(CUDNN_ATTR_OPERATION_RNG_SEED);
        if (seed != nullptr && seed->type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
            rng.seed = tensor(operation, CUDNN_ATTR_OPERATION_RNG_SEED);
        else
            rng.seed_value = operation.value<std::int64_t>(CUDNN_ATTR_OPERATION_RNG_SEED, 0);
        graph_.operations.emplace_back(rng);
        return CUDNN_STATUS_SUCCESS;
    }

    cudnnStatus_t attention(const Descriptor& operation) {
        for (const Name name :
             {CUDNN_ATTR_OPERATION_SDPA_FWD_BLOCK_MASK_DESC, CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_KDESC,
              CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_VDESC})
            if (operation.child(name) != nullptr) return unsupported("attention over pages or block masks");
        Attention attention;
        attention.q = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC);
        attention.k = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC);
        attention.v = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC);
        attention.o = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC);
        attention.stats = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC);
        attention.scale = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC);
        attention.length_q = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC);
        attention.length_kv = tensor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC);
        graph_.operations.emplace_back(attention);
        return CUDNN_STATUS_SUCCESS;
    }

    Graph& graph_;
};

struct FindUses {
    Uses operator()(const Convolution& op) const {
        if (op.direction == Direction::forward) return {{op.x, op.w}, {op.y}};
        if (op.direction == Direction::backward_data) return {{op.y, op.w}, {op.x}};
        return {{op.x, op.y}, {op.w}};
    }
    Uses operator()(const Pointwise& op) const { return {{op.x, op.b, op.t}, {op.y}}; }
    Uses operator()(const Matmul& op) const { return {{op.a, op.b}, {op.c}}; }
    Uses operator()(const Reduction& op) const { return {{op.x}, {op.y}}; }
    Uses operator()(const Reshape& op) const { return {{op.x}, {op.y}}; }
    Uses operator()(const Rng& op) const { return {{op.seed, op.offset}, {op.y}}; }
    Uses operator()(const Attention& op) const {
        return {{op.q, op.k, op.v, op.scale, op.length_q, op.length_kv}, {op.o, op.stats}};
    }
};

}  // namespace

Uses uses_of(const Operation& operation) {
    return std::visit(FindUses{}, operation);
}

namespace {

// Brings the operations into an order in which every result is there when it is read. False for a circle.
bool sort_operations(Graph& graph) {
    std::vector<bool> waiting(graph.tensors.size(), false);
    for (const Operation& operation : graph.operations)
        for (const int tensor : uses_of(operation).writes)
            if (tensor >= 0) waiting[static_cast<std::size_t>(tensor)] = true;
    std::vector<Operation> sorted, rest = std::move(graph.operations);
    while (!rest.empty()) {
        const auto ready = std::find_if(rest.begin(), rest.end(), [&](const Operation& operation) {
            const auto uses = uses_of(operation);
            return std::none_of(uses.reads.begin(), uses.reads.end(),
                                [&](int t) { return t >= 0 && waiting[static_cast<std::size_t>(t)]; });
        });
        if (ready == rest.end()) return false;
        for (const int tensor : uses_of(*ready).writes)
            if (tensor >= 0) waiting[static_cast<std::size_t>(tensor)] = false;
        sorted.push_back(std::move(*ready));
        rest.erase(ready);
    }
    graph.operations = std::move(sorted);
    return true;
}

// Whether the sizes of an operation's tensors go together, so that none is read beyond its end.
class ShapesFit {
  public:
    explicit ShapesFit(const Graph& graph) : graph_(graph) {}

    bool operator()(const Convolution& op) const {
        const auto &x = size(op.x), &w = size(op.w), &y = size(op.y);
        return x[0] == y[0] && y[1] == w[0] && floating({op.x, op.w, op.y});
    }
    bool operator()(const Pointwise& op) const {
        if (op.y < 0) return false;
        const auto& y = size(op.y);
        if (op.mode == CUDNN_POINTWISE_GEN_INDEX)
            return op.axis >= 0 && op.axis < static_cast<std::int64_t>(y.size());
        if (op.x < 0 || (op.mode == CUDNN_POINTWISE_BINARY_SELECT && (op.b < 0 || op.t < 0))) return false;
        return repeats(op.x, y) && repeats(op.b, y) && repeats(op.t, y);
    }
    bool operator()(const Matmul& op) const {
        const auto &a = size(op.a), &b = size(op.b), &c = size(op.c);
        const std::size_t rank = c.size();
        if (rank < 2 || a.size() != rank || b.size() != rank || !floating({op.c})) return false;
        if (!floating({op.a, op.b}) && !is_int8(op)) return false;
        for (std::size_t d = 0; d + 2 < rank; ++d)
            if (!divides(a[d], c[d]) || !divides(b[d], c[d])) return false;
        return a[rank - 1] == b[rank - 2] && a[rank - 2] == c[rank - 2] && b[rank - 1] == c[rank - 1];
    }
    bool operator()(const Reduction& op) const {
        const auto &x = size(op.x), &y = size(op.y);
        if (x.size() != y.size()) return false;
        for (std::size_t d = 0; d < x.size(); ++d)
            if (!divides(y[d], x[d])) return false;
        return true;
    }
    bool operator()(const Reshape& op) const { return at(op.x).count() == at(op.y).count(); }
    bool operator()(const Rng&) const { return true; }
    bool operator()(const Attention& op) const {
        const auto &q = size(op.q), &k = size(op.k), &v = size(op.v), &o = size(op.o);
        if (q.size() != 4 || k.size() != 4 || v.size() != 4 || o.size() != 4) return false;
        if (!floating({op.q, op.k, op.v, op.o})) return false;
        return k[0] == q[0] && v[0] == q[0] && o[0] == q[0] && o[1] == q[1] && divides(k[1], q[1]) &&
               divides(v[1], q[1]) && k[3] == q[3] && v[2] == k[2] && o[2] == q[2] && o[3] == v[3];
    }

  private:
    const Tensor& at(int index) const { return graph_.tensors.at(static_cast<std::size_t>(index)); }
    bool is_int8(const Matmul& op) const {
        return at(op.a).type == CUDNN_DATA_INT8 && at(op.b).type == CUDNN_DATA_INT8;
    }
    const std::vector<std::int64_t>& size(int index) const { return at(index).size; }
    static bool divides(std::int64_t part, std::int64_t whole) { return part > 0 && whole % part == 0; }
    bool floating(std::initializer_list<int> tensors) const {
        return std::all_of(tensors.begin(), tensors.end(), [&](int t) { return is_floating(at(t).type); });
    }
    bool repeats(int index, const std::vector<std::int64_t>& whole) const {
        if (index < 0) return true;
        const auto& part = size(index);
        if (part.size() > whole.size()) return false;
        const std::size_t shift = whole.size() - part.size();
        for (std::size_t d = 0; d < part.size(); ++d)
            if (part[d] != 1 && part[d] != whole[d + shift]) return false;
        return true;
    }

    const Graph& graph_;
};

std::string name_of(const Graph& graph) {
    int products = 0;
    bool exponentials = false;
    for (const Operation& operation : graph.operations) {
        if (const auto* convolution = std::get_if<Convolution>(&operation)) {
            if (convolution->direction == Direction::forward) return "convolution_forward";
            return convolution->direction == Direction::backward_data ? "convolution_backward_data"
                                                                      : "convolution_backward_filter";
        }
        if (std::holds_alternative<Attention>(operation)) return "attention_forward";
        products += std::holds_alternative<Matmul>(operation) ? 1 : 0;
        const auto* pointwise = std::get_if<Pointwise>(&operation);
        exponentials |= pointwise != nullptr && pointwise->mode == CUDNN_POINTWISE_EXP;
    }
    if (exponentials && products >= 2) return products == 2 ? "attention_forward" : "attention_backward";
    return products > 0 ? "matmul" : "pointwise";
}

}  // namespace

cudnnStatus_t read_graph(const Descriptor& descriptor, Graph& graph) {
    const Attribute* operations = descriptor.find(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    if (operations == nullptr || operations->descriptors.empty())
        return failed(CUDNN_STATUS_BAD_PARAM, "an operation graph without operations");
    Reader reader(graph);
    for (const auto& operation : operations->descriptors)
        if (const auto status = reader.read(*operation); status != CUDNN_STATUS_SUCCESS) return status;
    for (const Tensor& tensor : graph.tensors)
        if (!is_known(tensor.type))
            return failed(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE,
                          "cuDNN graph: tensors of type " + std::to_string(tensor.type) + " are not there");
    for (const Tensor& tensor : graph.tensors)
        if (tensor.size.empty() || tensor.size.size() != tensor.stride.size())
            return failed(CUDNN_STATUS_BAD_PARAM, "a tensor without sizes and strides");
    static constexpr const char* names[] = {
        "convolution", "pointwise operation", "matrix product", "reduction",
        "reshape",     "random number",       "attention"};
    for (const Operation& operation : graph.operations)
        if (!std::visit(ShapesFit(graph), operation))
            return unsupported(std::string(names[operation.index()]) + " of such sizes or types",
                               CUDNN_STATUS_NOT_SUPPORTED_SHAPE);
    if (!sort_operations(graph)) return failed(CUDNN_STATUS_BAD_PARAM, "the operations form a circle");
    graph.name = name_of(graph);
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace softcuda::dnn
