// An operation graph as the arithmetic needs it, read from what the program set on its descriptors.
#pragma once
#include <cudnn.h>

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tools/softcuda/dnn/descriptor.h"

namespace softcuda::dnn {

struct Tensor {
    std::int64_t uid = 0;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    std::vector<std::int64_t> size, stride;  // in elements
    bool is_virtual = false;                 // lives within the graph alone
    bool by_value = false;  // its pointer is one of the host's, read when the plan is executed
    std::int64_t count() const noexcept {
        std::int64_t product = 1;
        for (const std::int64_t extent : size) product *= extent;
        return product;
    }
};

// Tensors are indices into Graph::tensors; -1 where an operation has none.
enum class Direction : std::uint8_t { forward, backward_data, backward_filter };
struct Convolution {
    Direction direction{};
    int x = -1, w = -1, y = -1;  // backward: x is dx, or w is dw, or y is dy
    std::vector<std::int64_t> stride, pre_padding, dilation;
    bool flipped = false;  // CUDNN_CONVOLUTION; else cross-correlation
    double alpha = 1, beta = 0;
    std::int64_t groups = 1;
};
struct Pointwise {
    cudnnPointwiseMode_t mode{};
    int x = -1, b = -1, t = -1, y = -1;  // of a backward mode: x is dy, b is x, y is dx
    double alpha1 = 1, alpha2 = 1;
    double lower_clip = 0, upper_clip = 0, lower_slope = 0, elu_alpha = 1, softplus_beta = 1, swish_beta = 1;
    std::int64_t axis = -1;
};
struct Matmul {
    int a = -1, b = -1, c = -1;
    int m_override = -1, n_override = -1, k_override = -1;
    double padding_value = 0;
};
struct Reduction {
    cudnnReduceTensorOp_t operation{};
    int x = -1, y = -1;
};
struct Reshape {
    int x = -1, y = -1;
};
struct Rng {
    cudnnRngDistribution_t distribution{};
    double probability = 0.5, minimum = 0, maximum = 1, mean = 0, deviation = 1;
    int y = -1, seed = -1, offset = -1;
    std::int64_t seed_value = 0;
};
struct Attention {
    int q = -1, k = -1, v = -1, o = -1, stats = -1, scale = -1, length_q = -1, length_kv = -1;
};
using Operation = std::variant<Convolution, Pointwise, Matmul, Reduction, Reshape, Rng, Attention>;

struct Graph {
    std::vector<Tensor> tensors;
    std::vector<Operation> operations;  // each after those whose results it reads
    bool in_double = false;             // fp64 arithmetic
    // convolution_forward, convolution_backward_data, convolution_backward_filter, attention_forward,
    // attention_backward, matmul, pointwise...: what the graph is for, as planted faults select it.
    std::string name;
};

// Which tensors an operation reads and which it writes; -1 among them where it has none.
struct Uses {
    std::vector<int> reads, writes;
};
Uses uses_of(const Operation& operation);

// Reads a graph's operations. CUDNN_STATUS_NOT_SUPPORTED, named once on stderr, where one of them is not
// among the above.
cudnnStatus_t read_graph(const Descriptor& descriptor, Graph& graph);

}  // namespace softcuda::dnn
