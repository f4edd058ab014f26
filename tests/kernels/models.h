// Legal ways to compute D = A B, as emulations of hardware, and the faults that the checks must find.
// Everything here is fp32, fp16 or bf16 in columns layout, alpha 1, beta 0.
#pragma once
#include <string>
#include <vector>

#include "tests/kernels/support.h"

namespace fumi::test {

// How a GEMM is added up.
enum class Model {
    sequential,   // one fp32 chain, product and sum rounded apart
    fused,        // one chain of fp32 FMA
    blocked,      // fp32 chains of 64, their sums added in turn
    split,        // 8 interleaved fp32 chains, added as a tree
    tensor_core,  // blocks of kb products aligned and truncated to F fraction bits, sum truncated to fp32
};
struct Arithmetic {
    Model model = Model::fused;
    int fused_products = 16, fraction_bits = 25;  // tensor_core
    int input_bits = 0;           // inputs truncated to so many bits first (TF32: 11); 0: as they are
    bool input_rounding = false;  // rounded instead
    int accumulator_bits = 24;    // below 24: every sum is rounded to so many bits (fp16 accumulation: 11)
    bool three_products =
        false;  // inputs as two parts of input_bits each, without the product of the low ones
    // Partial sums over parts of K (each a multiple of 16 products) that are stored in the output type;
    // in_order: and added up in it, else in fp32.
    int split_parts = 1;
    bool split_in_order = false;
};

void compute(Workload& workload, const Arithmetic& arithmetic);
// sum a[k] b[k] so added up; input_bits is for the caller to apply.
double dot(const std::vector<double>& a, const std::vector<double>& b, const Arithmetic& how);

// Kinds of the software device's fault file.
inline const std::vector<std::string> kFaults = {"round_inputs_bf16", "round_inputs_tf32",
                                                 "fp16_accumulate",   "one_element",
                                                 "bit_flip",          "drop_k",
                                                 "zero_tile",         "nan",
                                                 "negate_row",        "drop_bias_row",
                                                 "stale_output",      "swap_columns"};
// Computes with the fault in it. Returns false where the fault leaves this problem's result as it is.
bool compute_with_fault(Workload& workload, const std::string& fault, std::mt19937_64& generator);

}  // namespace fumi::test
