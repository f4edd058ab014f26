// Attention that a graph spells out in matrix products, reductions and pointwise operations, as
// cudnn-frontend does where there is a mask:
//     forward    S = Q K^T, scaled, masked; max; exp(S - max); sum; division; stats = max + log sum; O = P V
//     backward   sum of dO O; P = exp(S - stats); dV = P^T dO; dP = dO V^T; dS = P (dP - sum), scaled; dQ, dK
// The tensors are told by what they are multiplied with; an operation that fits nowhere makes the graph
// unknown.
#include <algorithm>
#include <array>
#include <cstddef>

#include "cupti_hook/libraries/cudnn_graph_parser.h"

namespace fumi::libraries {

namespace {

struct Product {
    GraphTensor a, b, c;
};

class Reader {
  public:
    explicit Reader(DnnPlan& plan) noexcept : plan_(plan) {}

    // False where an operation is none of those that attention is made of.
    bool read(const GraphOperations& operations) {
        for (const BackendRecord& operation : operations) {
            if (!read(*operation)) return false;
        }
        return product_count_ == 2 || product_count_ == 5;
    }

    bool is_backward() const noexcept { return product_count_ == 5; }
    bool forward();
    bool backward();
    // Statistics and mask, which both have.
    bool finish(bool backward);

  private:
    static bool in_memory(const GraphTensor& tensor) noexcept {
        return tensor.descriptor != nullptr && !tensor.is_virtual && !tensor.by_value;
    }
    bool read(const BackendDescriptor& operation);
    bool read_product(const BackendDescriptor& operation);
    bool read_pointwise(const BackendDescriptor& operation);
    bool read_reduction(const BackendDescriptor& operation);
    bool read_product_of(const GraphTensor& x, const GraphTensor& b, const GraphTensor& y);
    bool add_step(const GraphTensor& from, const GraphTensor& to) noexcept;
    std::int64_t made_of(std::int64_t uid) const noexcept;
    // The factors of the scores, of their gradient and of the row sums.
    bool read_factors(std::int64_t scores);
    void read_at_execution(const GraphTensor& scalar, std::size_t offset);
    const Product* product_by(std::int64_t b) const noexcept;
    // Behind a sum over the heads that share a key, and a conversion, where there are such.
    GraphTensor result_of(const Product& product) const noexcept;
    void add(GraphTensor tensor, DnnRole role, bool transposed = false) noexcept;

    DnnPlan& plan_;
    std::array<Product, 5> products_;
    int product_count_ = 0;
    GraphTensor mask_, stats_, left_, right_;  // left_ and right_: dO and O, in some order
    // A tensor that is made of another alone: summed, converted or reshaped.
    struct Step {
        std::int64_t from;
        GraphTensor to;
    };
    std::array<Step, 12> steps_;
    struct Factor {
        std::int64_t of;  // what is multiplied
        GraphTensor by;   // on the host
    };
    std::array<Factor, 6> factors_;
    int step_count_ = 0, factor_count_ = 0;
    std::int64_t row_sums_ = -1;  // of dO O, which the backward graph keeps in memory
    // Of a causal mask: row >= column, and where it holds.
    std::int64_t row_index_ = -1, column_index_ = -1, seen_ = -1;
};

bool Reader::read(const BackendDescriptor& operation) {
    switch (operation.type) {
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
            return read_product(operation);
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
            return read_reduction(operation);
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
            return read_pointwise(operation);
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
            return add_step(graph_tensor(operation, CUDNN_ATTR_OPERATION_RESHAPE_XDESC),
                            graph_tensor(operation, CUDNN_ATTR_OPERATION_RESHAPE_YDESC));
        case CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR:
            plan_.call.attention.dropout = true;
            return true;
        default:
            return false;
    }
}

bool Reader::read_product(const BackendDescriptor& operation) {
    if (product_count_ == static_cast<int>(products_.size())) return false;
    products_[static_cast<std::size_t>(product_count_++)] = {
        graph_tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC),
        graph_tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC),
        graph_tensor(operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC)};
    return true;
}

bool Reader::read_reduction(const BackendDescriptor& operation) {
    const BackendDescriptor* const reduction = operation.child(CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    if (reduction == nullptr) return false;
    const int kind = reduction->value<std::int32_t>(CUDNN_ATTR_REDUCTION_OPERATOR, -1);
    if (kind == CUDNN_REDUCE_TENSOR_MAX) return true;
    return kind == CUDNN_REDUCE_TENSOR_ADD &&
           add_step(graph_tensor(operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC),
                    graph_tensor(operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
}

bool Reader::add_step(const GraphTensor& from, const GraphTensor& to) noexcept {
    if (step_count_ == static_cast<int>(steps_.size())) return false;
    steps_[static_cast<std::size_t>(step_count_++)] = {from.uid, to};
    return true;
}

std::int64_t Reader::made_of(std::int64_t uid) const noexcept {
    for (int i = 0; i < step_count_; ++i)
        if (steps_[static_cast<std::size_t>(i)].to.uid == uid)
            return steps_[static_cast<std::size_t>(i)].from;
    return uid;
}

void Reader::read_at_execution(const GraphTensor& scalar, std::size_t offset) {
    plan_.scalars.push_back({scalar.uid, scalar.tensor.type, offsetof(DnnCall, attention) + offset});
}

bool Reader::read_factors(std::int64_t scores) {
    if (plan_.call.attention.dropout) return true;  // not checkable, and with factors of its own
    for (int i = 0; i < factor_count_; ++i) {
        const Factor& factor = factors_[static_cast<std::size_t>(i)];
        if (factor.of == scores) {
            read_at_execution(factor.by, offsetof(DnnAttention, scale));
            plan_.call.attention.gradient_scale = 0;  // is read too, or the graph lacks it
        } else if (made_of(factor.of) != factor.of) {
            read_at_execution(factor.by, offsetof(DnnAttention, row_sum_scale));
        } else {
            read_at_execution(factor.by, offsetof(DnnAttention, gradient_scale));
        }
    }
    return true;
}

bool Reader::read_product_of(const GraphTensor& x, const GraphTensor& b, const GraphTensor& y) {
    if (b.by_value) {
        if (in_memory(y)) row_sums_ = y.uid;
        if (factor_count_ == static_cast<int>(factors_.size())) return false;
        factors_[static_cast<std::size_t>(factor_count_++)] = {x.uid, b};
    } else if (in_memory(x) && in_memory(b)) {
        left_ = x;
        right_ = b;
    }
    return true;
}

bool Reader::read_pointwise(const BackendDescriptor& operation) {
    const GraphTensor x = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
                      b = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
                      y = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    switch (pointwise_mode(operation)) {
        case CUDNN_POINTWISE_MUL:
            return read_product_of(x, b, y);
        case CUDNN_POINTWISE_ADD:
            if (x.by_value || b.by_value) return false;  // moves a causal mask's diagonal
            if (in_memory(y)) stats_ = y;                // max + log sum
            if (!in_memory(b)) return true;
            if (mask_.descriptor != nullptr) return false;
            mask_ = b;
            return true;
        case CUDNN_POINTWISE_SUB:
            if (b.by_value) return false;
            if (in_memory(b) && b.uid != row_sums_) stats_ = b;
            return true;
        case CUDNN_POINTWISE_GEN_INDEX: {
            const auto axis = operation.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
                                  ->value<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS, -1);
            (axis == 2 ? row_index_ : column_index_) = y.uid;
            return axis == 2 || axis == 3;
        }
        case CUDNN_POINTWISE_CMP_GE:
            seen_ = y.uid;
            return x.uid == row_index_ && b.uid == column_index_;
        case CUDNN_POINTWISE_BINARY_SELECT:
            plan_.call.attention.causal = true;
            return b.by_value && seen_ >= 0 &&
                   graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_TDESC).uid == seen_;
        case CUDNN_POINTWISE_EXP:
        case CUDNN_POINTWISE_LOG:
        case CUDNN_POINTWISE_DIV:
            return true;
        case CUDNN_POINTWISE_IDENTITY:
            return add_step(x, y);
        default:
            return false;
    }
}

const Product* Reader::product_by(std::int64_t b) const noexcept {
    for (int i = 0; i < product_count_; ++i) {
        const Product& product = products_[static_cast<std::size_t>(i)];
        if (product.a.is_virtual && (product.b.uid == b || made_of(product.b.uid) == b)) return &product;
    }
    return nullptr;
}

GraphTensor Reader::result_of(const Product& product) const noexcept {
    GraphTensor result = product.c;
    for (int i = 0; i < step_count_; ++i)  // in the order in which the graph takes them
        if (steps_[static_cast<std::size_t>(i)].from == result.uid)
            result = steps_[static_cast<std::size_t>(i)].to;
    return result;
}

void Reader::add(GraphTensor tensor, DnnRole role, bool transposed) noexcept {
    if (transposed && tensor.tensor.rank == 4) {
        std::swap(tensor.tensor.size[2], tensor.tensor.size[3]);
        std::swap(tensor.tensor.stride[2], tensor.tensor.stride[3]);
    }
    add_tensor(plan_, tensor, role);
}

bool Reader::forward() {
    const Product &scores = products_[0], &result = products_[1];
    if (!in_memory(scores.a) || !in_memory(scores.b) || !result.a.is_virtual || !in_memory(result.b))
        return false;
    add(scores.a, DnnRole::q);
    add(scores.b, DnnRole::k, true);
    add(result.b, DnnRole::v);
    add(result.c, DnnRole::o);
    return read_factors(scores.c.uid);
}

bool Reader::backward() {
    const Product *scores = nullptr, *of_probabilities = nullptr;
    for (int i = 0; i < product_count_; ++i) {
        const Product& product = products_[static_cast<std::size_t>(i)];
        if (!in_memory(product.a) || !in_memory(product.b)) continue;
        const bool gradient = product.a.uid == left_.uid || product.a.uid == right_.uid;
        (gradient ? of_probabilities : scores) = &product;
    }
    if (scores == nullptr || of_probabilities == nullptr || left_.descriptor == nullptr) return false;
    const GraphTensor &q = scores->a, &k = scores->b, &d_o = of_probabilities->a, &v = of_probabilities->b;
    const Product *const dq = product_by(k.uid), *const dk = product_by(q.uid),
                         *const dv = product_by(d_o.uid);
    if (dq == nullptr || dk == nullptr || dv == nullptr) return false;
    add(q, DnnRole::q);
    add(k, DnnRole::k, true);
    add(v, DnnRole::v, true);
    add(d_o.uid == left_.uid ? right_ : left_, DnnRole::o);
    add(d_o, DnnRole::d_o);
    add(result_of(*dq), DnnRole::dq);
    add(result_of(*dk), DnnRole::dk);
    add(result_of(*dv), DnnRole::dv);
    return read_factors(scores->c.uid);
}

bool Reader::finish(bool backward) {
    if (stats_.descriptor != nullptr) add(stats_, DnnRole::stats);
    if (mask_.descriptor != nullptr) add(mask_, DnnRole::mask);
    return !backward || stats_.descriptor != nullptr;
}

}  // namespace

bool parse_attention_graph(const GraphOperations& operations, DnnPlan& plan) {
    DnnPlan attempt = plan;
    Reader reader(attempt);
    if (!reader.read(operations)) return false;
    const bool backward = reader.is_backward();
    attempt.call.operation = backward ? DnnOperation::attention_backward : DnnOperation::attention_forward;
    attempt.call.compute_type = DataType::f32;
    attempt.call.attention.decomposed = true;
    if (!(backward ? reader.backward() : reader.forward()) || !reader.finish(backward)) return false;
    plan = std::move(attempt);
    return true;
}

}  // namespace fumi::libraries
