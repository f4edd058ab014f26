// Bounds of losses that are made of more than one number of each tensor.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

// Of terms t with errors e: themselves, their mean or their sum, which rounds on its own.
Allowance reduced(const Question& q, const at::Tensor& error, const at::Tensor& term, std::string words) {
    const std::int64_t reduction = q.get("reduction").toInt();
    at::Tensor allowed = usable(error);
    if (reduction != 0) {
        const at::Tensor all = allowed + (root(term.numel()) + 2) * usable(term.abs());
        allowed = reduction == 1 ? all.mean() : all.sum();
        words += ", and (2 sqrt(N) + 2) u of their sum";
    }
    allowed = allowed.reshape(q.reference.sizes());
    return {allowed, allowed, std::move(words)};
}

at::Tensor in_rows(const at::Tensor& x) {
    return x.dim() < 2 ? x.reshape({1, -1}) : x;
}

double scalar(const Question& q, const char* name) {
    return q.get(name).toScalar().toDouble();
}

// What max(0, z) takes over of the error e of z.
at::Tensor past_zero(const Question& q, const at::Tensor& z, const at::Tensor& error) {
    return at::where(z > -error * q.unit, error, 0.0);
}

// d = |a - b + eps|_p, and what is lost of it.
struct Distance {
    at::Tensor value, error;
};

Distance distance(const Question& q, const at::Tensor& a, const at::Tensor& b) {
    const double p = q.get("p").toDouble();
    const double eps = q.get("eps").toDouble();
    const std::int64_t size = a.dim() > 0 ? a.size(-1) : 1;
    at::Tensor value = at::pairwise_distance(a, b, p, eps, false);
    const at::Tensor error = (root(size) + 8) * (value + eps * static_cast<double>(size));
    return {value, error};
}

}  // namespace

// sum over the other classes of max(0, margin - x_t + x)^p, over C.
Allowance multi_margin(const Question& q) {
    const at::Tensor x = in_rows(q.arguments.at(0).toTensor());
    const at::Tensor target = q.tensor("target").reshape({-1});
    const double margin = scalar(q, "margin");
    const at::Tensor own = x.gather(1, target.unsqueeze(1));
    const at::Tensor z = margin - own + x;
    at::Tensor error = 3 * (std::fabs(margin) + own.abs() + x.abs());
    at::Tensor term = z.clamp_min(0);
    if (scalar(q, "p") == 2) {
        error = 2 * term * error + term * term + error * error * q.unit;
        term = term * term;
        error = at::where(z > -3 * (std::fabs(margin) + own.abs() + x.abs()) * q.unit, error, 0.0);
    } else {
        error = past_zero(q, z, error);
    }
    if (const at::Tensor weight = q.tensor("weight"); weight.defined()) {
        const at::Tensor its = weight.index_select(0, target).unsqueeze(1);
        error = error * its.abs() + (term * its).abs();
        term = term * its;
    }
    const at::Tensor others = at::ones_like(x).scatter(1, target.unsqueeze(1), 0.0);
    const at::Tensor sum = (term.abs() * others).mean(1);
    return reduced(
        q, (error * others).mean(1) + (root(x.size(1)) + 4) * sum, sum,
        "3 u (|margin| + |x_t| + |x|) of each class over the margin, and (2 sqrt(C) + 4) u of their mean");
}

// sum over labels t and other classes of max(0, 1 - x_t + x), over C.
Allowance multilabel_margin(const Question& q) {
    const at::Tensor x = in_rows(q.arguments.at(0).toTensor());
    const at::Tensor target = in_rows(q.tensor("target"));
    const at::Tensor valid = (target < 0).cumsum(1) == 0;  // up to the first -1
    const at::Tensor place = target.clamp_min(0);
    const at::Tensor others = at::zeros_like(x).scatter_add(1, place, valid.to(at::kDouble)).eq(0);
    at::Tensor error = at::zeros({x.size(0)}, x.options());
    at::Tensor term = at::zeros_like(error);
    std::int64_t labels = 0;
    for (; labels < target.size(1) && valid.select(1, labels).any().item<bool>(); ++labels) {
        const at::Tensor own = x.gather(1, place.narrow(1, labels, 1));
        const at::Tensor z = 1 - own + x;
        const at::Tensor counted = others.logical_and(valid.narrow(1, labels, 1));
        error += (past_zero(q, z, 3 * (1 + own.abs() + x.abs())) * counted).sum(1);
        term += (z.clamp_min(0) * counted).sum(1);
    }
    const auto classes = static_cast<double>(x.size(1));
    error = (error + (root(x.size(1) * std::max<std::int64_t>(labels, 1)) + 4) * term) / classes;
    return reduced(
        q, error, term / classes,
        "3 u (1 + |x_t| + |x|) of each pair over the margin, and (2 sqrt(pairs) + 4) u of their mean");
}

// max(0, margin + |a - p| - |a - n|).
Allowance triplet_margin(const Question& q) {
    const at::Tensor anchor = q.tensor("anchor");
    const at::Tensor positive = q.tensor("positive");
    const at::Tensor negative = q.tensor("negative");
    const Distance near = distance(q, anchor, positive);
    Distance far = distance(q, anchor, negative);
    if (q.get("swap").toBool()) {
        const Distance other = distance(q, positive, negative);
        far = {at::minimum(far.value, other.value), at::maximum(far.error, other.error)};
    }
    const double margin = q.get("margin").toDouble();
    const at::Tensor z = margin + near.value - far.value;
    const at::Tensor error = near.error + far.error + 3 * (std::fabs(margin) + near.value + far.value);
    return reduced(q, past_zero(q, z, error), z.clamp_min(0),
                   "(2 sqrt(D) + 11) u (|a - p| + |a - n|) + 3 u |margin| of each triplet over the margin");
}

// 1 - cos, or max(0, cos - margin).
Allowance cosine_embedding(const Question& q) {
    const at::Tensor a = q.tensor("input1");
    const at::Tensor b = q.tensor("input2");
    const std::int64_t size = a.dim() > 0 ? a.size(-1) : 1;
    const double margin = q.get("margin").toDouble();
    const double tiny = 1e-12;
    const at::Tensor square = ((a * a).sum(-1) + tiny) * ((b * b).sum(-1) + tiny);
    const at::Tensor length = square.sqrt();
    const at::Tensor cosine = (a * b).sum(-1) / length;
    // Squares may leave the range of fp16 above and below.
    const double flushed = static_cast<double>(size) * q.least() / q.unit;
    const at::Tensor below = flushed * (1 / (a * a).sum(-1) + 1 / (b * b).sum(-1) + 1 / square + 1 / length);
    const at::Tensor error = at::where(
        square < q.most(),
        (root(size) + 4) * (a * b).abs().sum(-1) / length + (root(size) + 8) * cosine.abs() + below, 1e300);
    const at::Tensor target = q.tensor("target");
    const at::Tensor far = cosine - margin;
    const at::Tensor each = at::where(
        target == 1, error + 2 + cosine.abs(),
        at::where(target == -1, past_zero(q, far, error + 2 * (std::fabs(margin) + cosine.abs())), 0.0));
    const at::Tensor term =
        at::where(target == 1, 1 - cosine, at::where(target == -1, far.clamp_min(0), 0.0));
    return reduced(q, each, term,
                   "u ((2 sqrt(D) + 4) |a| |b| / (|a|_2 |b|_2) + (2 sqrt(D) + 9) |cos| + 2) of each pair");
}

// The logarithms of alpha, each step's error damped by what it contributes. No prefix that counts is less
// probable than the whole by more than what unnormalised probabilities add.
Allowance ctc(const Question& q) {
    Arguments terms_only = q.arguments;
    terms_only[q.place("reduction")] = std::int64_t{0};
    const at::Tensor term = q.first(terms_only);
    const at::Tensor log_probs = q.tensor("log_probs");
    const at::Tensor excess = log_probs.amax(-1).clamp_min(0).sum(0);
    const double share = root(log_probs.size(0)) + 8;
    at::Tensor error = share * (usable(term.abs()) + 2 * excess + 4);
    at::Tensor size = usable(term.abs());
    if (q.get("reduction").toInt() == 1) {
        const c10::IValue lengths = q.get("target_lengths");
        const at::Tensor divisor =
            (lengths.isTensor() ? lengths.toTensor() : at::tensor(lengths.toIntVector(), at::kLong))
                .to(log_probs.device(), at::kDouble)
                .clamp_min(1)
                .reshape(term.sizes());
        error = error / divisor + size / divisor;
        size = size / divisor;
    }
    return reduced(q, error, size, number(share) + " u (|t| + 4) of each sequence's loss t");
}

// weight ((1 - t) x - w log sigmoid(x)): the two parts are of one size where x is far below 0.
Allowance logits_entropy(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const at::Tensor target = q.tensor("target");
    const at::Tensor slope = q.tensor("pos_weight");
    const at::Tensor factor = slope.defined() ? (slope - 1) * target + 1 : at::ones_like(target);
    const at::Tensor log = at::log_sigmoid(x);
    at::Tensor term = (1 - target) * x - factor * log;
    at::Tensor error =
        ((1 - target.abs()).abs() + 2 * target.abs()) * x.abs() +
        (factor.abs() + (slope.defined() ? 2 * ((slope.abs() + 1) * target.abs() + 1) : at::ones_like(x))) *
            log.abs() +
        factor.abs();
    if (const at::Tensor weight = q.tensor("weight"); weight.defined()) {
        error = error * weight.abs();
        term = term * weight;
    }
    return reduced(q, q.row.factor * (error + term.abs()), term,
                   number(q.row.factor) + " u (|t| + |1 - y| |x| + w |log sigmoid(x)| + w) of each term t");
}

// x - t log(x + eps), or exp(x) - t x, and Stirling's t log t - t + log(2 pi t) / 2.
Allowance poisson(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const at::Tensor target = q.tensor("target");
    Arguments terms_only = q.arguments;
    terms_only[q.place("reduction")] = std::int64_t{0};
    const at::Tensor term = q.first(terms_only);
    const at::Tensor log = q.get("log_input").toBool() ? x : (x + q.get("eps").toDouble()).log();
    at::Tensor size = (q.get("log_input").toBool() ? x.exp() * (1 + x.abs()) : x.abs()) +
                      target.abs() * (usable(log.abs()) + 1);
    if (q.get("full").toBool()) {
        size = size + usable(target.abs() * (1 + target.abs().log().abs()) + target.abs().log().abs() + 1);
    }
    return reduced(q, q.row.factor * (size + usable(term.abs())), term,
                   number(q.row.factor) + " u (the sum of the absolute parts) of each term t");
}

// log(1 + exp(-x y)): infinite where the exponential is.
Allowance soft_margin(const Question& q) {
    const at::Tensor z = -q.arguments.at(0).toTensor() * q.tensor("target");
    const at::Tensor term = at::softplus(z, 1, 30);
    Allowance all = reduced(
        q, q.row.factor * (term + z.abs() * at::sigmoid(z) + at::sigmoid(-z).minimum(at::ones_like(z))), term,
        number(q.row.factor) + " u (|t| + |x y| sigmoid(x y) + 1) of each term t");
    const at::Tensor over = (z > std::log(q.most())).to(at::kDouble) * 1e300;
    all.allowed = all.allowed + (q.get("reduction").toInt() == 0 ? over : over.sum());
    return all;
}

}  // namespace fumi::mapping
