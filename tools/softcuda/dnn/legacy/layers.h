// Pooling, softmax, activations and element by element operations. All pointers are the program's own; every
// output is alpha * result + beta * what it held before.
#pragma once
#include <cudnn.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tools/softcuda/dnn/legacy/reduce.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

// A tensor and its data.
struct Operand {
    Tensor tensor;
    const void* data = nullptr;
};
struct Result {
    Tensor tensor;
    void* data = nullptr;
    double alpha = 1, beta = 0;
};

enum class PoolMode : std::uint8_t { max, average_with_padding, average_without_padding };
struct Pool {
    PoolMode mode = PoolMode::max;
    bool propagates_nan = true;
    int spatial = 2;
    std::array<std::int64_t, 3> window{1, 1, 1}, padding{}, stride{1, 1, 1};
    Operand x, dy;  // dy: backward only
    Result out;     // y, or dx
};
void run_forward(const Pool& pool, Deviation& deviation);
void run_backward(const Pool& pool, Deviation& deviation);  // a maximum's gradient goes to its first element

struct Softmax {
    cudnnSoftmaxAlgorithm_t algorithm = CUDNN_SOFTMAX_ACCURATE;
    bool whole_instance = false;  // over C and all positions, not over C at each position
    Operand x;                    // forward: x; backward: y
    Operand dy;                   // backward only
    Result out;
};
void run_forward(const Softmax& softmax, Deviation& deviation);
void run_backward(const Softmax& softmax, Deviation& deviation);

struct Activation {
    cudnnActivationMode_t mode = CUDNN_ACTIVATION_RELU;
    bool propagates_nan = true;
    double coefficient = 0;  // ceiling, alpha of ELU, beta of swish
    Operand x, y, dy;        // y and dy: backward only
    Result out;
};
void run_forward(const Activation& activation, Deviation& deviation);
void run_backward(const Activation& activation, Deviation& deviation);

// out = op(alpha_a a, alpha_b b); sizes of 1 in a and b are repeated.
struct Elementwise {
    enum class Op : std::uint8_t {
        set,
        copy,
        add,
        multiply,
        minimum,
        maximum,
        root,
        one_minus
    } op = Op::copy;
    double value = 0;  // of set
    double alpha_a = 1, alpha_b = 1;
    Operand a, b;
    Result out;
};
void run(const Elementwise& elementwise, Deviation& deviation);

}  // namespace softcuda::dnn::legacy
