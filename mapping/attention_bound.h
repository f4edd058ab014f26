// What attention may lose to rounding (docs/numerics.md section 11).
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace fumi::mapping {

// Operands in fp64: query [.., heads, L, D], key and value with as many heads, or fewer that divide them.
// mask: bool (false: not seen) or added to the scores; undefined: none.
struct Attention {
    at::Tensor query, key, value, mask;
    bool causal = false;
    std::optional<double> scale;  // of the scores; 1 / sqrt(D) where absent
};

// Element by element, in units of 2^-24 and without the rounding of the result itself.
struct AttentionBound {
    at::Tensor magnitude;  // G = P |V|
    at::Tensor fused;      // scores, softmax and sums in fp32; P may be rounded to the operands' type
    at::Tensor
        composed;  // scores, too, are rounded to the operands' type, as a chain of torch functions does
};

// precision: bits of the operands' type (24, 11, 8).
AttentionBound attention_bound(const Attention& attention, int precision);

// The bytes that it needs beside its operands.
std::int64_t attention_bound_bytes(const at::Tensor& query, const at::Tensor& key);

}  // namespace fumi::mapping
