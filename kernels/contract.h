// The contract of a library call: the precision that its compute type, math mode, operand types and device
// promise, as the numbers of the bound B (docs/numerics.md, section 1). Host code; BoundNumbers alone travels
// to the device.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/gemm_problem.h"

namespace fumi {

struct Calibration;

// What is known of a call. compute_type has the numeric values of cublasComputeType_t.
struct CallFacts {
    int compute_type = 68;      // CUBLAS_COMPUTE_32F
    bool tf32_allowed = false;  // math mode CUBLAS_TF32_TENSOR_OP_MATH, or compute type 32F_FAST_TF32
    bool reduced_precision_reduction =
        false;        // math mode lacks CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
    int split_k = 0;  // partial sums that the algorithm stores, where known; 0 unknown, 1 none
    DataType a = DataType::f32, b = DataType::f32, output = DataType::f32;
    int capability = 90;  // 10 * major + minor of the device; 0 unknown: the loosest constants
    const Calibration* calibration = nullptr;  // measured constants, in place of the table's
    bool ieee = false;  // no tensor cores: sums round to nearest (the software device's default)
};

// The numbers of B that the device needs. Everything is dimensionless and counts in units of the roundoff
// named.
struct BoundNumbers {
    double u = 0x1p-24;      // the unit roundoff in which eta and the bound are reported
    double u_acc = 0x1p-24;  // of the accumulator
    double beta_t = 0;       // truncation: error grows by u_acc beta_t per product; 0 for round to nearest
    double input_error = 0;  // what converting the inputs down adds, relative to |alpha||A||B|
    double activation_error = 0;              // of the activation function itself, relative to |x|
    double accumulator_max = 0x1.fffffep127;  // sums past this may overflow
    double underflow =
        0x1p-126;         // absolute error of one product or sum that underflows (flush to zero is legal)
    double absolute = 0;  // what else one element may err by, in absolute terms
    std::int32_t accumulator_bits = 24;  // p_acc
    std::int32_t exact = 0;              // integer accumulation: equality is the test
    std::int32_t measures = 0;           // the Python FuMi's measures are taken beside
    std::int32_t reserved = 0;
};

struct Contract {
    BoundNumbers bound;
    int p = 24;  // u = 2^-p
    DataType output = DataType::f32;
    bool inputs_converted = false;  // TF32, FAST_16F, FAST_16BF: the kernel may round its inputs down
    bool componentwise =
        true;  // false: only norms are promised (emulated fp64), so a breach of B is a warning
    // Every element is a sum of its own products; not so of convolutions by Winograd or FFT, whose larger
    // error says nothing about the precision of their inputs.
    bool direct = true;
    double reduction_error = 0;  // legal only with reduced-precision split-K: u_out (2 S - 1), relative to G
    std::string name;            // "fp32 FMA", "TF32 tensor core (sm_90)", ...
    bool calibrated = false;     // its constants were measured on the device
    bool supported = true;       // false: no contract is known for these facts, and `name` says why
};

Contract contract_for(const CallFacts& facts);

int precision_bits(
    DataType type) noexcept;  // p of a floating type (complex: of its parts), 0 for integers and none
int element_bytes(DataType type) noexcept;  // 0 for none
bool is_complex(DataType type) noexcept;
const char* type_name(DataType type) noexcept;  // "fp32", "bf16", "e4m3", "complex64", ...

}  // namespace fumi
