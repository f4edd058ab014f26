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

}  // namespace fumi
