// Pointwise operations, reductions, reshapes and random numbers.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/softcuda/dnn/run.h"

namespace softcuda::dnn {
namespace {

// An operand of a pointwise operation, read at each place of the result: dimensions of 1 are repeated.
template <class T>
struct Repeated {
    const T* data = nullptr;
    std::vector<std::int64_t> stride;  // 0 where the operand is repeated
};

template <class T>
Repeated<T> repeated(const blas::Buffer<T>& values, const std::vector<std::int64_t>& own,
                     const std::vector<std::int64_t>& result) {
    const auto dense = dense_strides(own);
    Repeated<T> operand{values.data(), std::vector<std::int64_t>(result.size(), 0)};
    const std::size_t shift = result.size() - std::min(own.size(), result.size());
    for (std::size_t d = shift; d < result.size(); ++d)
        if (own[d - shift] == result[d]) operand.stride[d] = result[d] == 1 ? 0 : dense[d - shift];
    return operand;
}

template <class T>
T sigmoid(T x) noexcept {
    return T{1} / (T{1} + std::exp(-x));
}
template <class T>
T normal_cdf(T x) noexcept {
    return T(0.5) * (T{1} + std::erf(x * T(std::numbers::sqrt2 / 2)));
}
template <class T>
T normal_density(T x) noexcept {
    return std::exp(T(-0.5) * x * x) * T(0.5 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
}
template <class T>
T gelu_tanh_inner(T x) noexcept {
    return std::tanh(T(std::numbers::sqrt2 * std::numbers::inv_sqrtpi) * (x + T(0.044715) * x * x * x));
}

template <class T>
struct Parameters {
    T alpha1, alpha2, lower, upper, slope, elu, softplus, swish;
};

template <class T>
Parameters<T> parameters_of(const Pointwise& op) {
    const double most = static_cast<double>(std::numeric_limits<T>::max());
    const auto clip = [most](double x) { return static_cast<T>(std::clamp(x, -most, most)); };
    return {static_cast<T>(op.alpha1),
            static_cast<T>(op.alpha2),
            clip(op.lower_clip),
            clip(op.upper_clip),
            static_cast<T>(op.lower_slope),
            static_cast<T>(op.elu_alpha),
            static_cast<T>(op.softplus_beta),
            static_cast<T>(op.swish_beta)};
}

template <class T>
T truth(bool x) noexcept {
    return x ? T{1} : T{0};
}

// Modes with two operands. x and b come scaled. NaN goes through max and min, as through clips.
template <class T>
bool arithmetic(cudnnPointwiseMode_t mode, T x, T b, T& y) noexcept {
    switch (mode) {
        // clang-format off
        case CUDNN_POINTWISE_ADD: y = x + b; return true;
        case CUDNN_POINTWISE_ADD_SQUARE: y = x + b * b; return true;
        case CUDNN_POINTWISE_DIV: y = x / b; return true;
        case CUDNN_POINTWISE_MAX: y = x > b || std::isnan(x) ? x : b; return true;
        case CUDNN_POINTWISE_MIN: y = x < b || std::isnan(x) ? x : b; return true;
        case CUDNN_POINTWISE_MOD: y = std::fmod(x, b); return true;
        case CUDNN_POINTWISE_MUL: y = x * b; return true;
        case CUDNN_POINTWISE_POW: y = std::pow(x, b); return true;
        case CUDNN_POINTWISE_SUB: y = x - b; return true;
        case CUDNN_POINTWISE_ATAN2: y = std::atan2(x, b); return true;
        case CUDNN_POINTWISE_CMP_EQ: y = truth<T>(x == b); return true;
        case CUDNN_POINTWISE_CMP_NEQ: y = truth<T>(x != b); return true;
        case CUDNN_POINTWISE_CMP_GT: y = truth<T>(x > b); return true;
        case CUDNN_POINTWISE_CMP_GE: y = truth<T>(x >= b); return true;
        case CUDNN_POINTWISE_CMP_LT: y = truth<T>(x < b); return true;
        case CUDNN_POINTWISE_CMP_LE: y = truth<T>(x <= b); return true;
        case CUDNN_POINTWISE_LOGICAL_AND: y = truth<T>(x != 0 && b != 0); return true;
        case CUDNN_POINTWISE_LOGICAL_OR: y = truth<T>(x != 0 || b != 0); return true;
        default: return false;
            // clang-format on
    }
}

template <class T>
bool function(cudnnPointwiseMode_t mode, T x, T& y) noexcept {
    switch (mode) {
        // clang-format off
        case CUDNN_POINTWISE_ABS: y = std::fabs(x); return true;
        case CUDNN_POINTWISE_CEIL: y = std::ceil(x); return true;
        case CUDNN_POINTWISE_COS: y = std::cos(x); return true;
        case CUDNN_POINTWISE_EXP: y = std::exp(x); return true;
        case CUDNN_POINTWISE_FLOOR: y = std::floor(x); return true;
        case CUDNN_POINTWISE_LOG: y = std::log(x); return true;
        case CUDNN_POINTWISE_NEG: y = -x; return true;
        case CUDNN_POINTWISE_RSQRT: y = T{1} / std::sqrt(x); return true;
        case CUDNN_POINTWISE_SIN: y = std::sin(x); return true;
        case CUDNN_POINTWISE_SQRT: y = std::sqrt(x); return true;
        case CUDNN_POINTWISE_TAN: y = std::tan(x); return true;
        case CUDNN_POINTWISE_ERF: y = std::erf(x); return true;
        case CUDNN_POINTWISE_IDENTITY: y = x; return true;
        case CUDNN_POINTWISE_RECIPROCAL: y = T{1} / x; return true;
        case CUDNN_POINTWISE_LOGICAL_NOT: y = truth<T>(x == 0); return true;
        default: return false;
            // clang-format on
    }
}

template <class T>
bool activation(cudnnPointwiseMode_t mode, T x, const Parameters<T>& p, T& y) noexcept {
    switch (mode) {
        // clang-format off
        case CUDNN_POINTWISE_RELU_FWD:
            y = x > p.upper ? p.upper : x < p.lower ? p.lower + p.slope * (x - p.lower) : x; return true;
        case CUDNN_POINTWISE_TANH_FWD: y = std::tanh(x); return true;
        case CUDNN_POINTWISE_SIGMOID_FWD: y = sigmoid(x); return true;
        case CUDNN_POINTWISE_ELU_FWD: y = x > 0 ? x : p.elu * std::expm1(x); return true;
        case CUDNN_POINTWISE_GELU_FWD: y = x * normal_cdf(x); return true;
        case CUDNN_POINTWISE_SOFTPLUS_FWD: y = std::log1p(std::exp(p.softplus * x)) / p.softplus; return true;
        case CUDNN_POINTWISE_SWISH_FWD: y = x * sigmoid(p.swish * x); return true;
        case CUDNN_POINTWISE_GELU_APPROX_TANH_FWD: y = T(0.5) * x * (T{1} + gelu_tanh_inner(x)); return true;
        default: return false;
            // clang-format on
    }
}

// d/dx of an activation.
template <class T>
bool derivative(cudnnPointwiseMode_t mode, T x, const Parameters<T>& p, T& y) noexcept {
    switch (mode) {
        // clang-format off
        case CUDNN_POINTWISE_RELU_BWD: y = x > p.upper ? T{0} : x > p.lower ? T{1} : p.slope; return true;
        case CUDNN_POINTWISE_TANH_BWD: y = T{1} - std::tanh(x) * std::tanh(x); return true;
        case CUDNN_POINTWISE_SIGMOID_BWD: y = sigmoid(x) * (T{1} - sigmoid(x)); return true;
        case CUDNN_POINTWISE_ELU_BWD: y = x > 0 ? T{1} : p.elu * std::exp(x); return true;
        case CUDNN_POINTWISE_GELU_BWD: y = normal_cdf(x) + x * normal_density(x); return true;
        case CUDNN_POINTWISE_SOFTPLUS_BWD: y = sigmoid(p.softplus * x); return true;
        case CUDNN_POINTWISE_SWISH_BWD: {
            const T s = sigmoid(p.swish * x);
            y = s + p.swish * x * s * (T{1} - s);
            return true;
        }
        case CUDNN_POINTWISE_GELU_APPROX_TANH_BWD: {
            const T t = gelu_tanh_inner(x);
            const T inner = T(std::numbers::sqrt2 * std::numbers::inv_sqrtpi) * (T{1} + T(3 * 0.044715) * x * x);
            y = T(0.5) * (T{1} + t) + T(0.5) * x * (T{1} - t * t) * inner;
            return true;
        }
        default: return false;
            // clang-format on
    }
}

template <class T>
T evaluate(const Pointwise& op, const Parameters<T>& p, T x, T b, T t) noexcept {
    T y{};
    if (op.mode == CUDNN_POINTWISE_BINARY_SELECT) return t != 0 ? x : b;
    // An operand scaled by nothing counts for nothing, whatever lies there.
    const T scaled = p.alpha2 == 0 ? T{} : b * p.alpha2;
    if (arithmetic(op.mode, x * p.alpha1, scaled, y) || function(op.mode, x * p.alpha1, y) ||
        activation(op.mode, x, p, y))
        return y;
    derivative(op.mode, b, p, y);
    return x * y;
}

// Which places of a result one channel's bias reaches.
std::int64_t channel_of(std::int64_t index, const std::vector<std::int64_t>& size) noexcept {
    std::int64_t inner = 1;
    for (std::size_t d = 2; d < size.size(); ++d) inner *= size[d];
    return size.size() < 2 ? 0 : index / inner % size[1];
}

// A reshape gives the same memory other dimensions: where the last two change places and so do their strides,
// that is a transpose.
bool is_transpose(const Tensor& x, const Tensor& y) noexcept {
    const std::size_t rank = x.size.size();
    if (rank < 2 || y.size.size() != rank) return false;
    if (!std::equal(x.size.begin(), x.size.end() - 2, y.size.begin())) return false;
    if (x.size[rank - 1] != y.size[rank - 2] || x.size[rank - 2] != y.size[rank - 1]) return false;
    return (x.stride[rank - 2] < x.stride[rank - 1]) != (y.stride[rank - 2] < y.stride[rank - 1]);
}

bool is_bias(const Tensor& tensor) noexcept {
    return !tensor.is_virtual && tensor.size.size() > 2 && tensor.size[1] > 1 &&
           tensor.count() == tensor.size[1];
}

}  // namespace

// A row of results without its bias: the fault's channel is the one whose bias is largest.
template <class T>
void Run<T>::drop_bias(const Pointwise& op, blas::Buffer<T>& result) {
    if (sabotage_ == nullptr || sabotage_->plan->kind != faults::Kind::drop_bias_row || sabotage_->decided ||
        op.mode != CUDNN_POINTWISE_ADD || !is_bias(tensor(op.b)))
        return;
    const auto& bias = read(op.b);
    const auto& x = read(op.x);
    const T* end = bias.data() + bias.size();
    const T* largest =
        std::max_element(bias.data(), end, [](T p, T q) { return std::fabs(p) < std::fabs(q); });
    sabotage_->decided = true;
    sabotage_->where.row = sabotage_->bias_channel = largest - bias.data();
    for (std::int64_t i = 0; i < result.size(); ++i)
        if (channel_of(i, tensor(op.y).size) == sabotage_->bias_channel)
            result[i] = x[i] * static_cast<T>(op.alpha1);
}

template <class T>
void Run<T>::operator()(const Pointwise& op) {
    const Tensor& y = tensor(op.y);
    const auto stride_along = [&](std::int64_t axis) {
        return dense_strides(y.size)[static_cast<std::size_t>(axis)];
    };
    if (op.mode == CUDNN_POINTWISE_GEN_INDEX) {
        const std::int64_t step = stride_along(op.axis), extent = y.size[static_cast<std::size_t>(op.axis)];
        auto& result = create(op.y);
        for (std::int64_t i = 0; i < result.size(); ++i) result[i] = static_cast<T>(i / step % extent);
        return finish(op.y);
    }
    const auto operand = [&](int index) {
        return index < 0 ? Repeated<T>{} : repeated<T>(read(index), tensor(index).size, y.size);
    };
    const auto x = operand(op.x), b = operand(op.b), t = operand(op.t);
    blas::Buffer<T> result(y.count());
    const Parameters<T> parameters = parameters_of<T>(op);
    const std::size_t rank = y.size.size();
    std::vector<std::int64_t> at(rank, 0);
    const auto place = [&](const Repeated<T>& from) {
        std::int64_t offset = 0;
        for (std::size_t d = 0; d + 1 < rank; ++d) offset += at[d] * from.stride[d];
        return offset;
    };
    const auto pick = [](const Repeated<T>& from, std::int64_t offset, std::int64_t i) {
        return from.data == nullptr ? T{} : from.data[offset + i * from.stride.back()];
    };
    const std::int64_t length = y.size.back();
    for (std::int64_t run = 0; run < result.size(); run += length) {
        const std::int64_t px = x.data ? place(x) : 0, pb = b.data ? place(b) : 0, pt = t.data ? place(t) : 0;
        for (std::int64_t i = 0; i < length; ++i)
            result[run + i] = evaluate(op, parameters, pick(x, px, i), pick(b, pb, i), pick(t, pt, i));
        for (std::size_t d = rank - 1; d-- > 0;) {
            if (++at[d] < y.size[d]) break;
            at[d] = 0;
        }
    }
    if (op.b >= 0) drop_bias(op, result);
    create(op.y) = std::move(result);
    finish(op.y);
}

template <class T>
void Run<T>::operator()(const Reduction& op) {
    const auto& from = tensor(op.x).size;
    const auto& to = tensor(op.y).size;
    const auto& x = read(op.x);
    const auto target = dense_strides(to);
    const std::int64_t count = tensor(op.y).count();
    std::vector<double> sums(static_cast<std::size_t>(count));
    std::vector<bool> seen(static_cast<std::size_t>(count), false);
    std::vector<std::int64_t> at(from.size(), 0);
    for (std::int64_t i = 0; i < x.size(); ++i) {
        std::int64_t place = 0;
        for (std::size_t d = 0; d < from.size(); ++d)
            place += at[d] / (from[d] / to[d]) * target[d];  // neighbours go together: heads that share a key
        const auto value = static_cast<double>(x[i]);
        double& sum = sums[static_cast<std::size_t>(place)];
        const bool first = !seen[static_cast<std::size_t>(place)];
        seen[static_cast<std::size_t>(place)] = true;
        switch (op.operation) {
            // clang-format off
            case CUDNN_REDUCE_TENSOR_MUL: sum = first ? value : sum * value; break;
            case CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS:
                sum = first ? (value == 0 ? 1 : value) : (value == 0 ? sum : sum * value); break;
            case CUDNN_REDUCE_TENSOR_MIN: sum = first || value < sum || std::isnan(value) ? value : sum; break;
            case CUDNN_REDUCE_TENSOR_MAX: sum = first || value > sum || std::isnan(value) ? value : sum; break;
            case CUDNN_REDUCE_TENSOR_AMAX: sum = std::fmax(sum, std::fabs(value)); break;
            case CUDNN_REDUCE_TENSOR_NORM1: sum += std::fabs(value); break;
            case CUDNN_REDUCE_TENSOR_NORM2: sum += value * value; break;
            default: sum += value; break;
                // clang-format on
        }
        for (std::size_t d = from.size(); d-- > 0;) {
            if (++at[d] < from[d]) break;
            at[d] = 0;
        }
    }
    auto& result = create(op.y);
    const double share =
        count == 0 ? 1
                   : static_cast<double>(count) / static_cast<double>(std::max<std::int64_t>(1, x.size()));
    for (std::int64_t i = 0; i < count; ++i) {
        double sum = sums[static_cast<std::size_t>(i)];
        if (op.operation == CUDNN_REDUCE_TENSOR_AVG) sum *= share;
        if (op.operation == CUDNN_REDUCE_TENSOR_NORM2) sum = std::sqrt(sum);
        result[i] = static_cast<T>(sum);
    }
    finish(op.y);
}

template <class T>
void Run<T>::operator()(const Reshape& op) {
    const auto& x = read(op.x);
    auto& result = create(op.y);
    if (!is_transpose(tensor(op.x), tensor(op.y))) {
        std::copy_n(x.data(), std::min(x.size(), result.size()), result.data());
        return finish(op.y);
    }
    const auto& size = tensor(op.x).size;
    const std::int64_t columns = size.back(), rows = size[size.size() - 2];
    for (std::int64_t first = 0; first < x.size(); first += rows * columns)
        for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < columns; ++j)
                result[first + j * rows + i] = x[first + i * columns + j];
    finish(op.y);
}

// splitmix64 of seed, offset and place: the same numbers forward and backward.
template <class T>
void Run<T>::operator()(const Rng& op) {
    const auto whole = [&](int index, std::int64_t otherwise) {
        if (index < 0) return static_cast<std::uint64_t>(otherwise);
        std::int64_t value = 0;
        const auto at = static_cast<std::size_t>(index);
        const void* data =
            tensor(index).by_value ? call_.host_values[at].data() : host_view(call_.pointers[at]);
        std::memcpy(&value, data,
                    static_cast<std::size_t>(std::min<std::int64_t>(8, element_size(tensor(index).type))));
        return static_cast<std::uint64_t>(value);
    };
    const std::uint64_t seed = whole(op.seed, op.seed_value) * 0x9e3779b97f4a7c15u + whole(op.offset, 0);
    auto& result = create(op.y);
    for (std::int64_t i = 0; i < result.size(); ++i) {
        std::uint64_t z = seed + static_cast<std::uint64_t>(i + 1) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        const double uniform = static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
        result[i] = op.distribution == CUDNN_RNG_DISTRIBUTION_BERNOULLI
                        ? truth<T>(uniform < op.probability)
                        : static_cast<T>(op.minimum + uniform * (op.maximum - op.minimum));
    }
    finish(op.y);
}

template void Run<float>::operator()(const Pointwise&);
template void Run<double>::operator()(const Pointwise&);
template void Run<float>::operator()(const Reduction&);
template void Run<double>::operator()(const Reduction&);
template void Run<float>::operator()(const Reshape&);
template void Run<double>::operator()(const Reshape&);
template void Run<float>::operator()(const Rng&);
template void Run<double>::operator()(const Rng&);

}  // namespace softcuda::dnn
