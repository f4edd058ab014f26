#include <cmath>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/layers.h"
#include "tools/softcuda/dnn/legacy/positions.h"

namespace softcuda::dnn::legacy {
namespace {

template <class T>
T sigmoid(T x) noexcept {
    return 1 / (1 + std::exp(-x));
}

template <class T>
T activated(const Activation& activation, T x) noexcept {
    const T coefficient = static_cast<T>(activation.coefficient);
    switch (activation.mode) {
        case CUDNN_ACTIVATION_SIGMOID:
            return sigmoid(x);
        case CUDNN_ACTIVATION_RELU:
        case CUDNN_ACTIVATION_CLIPPED_RELU:
            if (std::isnan(x)) return activation.propagates_nan ? x : T{};
            x = x > 0 ? x : T{};
            return activation.mode == CUDNN_ACTIVATION_CLIPPED_RELU ? std::min(x, coefficient) : x;
        case CUDNN_ACTIVATION_TANH:
            return std::tanh(x);
        case CUDNN_ACTIVATION_ELU:
            return x > 0 ? x : coefficient * std::expm1(x);
        case CUDNN_ACTIVATION_SWISH:
            return x * sigmoid(coefficient * x);
        default:
            return x;
    }
}

// d activated(x) / dx, from x and y = activated(x).
template <class T>
T slope(const Activation& activation, T x, T y) noexcept {
    const T coefficient = static_cast<T>(activation.coefficient);
    switch (activation.mode) {
        case CUDNN_ACTIVATION_SIGMOID:
            return y * (1 - y);
        case CUDNN_ACTIVATION_RELU:
            return x > 0 ? T{1} : T{};
        case CUDNN_ACTIVATION_CLIPPED_RELU:
            return x > 0 && x <= coefficient ? T{1} : T{};
        case CUDNN_ACTIVATION_TANH:
            return 1 - y * y;
        case CUDNN_ACTIVATION_ELU:
            return x > 0 ? T{1} : y + coefficient;
        case CUDNN_ACTIVATION_SWISH: {
            const T gate = sigmoid(coefficient * x);
            return gate + coefficient * x * gate * (1 - gate);
        }
        default:
            return T{1};
    }
}

template <class T>
T combined(const Elementwise& operation, T a, T b) noexcept {
    using Op = Elementwise::Op;
    switch (operation.op) {
        case Op::set:
            return static_cast<T>(operation.value);
        case Op::add:
            return a + b;
        case Op::multiply:
            return a * b;
        case Op::minimum:
            return std::fmin(a, b);
        case Op::maximum:
            return std::fmax(a, b);
        case Op::root:
            return std::sqrt(a);
        case Op::one_minus:
            return 1 - a;
        default:
            return a;
    }
}

template <class E, class T>
void combine(const Elementwise& operation, const Deviation& deviation) {
    const auto* a = static_cast<const E*>(view(operation.a.data));
    const auto* b = static_cast<const E*>(view(operation.b.data));
    auto* out = static_cast<E*>(view(operation.out.data));
    const auto input = [&](const E* data, std::int64_t place, double scale) {
        return data == nullptr ? T{}
                               : static_cast<T>(scale) * as_input(blas::widened<T>(data[place]), deviation);
    };
    each_element<3>(operation.out.tensor, {operation.a.tensor, operation.b.tensor, operation.out.tensor},
                    [&](const auto& places) {
                        const T value = combined(operation, input(a, places[0], operation.alpha_a),
                                                 input(b, places[1], operation.alpha_b));
                        blend(out[places[2]], value, static_cast<T>(operation.out.alpha),
                              static_cast<T>(operation.out.beta));
                    });
}

}  // namespace

void run_forward(const Activation& activation, Deviation& deviation) {
    visit_real(activation.x.tensor.type, [&](auto stored, auto value) {
        using E = decltype(stored);
        using T = decltype(value);
        const auto* x = static_cast<const E*>(view(activation.x.data));
        auto* y = static_cast<E*>(view(activation.out.data));
        each_element<2>(activation.x.tensor, {activation.x.tensor, activation.out.tensor},
                        [&](const auto& places) {
                            blend(y[places[1]],
                                  activated(activation, as_input(blas::widened<T>(x[places[0]]), deviation)),
                                  static_cast<T>(activation.out.alpha), static_cast<T>(activation.out.beta));
                        });
    });
}

void run_backward(const Activation& activation, Deviation& deviation) {
    visit_real(activation.x.tensor.type, [&](auto stored, auto value) {
        using E = decltype(stored);
        using T = decltype(value);
        const auto* x = static_cast<const E*>(view(activation.x.data));
        const auto* y = static_cast<const E*>(view(activation.y.data));
        const auto* dy = static_cast<const E*>(view(activation.dy.data));
        auto* dx = static_cast<E*>(view(activation.out.data));
        each_element<4>(
            activation.x.tensor,
            {activation.x.tensor, activation.y.tensor, activation.dy.tensor, activation.out.tensor},
            [&](const auto& places) {
                const T gradient = as_input(blas::widened<T>(dy[places[2]]), deviation);
                blend(dx[places[3]],
                      gradient *
                          slope(activation, blas::widened<T>(x[places[0]]), blas::widened<T>(y[places[1]])),
                      static_cast<T>(activation.out.alpha), static_cast<T>(activation.out.beta));
            });
    });
}

void run(const Elementwise& elementwise, Deviation& deviation) {
    visit_real(elementwise.out.tensor.type, [&](auto stored, auto value) {
        combine<decltype(stored), decltype(value)>(elementwise, deviation);
    });
}

}  // namespace softcuda::dnn::legacy
