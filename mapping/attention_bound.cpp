#include "mapping/attention_bound.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mapping/operation_check.h"
#include "mapping/operation_device.h"

namespace fumi::mapping {
namespace {

constexpr double u = 0x1p-24;
constexpr double never = -std::numeric_limits<double>::infinity();
constexpr std::int64_t scores_at_once = std::int64_t{1} << 21;

struct Attention {
    at::Tensor query{}, key{}, value{},
        mask{};  // mask: bool (false: not seen) or added to the scores; or undefined
    double scale = 1;
    double kept = 1;  // by dropout
    bool causal = false;
    double coarse = 0;  // u of the operands' type over u; 0: they are fp32
    Latitude latitude{};
};

at::Tensor with_heads_of(const at::Tensor& query, const at::Tensor& key) {
    return key.repeat_interleave(query.size(-3) / key.size(-3), -3);
}

Attention attention_of(const Question& q) {
    Attention a{q.tensor("query"), q.tensor("key"), q.tensor("value"), q.tensor("attn_mask")};
    a.mask = a.mask.defined() ? a.mask : q.tensor("attn_bias");
    const c10::IValue scale = q.get("scale"), grouped = q.get("enable_gqa"), dropped = q.get("dropout_p");
    a.scale =
        scale.isNone() ? 1 / std::sqrt(static_cast<double>(a.query.size(-1))) : scale.toScalar().toDouble();
    a.kept = dropped.isDouble() && dropped.toDouble() < 1 ? 1 - dropped.toDouble() : 1;
    a.causal = q.get("is_causal").toBool();
    if (grouped.isBool() && grouped.toBool()) {
        a.key = with_heads_of(a.query, a.key);
        a.value = with_heads_of(a.query, a.value);
    }
    const int precision = precision_of_operands(*q.operation);
    a.coarse = precision < 24 ? std::ldexp(1.0, 24 - precision) : 0;
    a.latitude = latitude_of_product(*q.operation);
    return a;
}

// What is added to the scores of some rows of queries: -infinity where nothing is seen; undefined: nothing.
at::Tensor mask_of(const Attention& a, std::int64_t first, std::int64_t rows) {
    at::Tensor added;
    if (a.mask.defined()) {
        added = a.mask.dim() >= 2 && a.mask.size(-2) > 1 ? a.mask.narrow(-2, first, rows) : a.mask;
        if (added.scalar_type() == at::kBool) {
            added = at::zeros_like(added, at::kDouble).masked_fill(added.logical_not(), never);
        }
    }
    if (a.causal) {
        const at::TensorOptions options = a.query.options();
        const at::Tensor row = at::arange(first, first + rows, options).unsqueeze(1);
        const at::Tensor later = at::arange(a.key.size(-2), options).unsqueeze(0) > row;
        added = added.defined() ? added : at::zeros({rows, a.key.size(-2)}, options);
        added = added.masked_fill(later, never);
    }
    return added;
}

// What n products and their sum lose, as a share of their magnitudes.
double summed(const Attention& a, std::int64_t n) {
    return (root(n) + 2) * a.latitude.coarser + a.latitude.each_term * static_cast<double>(n) +
           a.latitude.inputs;
}

// Some rows of queries: their scores, and how far those may be off.
struct Rows {
    at::Tensor weight;  // P
    at::Tensor off;     // e
};

Rows rows_of(const Attention& a, Steps steps, std::int64_t first, std::int64_t rows) {
    const at::Tensor query = a.query.narrow(-2, first, rows);
    const at::Tensor turned = a.key.mT();
    const double scale = std::fabs(a.scale);
    const at::Tensor product = at::matmul(query, turned) * a.scale;
    const at::Tensor mask = mask_of(a, first, rows);
    const at::Tensor score = mask.defined() ? product + mask : product;
    const at::Tensor most = usable(score.amax(-1, true));
    const at::Tensor below = usable((score - most).abs());
    // The sum, and operands that are scaled by a rounded number before it.
    const double share = summed(a, a.query.size(-1)) + 4;
    // An exponential with 16-bit operands need not be better than they are.
    const double exponential = a.coarse > 0 ? 0x1p11 : 8;
    Rows result;
    result.off =
        at::matmul(query.abs(), turned.abs()) * (share * scale) + 4 * below + most.abs() + exponential;
    if (mask.defined()) {
        result.off += usable(score.abs()) + usable(mask.abs());
    }
    if (steps == Steps::composed) {
        const at::Tensor spread = at::matmul(query.square(), turned.square()).sqrt() * scale;
        result.off += a.coarse * (3 * spread + 2 * product.abs() + usable(score.abs()) + below);
    }
    result.weight = usable(at::softmax(score, -1));
    return result;
}

// The bound and its magnitude P |V|. Weights that are off by e change by expm1(e + their mean e) at most: a
// shift that a whole row has in common is none, and the sum below the fraction moves by the mean.
Allowance bound_of_rows(const Attention& a, Steps steps, std::int64_t first, std::int64_t rows) {
    const Rows r = rows_of(a, steps, first, rows);
    const at::Tensor size_of_value = a.value.abs();
    const double sums = summed(a, a.key.size(-2)) + root(a.key.size(-2)) + 2;
    const double stored = a.coarse * (steps == Steps::composed ? 3 : 1);
    const at::Tensor mean = (r.weight * r.off).sum(-1, true);
    const at::Tensor lost = at::expm1((u * (r.off + mean)).clamp_max(64)) / u + (sums + stored);
    // fp16's weights, of which the largest is 1, may be subnormal.
    const at::Tensor least = (r.weight > 0) * (a.coarse == 0x1p13 ? 0.5 : 0.0);
    return {at::matmul(r.weight * lost + least, size_of_value) / a.kept,
            at::matmul(r.weight, size_of_value) / a.kept, ""};
}

// Of a row of the slices that are looked at together.
std::int64_t scores_in_row(const at::Tensor& query, const at::Tensor& key) {
    const std::int64_t row = query.size(-1) * query.size(-2);
    return std::max<std::int64_t>(query.numel() / std::max<std::int64_t>(row, 1) * key.size(-2), 1);
}

}  // namespace

Allowance attention_bound(const Question& q, Steps steps) {
    const Attention a = attention_of(q);
    const std::int64_t queries = a.query.size(-2);
    const std::int64_t step = std::clamp<std::int64_t>(scores_at_once / scores_in_row(a.query, a.key), 1,
                                                       std::max<std::int64_t>(queries, 1));
    std::vector<at::Tensor> allowed, magnitude;
    for (std::int64_t first = 0; first < std::max<std::int64_t>(queries, 1); first += step) {
        const Allowance part = bound_of_rows(a, steps, first, std::min(step, queries - first));
        allowed.push_back(part.allowed);
        magnitude.push_back(part.magnitude);
    }
    const std::string words = steps == Steps::fused || a.coarse == 0
                                  ? "fp32 scores and sums"
                                  : "scores and weights rounded to the operands' type (allowed)";
    return {at::cat(allowed, -2).expand_as(q.reference), at::cat(magnitude, -2).expand_as(q.reference),
            words + a.latitude.words};
}

std::int64_t attention_bound_bytes(const at::Tensor& query, const at::Tensor& key) {
    constexpr std::int64_t matrices = 12;  // of scores, alive at once
    const std::int64_t row = scores_in_row(query, key);
    return std::min(row * query.size(-2), std::max(scores_at_once, row)) * 8 * matrices;
}

}  // namespace fumi::mapping
