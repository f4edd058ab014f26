#include <cmath>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/layers.h"
#include "tools/softcuda/dnn/legacy/positions.h"

namespace softcuda::dnn::legacy {
namespace {

// Where the elements of one softmax lie, of all of them: groups of places in a tensor.
std::vector<std::vector<std::int64_t>> groups_of(const Tensor& tensor, bool whole_instance) {
    std::vector<std::vector<std::int64_t>> groups;
    Tensor outer = tensor, inner = tensor;
    for (int i = 0; i < tensor.rank; ++i) {
        const bool within = i == 1 || (whole_instance && i > 1);
        (within ? outer : inner).size[i] = 1;
    }
    each_element<1>(outer, {tensor}, [&](const auto& start) {
        std::vector<std::int64_t> group;
        each_element<1>(inner, {tensor}, [&](const auto& place) { group.push_back(start[0] + place[0]); });
        groups.push_back(std::move(group));
    });
    return groups;
}

template <class E, class T>
std::vector<T> gather(const Operand& operand, const std::vector<std::int64_t>& places,
                      const Deviation& deviation) {
    const auto* data = static_cast<const E*>(view(operand.data));
    std::vector<T> values;
    values.reserve(places.size());
    for (const std::int64_t place : places)
        values.push_back(as_input(blas::widened<T>(data[place]), deviation));
    return values;
}

template <class E, class T>
void scatter(const Result& out, const std::vector<std::int64_t>& places, const std::vector<T>& values) {
    auto* data = static_cast<E*>(view(out.data));
    for (std::size_t i = 0; i < places.size(); ++i)
        blend(data[places[i]], values[i], static_cast<T>(out.alpha), static_cast<T>(out.beta));
}

void choose(Deviation& deviation, std::size_t count) {
    if (!deviation.is(faults::Kind::drop_k)) return;
    deviation.where.k =
        deviation.plan->k.value_or(faults::Random(*deviation.plan).below(static_cast<std::int64_t>(count)));
}

template <class E, class T>
void forward(const Softmax& softmax, Deviation& deviation) {
    const auto from = groups_of(softmax.x.tensor, softmax.whole_instance);
    const auto to = groups_of(softmax.out.tensor, softmax.whole_instance);
    choose(deviation, from.front().size());
    for (std::size_t group = 0; group < from.size(); ++group) {
        std::vector<T> x = gather<E, T>(softmax.x, from[group], deviation);
        const T largest =
            softmax.algorithm == CUDNN_SOFTMAX_FAST ? T{} : *std::max_element(x.begin(), x.end());
        const T total = sum<T>(
            static_cast<std::int64_t>(x.size()), [&](std::int64_t i) { return std::exp(x[i] - largest); },
            deviation);
        for (T& value : x)
            value = softmax.algorithm == CUDNN_SOFTMAX_LOG ? value - largest - std::log(total)
                                                           : std::exp(value - largest) / total;
        scatter<E>(softmax.out, to[group], x);
    }
}

template <class E, class T>
void backward(const Softmax& softmax, Deviation& deviation) {
    const auto of_y = groups_of(softmax.x.tensor, softmax.whole_instance);
    const auto of_dy = groups_of(softmax.dy.tensor, softmax.whole_instance);
    const auto to = groups_of(softmax.out.tensor, softmax.whole_instance);
    choose(deviation, of_y.front().size());
    const bool logarithm = softmax.algorithm == CUDNN_SOFTMAX_LOG;
    for (std::size_t group = 0; group < of_y.size(); ++group) {
        const std::vector<T> y = gather<E, T>(softmax.x, of_y[group], deviation);
        std::vector<T> dy = gather<E, T>(softmax.dy, of_dy[group], deviation);
        const T total = sum<T>(
            static_cast<std::int64_t>(y.size()),
            [&](std::int64_t i) { return logarithm ? dy[i] : dy[i] * y[i]; }, deviation);
        for (std::size_t i = 0; i < y.size(); ++i)
            dy[i] = logarithm ? dy[i] - std::exp(y[i]) * total : y[i] * (dy[i] - total);
        scatter<E>(softmax.out, to[group], dy);
    }
}

}  // namespace

void run_forward(const Softmax& softmax, Deviation& deviation) {
    visit_real(softmax.x.tensor.type, [&](auto stored, auto value) {
        forward<decltype(stored), decltype(value)>(softmax, deviation);
    });
}
void run_backward(const Softmax& softmax, Deviation& deviation) {
    visit_real(softmax.x.tensor.type, [&](auto stored, auto value) {
        backward<decltype(stored), decltype(value)>(softmax, deviation);
    });
}

}  // namespace softcuda::dnn::legacy
