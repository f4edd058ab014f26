// What attention may lose to rounding (docs/numerics.md section 11).
#pragma once
#include "mapping/operation_question.h"

namespace fumi::mapping {

enum class Steps : std::uint8_t {
    fused,    // scores, softmax and sums in fp32; P may be rounded to the operands' type
    composed  // each step's result is, as a chain of torch functions does
};

// Of scaled_dot_product_attention and the operations behind it: query [.., heads, L, D], rerun in fp64. In
// units of 2^-24 and without the rounding of the result itself.
Allowance attention_bound(const Question& q, Steps steps);

// The bytes that it needs beside the operands.
std::int64_t attention_bound_bytes(const at::Tensor& query, const at::Tensor& key);

}  // namespace fumi::mapping
