#include <fmt/format.h>

#include "kernels/dnn_check.h"

namespace fumi {
namespace {

// "dx[3, 0, 5, 7]": the element `index` of a tensor, counted with the last dimension fastest.
std::string element_of(const char* tensor, const TensorView& view, std::int64_t index) {
    std::int64_t at[kMostDims] = {};
    for (int d = view.rank - 1; d >= 0; --d) {
        const std::int64_t size = view.size[d] > 0 ? view.size[d] : 1;
        at[d] = index % size;
        index /= size;
    }
    std::string name = std::string(tensor) + "[";
    for (int d = 0; d < view.rank; ++d) name += (d > 0 ? ", " : "") + std::to_string(at[d]);
    return name + "]";
}

// "dscale[7]"
std::string vector_element(const char* name, std::int64_t index) {
    return std::string(name) + "[" + std::to_string(index) + "]";
}

// Which output the worst element is of, and which element (kernels/device/dnn/tracked.h).
struct Place {
    int output;
    std::int64_t element;
};
Place place_of(const ErrorStats& stats) {
    if (stats.worst_index < 0) return {0, 0};
    return {static_cast<int>(stats.worst_index >> 48), stats.worst_index & ((std::int64_t{1} << 48) - 1)};
}

}  // namespace

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const ConvProblem& problem) {
    const bool forward = problem.direction == ConvDirection::forward;
    const bool data = problem.direction == ConvDirection::backward_data;
    const TensorView& output = forward ? problem.y : (data ? problem.x : problem.w);
    const char* name = forward ? "y" : (data ? "dx" : "dw");
    const std::string where =
        stats.worst_index < 0 ? "an element" : element_of(name, output, stats.worst_index);
    return assess(stats, contract.base, where);
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const BatchNormProblem& problem) {
    static constexpr const char* names[] = {
        "y", "saved mean", "saved 1/std", "running mean", "running variance", "dx", "dz", "dscale", "dbias"};
    const Place worst = place_of(stats);
    const bool tensor = worst.output == 0 || worst.output == 5 || worst.output == 6;
    return assess(stats, contract.base,
                  tensor
                      ? element_of(names[worst.output], problem.x, worst.element)
                      : vector_element(worst.output < 9 ? names[worst.output] : "an element", worst.element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const SoftmaxProblem& problem) {
    const bool backward = problem.backward != 0;
    return assess(
        stats, contract.base,
        element_of(backward ? "dx" : "y", backward ? problem.dx : problem.y, place_of(stats).element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const PoolProblem& problem) {
    const bool backward = problem.backward != 0;
    return assess(
        stats, contract.base,
        element_of(backward ? "dx" : "y", backward ? problem.dx : problem.y, place_of(stats).element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const AttentionProblem& problem) {
    static constexpr const char* names[] = {"o", "log-sum-exp", "dq", "dk", "dv"};
    const TensorView* views[] = {&problem.o, &problem.stats, &problem.dq, &problem.dk, &problem.dv};
    const Place worst = place_of(stats);
    return assess(stats, contract.base, element_of(names[worst.output], *views[worst.output], worst.element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const RnnProblem& problem) {
    static constexpr const char* names[] = {
        "y", "hy", "cy", "dx", "dhx", "dcx", "the weight space's gradient"};
    const Place worst = place_of(stats);
    if (stats.elements == 0 && stats.nonfinite_reference == 0 && problem.direction != RnnDirection::forward) {
        Assessment none = assess(stats, contract.base, "");
        none.reason =
            "no element was compared: y is not what this network computes from its x, so that its "
            "forward call is at fault, and what its gradients would be is not visible";
        return none;
    }
    if (worst.output == 6) return assess(stats, contract.base, vector_element(names[6], worst.element));
    const std::int64_t state = problem.projection > 0 ? problem.projection : problem.hidden;
    const std::int64_t lines = std::int64_t{problem.layers} * problem.directions;
    TensorView view;  // step, batch entry, feature; or layer and direction, batch entry, unit
    view.rank = 3;
    view.size[0] = worst.output == 0 || worst.output == 3 ? problem.steps : lines;
    view.size[1] = problem.batch;
    view.size[2] = state;
    if (worst.output == 0) view.size[2] = state * problem.directions;
    if (worst.output == 2 || worst.output == 5) view.size[2] = problem.hidden;
    if (worst.output == 3) view.size[2] = problem.input;
    return assess(stats, contract.base, element_of(names[worst.output], view, worst.element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const CtcProblem& problem) {
    const Place worst = place_of(stats);
    if (worst.output == 0) return assess(stats, contract.base, vector_element("loss", worst.element));
    TensorView view;
    view.rank = 3;
    view.size[0] = problem.steps;
    view.size[1] = problem.batch;
    view.size[2] = problem.classes;
    return assess(stats, contract.base, element_of("gradient", view, worst.element));
}

Assessment assess(const ErrorStats& stats, const DnnContract& contract, const GridSampleProblem& problem) {
    static constexpr const char* names[] = {"y", "dgrid", "dx"};
    const TensorView* views[] = {&problem.y, &problem.dgrid, &problem.dx};
    const Place worst = place_of(stats);
    return assess(stats, contract.base, element_of(names[worst.output], *views[worst.output], worst.element));
}

}  // namespace fumi
