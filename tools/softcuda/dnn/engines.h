// The engines that this device has for a graph.
#pragma once
#include <cudnn.h>

#include <string>
#include <vector>

#include "tools/softcuda/dnn/graph.h"

namespace softcuda::dnn {

enum class Algorithm : std::uint8_t {
    tensor_cores,  // the products on tensor cores, where the numerics have them
    plain,         // fp32 or fp64 multiply-add
    split_k,       // plain, the sum in parts that are added afterwards in any order (backward filter)
};

struct Engine {
    std::int64_t index = 0;
    Algorithm algorithm = Algorithm::plain;
    std::vector<cudnnBackendNumericalNote_t> notes;
    std::int64_t workspace = 0;  // bytes
};

// The fastest first, as a heuristic would name them.
std::vector<Engine> engines_for(const Graph& graph);

// What a launch of the graph by that engine is announced as.
std::string kernel_name(const Graph& graph, const Engine& engine);

constexpr std::int64_t split_parts = 4;

}  // namespace softcuda::dnn
