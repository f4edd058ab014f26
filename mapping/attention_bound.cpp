#include "mapping/attention_bound.h"

#include <ATen/ATen.h>

#include <cmath>

namespace fumi::mapping {
namespace {

// A tensor core adds products in groups and truncates (docs/numerics.md section 3): its share per product.
constexpr double truncated = 0.1125;

at::Tensor with_heads_of(const at::Tensor& key, const at::Tensor& query) {
    if (query.dim() < 3 || key.size(-3) == query.size(-3)) {
        return key;
    }
    return key.repeat_interleave(query.size(-3) / key.size(-3), -3);
}

// The scores before the mask, and what is added to them.
struct Scores {
    at::Tensor product;  // scale q k
    at::Tensor size;     // |scale| |q| |k|
    at::Tensor spread;   // |scale| sqrt(sum q^2 k^2)
    at::Tensor all;      // with the mask: -infinity where nothing is seen
};

Scores scores_of(const Attention& a, const at::Tensor& key) {
    const double scale = a.scale.value_or(1 / std::sqrt(static_cast<double>(a.query.size(-1))));
    const at::Tensor turned = key.transpose(-2, -1);
    Scores s;
    s.product = at::matmul(a.query, turned) * scale;
    s.size = at::matmul(a.query.abs(), turned.abs()) * std::fabs(scale);
    s.spread = at::matmul(a.query.square(), turned.square()).sqrt() * std::fabs(scale);
    s.all = s.product;
    if (a.causal) {
        const at::Tensor hidden =
            at::ones({a.query.size(-2), key.size(-2)}, a.query.options().dtype(at::kBool)).triu(1);
        s.all = s.all.masked_fill(hidden, -INFINITY);
    }
    if (a.mask.defined()) {
        s.all = a.mask.scalar_type() == at::kBool ? s.all.masked_fill(a.mask.logical_not(), -INFINITY)
                                                  : s.all + a.mask;
    }
    return s;
}

// sum p e |v|: how far the weights are off, of errors d of the scores (in absolute terms). A common shift of
// a row does not matter, so that the row's mean error counts once more for the sum below the fraction.
at::Tensor through_softmax(const at::Tensor& p, const at::Tensor& d, const at::Tensor& size_of_value) {
    const at::Tensor relative = at::expm1((d + (p * d).sum(-1, true)).clamp_max(64));
    return at::matmul(p * relative, size_of_value);
}

}  // namespace

AttentionBound attention_bound(const Attention& a, int precision) {
    constexpr double u = 0x1p-24;
    const double stored = std::ldexp(1.0, -precision);  // the unit roundoff of the operands' type
    const double beta = precision < 24 ? truncated : 0;
    const at::Tensor key = with_heads_of(a.key, a.query);
    const at::Tensor size_of_value = with_heads_of(a.value, a.query).abs();
    const Scores s = scores_of(a, key);
    const auto width = static_cast<double>(a.query.size(-1));
    const auto count = static_cast<double>(key.size(-2));

    const at::Tensor largest = at::nan_to_num(s.all.amax(-1, true), 0.0, 0.0, 0.0);
    const at::Tensor p = at::nan_to_num(at::softmax(s.all, -1), 0.0, 0.0, 0.0);
    const at::Tensor seen = at::nan_to_num(s.all, 0.0, 0.0, 0.0);
    const at::Tensor fp32 = u * (s.size * (2 * std::sqrt(width) + beta * width + 2) + (seen - largest).abs() +
                                 largest.abs() + 2 * std::sqrt(count) + 8);
    const at::Tensor narrow = fp32 + stored * (3 * s.spread + 2 * s.product.abs() + seen.abs());

    AttentionBound bound;
    bound.magnitude = at::matmul(p, size_of_value);
    const double sums = u * (2 * std::sqrt(count) + beta * count + 2) + (precision < 24 ? stored : 0);
    const at::Tensor rest = bound.magnitude * sums;
    bound.fused = (through_softmax(p, fp32, size_of_value) + rest) / u;
    bound.composed = precision < 24
                         ? (through_softmax(p, narrow, size_of_value) + rest + bound.magnitude * stored) / u
                         : bound.fused;
    return bound;
}

std::int64_t attention_bound_bytes(const at::Tensor& query, const at::Tensor& key) {
    constexpr std::int64_t matrices = 12;  // of scores, alive at once
    return query.size(-1) > 0 ? query.numel() / query.size(-1) * key.size(-2) * 8 * matrices : 0;
}

}  // namespace fumi::mapping
