// Bounds of attention, incomplete gamma functions and running log-sum-exp.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

struct Attention {
    at::Tensor query, key, value, mask;
    double scale = 1;
    bool causal = false;
};

Attention attention_of(const Question& q) {
    Attention a{q.tensor("query"), q.tensor("key"), q.tensor("value"), q.tensor("attn_mask")};
    const c10::IValue scale = q.get("scale");
    a.scale =
        scale.isNone() ? 1 / std::sqrt(static_cast<double>(a.query.size(-1))) : scale.toScalar().toDouble();
    a.causal = q.get("is_causal").toBool();
    if (const c10::IValue grouped = q.get("enable_gqa"); grouped.isBool() && grouped.toBool()) {
        a.key = a.key.repeat_interleave(a.query.size(-3) / a.key.size(-3), -3);
        a.value = a.value.repeat_interleave(a.query.size(-3) / a.value.size(-3), -3);
    }
    return a;
}

// -infinity where a score is masked; undefined where none is.
at::Tensor mask_of(const Attention& a, std::int64_t first, std::int64_t rows) {
    const double never = -std::numeric_limits<double>::infinity();
    at::Tensor mask = a.mask;
    if (mask.defined()) {
        mask = mask.dim() >= 2 && mask.size(-2) > 1 ? mask.narrow(-2, first, rows) : mask;
        return mask.scalar_type() == at::kBool
                   ? at::zeros_like(mask, at::kDouble).masked_fill(mask.logical_not(), never)
                   : mask;
    }
    if (a.causal) {
        const auto options = a.query.options();
        const at::Tensor row = at::arange(first, first + rows, options).unsqueeze(1);
        const at::Tensor column = at::arange(a.key.size(-2), options).unsqueeze(0);
        return at::zeros({rows, a.key.size(-2)}, options).masked_fill(column > row, never);
    }
    return mask;
}

// Of some rows of queries: sum P e_P |V| + (u_P + S(n) + s(n)) P |V|.
at::Tensor attention_rows(const Question& q, const Attention& a, std::int64_t first, std::int64_t rows) {
    const at::Tensor query = a.query.narrow(-2, first, rows);
    const at::Tensor mask = mask_of(a, first, rows);
    at::Tensor score = at::matmul(query, a.key.mT()) * a.scale;
    const at::Tensor size = at::matmul(query.abs(), a.key.abs().mT()) * std::fabs(a.scale);
    at::Tensor added = 4 * score.abs();
    if (mask.defined()) {
        score = score + mask;
        added = added + usable(mask.abs()) + usable(score.abs());
    }
    const at::Tensor most = usable(score.amax(-1, true));
    const at::Tensor weight = usable(at::softmax(score, -1));
    const at::Tensor lost = (root(a.query.size(-1)) + 4) * size + added;
    const at::Tensor relative = 2 * (lost + usable((score - most).abs()) + most.abs() + 8);
    const at::Tensor spread = (weight * relative).sum(-1, true);
    const double sums = 2 * root(a.key.size(-2)) + 4 + q.own() / q.unit;
    return at::matmul(weight * (relative + spread + sums), a.value.abs());
}

}  // namespace

// Rows of queries at a time: the scores of all may not fit.
Allowance attention(const Question& q) {
    const Attention a = attention_of(q);
    constexpr std::int64_t most = std::int64_t{1} << 21;
    const std::int64_t queries = a.query.size(-2);
    const std::int64_t row =
        std::max<std::int64_t>(a.query.numel() / std::max<std::int64_t>(a.query.size(-1) * queries, 1), 1) *
        a.key.size(-2);
    const std::int64_t step = std::clamp<std::int64_t>(most / std::max<std::int64_t>(row, 1), 1, queries);
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < queries; first += step) {
        parts.push_back(attention_rows(q, a, first, std::min(step, queries - first)));
    }
    const at::Tensor allowed = at::cat(parts, -2).expand_as(q.reference);
    return {allowed, allowed,
            "u sum P (2 (dS + |S - m| + |m| + 8) + their mean + 4 sqrt(n) + 4 + u_P / u) |V|"};
}

// exp(a log x - x - log Gamma(a)) times a series of either function, whichever is below 1, or Temme's
// expansion.
Allowance incomplete_gamma(const Question& q) {
    const at::Tensor& a = q.arguments.at(0).toTensor();
    const at::Tensor& x = q.arguments.at(1).toTensor();
    const at::Tensor exponent = usable((a * x.log()).abs()) + x.abs() + usable(at::lgamma(a).abs());
    const at::Tensor y = usable(q.reference.abs());
    const at::Tensor factor = at::minimum(y, 1 - y);
    const at::Tensor series = at::where(x <= 1, y, factor);
    const at::Tensor magnitude = y + condition(q, q.arguments, q.reference) + exponent * series;
    at::Tensor allowed = magnitude * q.row.factor;
    std::string words =
        number(q.row.factor) + " u (y + sum |x dy/dx| + (|a log x| + x + |log Gamma(a)|) min(y, 1 - y))";
    if (std::strncmp(q.row.op, "aten::igammac", 13) == 0) {
        allowed = allowed + 2 * (x <= 1.1);
        words += ", and 2 u where y is 1 less a series";
    }
    return {allowed, magnitude, words};
}

// y_i = log(exp(y_(i-1)) + exp(x_i)): each step loses u (|y| + 1) and the next ones damp it by exp(y_j -
// y_i).
Allowance running_logsumexp(const Question& q) {
    const at::Tensor& y = q.reference;
    const std::int64_t dim = q.get("dim").toInt();
    const double share = root(y.dim() > 0 ? y.size(dim) : 1) + 8;
    const at::Tensor finite = at::nan_to_num(y, 0.0, 0.0, -1e300);
    const at::Tensor weighed = finite + (finite.abs() + 1).log();
    const at::Tensor damped = y.dim() > 0 ? std::get<0>(weighed.cummax(dim)) : weighed;
    const at::Tensor magnitude = usable(at::where(y.isfinite(), (damped - finite).exp(), 0.0));
    return {magnitude * share, magnitude, number(share) + " u max (|y_j| + 1) exp(y_j - y_i)"};
}

}  // namespace fumi::mapping
