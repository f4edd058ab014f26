// Bounds of what is computed from whole rows of numbers: softmax, cross entropy.
#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

// Of softmax along `dim`: |x - m|, and its mean under the probabilities.
struct Distances {
    at::Tensor own, mean;
    double rounding = 0;
};

Distances distances(const at::Tensor& x, at::IntArrayRef dim) {
    const at::Tensor largest_x = x.amax(dim, true);
    const at::Tensor own = usable((x - largest_x).abs());
    const at::Tensor weight = usable((x - largest_x).exp());
    Distances result;
    result.own = own;
    result.mean = usable((weight * own).sum(dim, true) / weight.sum(dim, true));
    double terms = 1;
    for (const std::int64_t d : dim) {
        terms *= static_cast<double>(x.dim() > 0 ? x.size(d) : 1);
    }
    result.rounding = 2 * std::sqrt(terms) + 8;
    return result;
}

}  // namespace

Allowance softmax(const Question& q, bool logarithm) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const Distances d = distances(x, {q.get("dim").toInt()});
    const at::Tensor share = 2 * (d.own + d.mean + d.rounding);
    if (!logarithm) {
        return {q.reference * share, q.reference, "2 p u (|x - m| + sum p |x - m| + 2 sqrt(h) + 8)"};
    }
    const at::Tensor allowed = share + 2 * usable(q.reference.abs());
    return {allowed, allowed, "2 u (|x - m| + sum p |x - m| + 2 sqrt(h) + 8 + |y|)"};
}

Allowance logsumexp(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    if (x.numel() == 0) {  // the logarithm of 0
        const at::Tensor none = at::zeros_like(q.reference);
        return {none, none, "0: nothing is summed"};
    }
    const std::vector<std::int64_t> dim = q.get("dim").toIntVector();
    const Distances d = distances(x, dim);
    const at::Tensor largest_x = x.amax(dim, true).abs();
    const at::Tensor allowed = usable(2 * (d.mean + d.rounding + largest_x)).reshape(q.reference.sizes()) +
                               2 * usable(q.reference.abs());
    return {allowed, allowed, "2 u (|y| + |m| + sum p |x - m| + 2 sqrt(h) + 8)"};
}

namespace {

// Of each row, the weights of its classes: one of them, smoothed, or as given.
at::Tensor class_weights(const Question& q, std::int64_t channel, at::Tensor* divisor) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const at::Tensor target = q.tensor("target");
    const at::Tensor weight = q.tensor("weight");
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[static_cast<std::size_t>(channel)] = x.size(channel);
    const at::Tensor factor = weight.defined() ? weight.reshape(shape) : at::ones(shape, x.options());
    const double smoothed = q.get("label_smoothing").toDouble();
    const double even = smoothed / static_cast<double>(x.size(channel));
    if (at::isFloatingType(target.scalar_type())) {
        *divisor = at::scalar_tensor(static_cast<double>(x.numel()) / static_cast<double>(x.size(channel)),
                                     x.options());
        return ((1 - smoothed) * target + even) * factor;
    }
    const at::Tensor counted = target.ne(q.get("ignore_index").toInt()).to(at::kDouble).unsqueeze(channel);
    const at::Tensor one =
        at::zeros_like(x).scatter(channel, target.clamp_min(0).unsqueeze(channel), counted);
    *divisor = (one * factor).sum();
    return ((1 - smoothed) * one + even * counted) * factor;
}

}  // namespace

// Rows of log_softmax, weighed, summed and averaged.
Allowance cross_entropy(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const std::int64_t channel = x.dim() == 1 ? 0 : 1;
    const std::int64_t reduction = q.get("reduction").toInt();
    const at::Tensor y = usable(at::log_softmax(x, channel).abs());
    const Distances d = distances(x, {channel});
    at::Tensor divisor;
    const at::Tensor weights = class_weights(q, channel, &divisor).abs();
    const bool many =
        at::isFloatingType(q.tensor("target").scalar_type()) || q.get("label_smoothing").toDouble() != 0;
    const at::Tensor rows = 2 * (d.own + d.mean + d.rounding) + (many ? root(x.size(channel)) + 6 : 2) * y;
    at::Tensor allowed = (weights * rows).sum(channel);
    if (reduction != 0) {
        const std::int64_t count = allowed.numel();
        allowed = allowed.sum() + (root(count) + 2) * (weights * y).sum();
        allowed = reduction == 1 ? usable(allowed / divisor.abs()) : allowed;
    }
    if (many && largest((weights.amax() * y).sum()) >= q.most()) {
        allowed = allowed + 1e300;  // the sums over all classes are formed in the type of the result
    }
    return {allowed, allowed, "the mean of 2 u (|x - m| + sum p |x - m| + 2 sqrt(h) + 8 + |y|)"};
}

}  // namespace fumi::mapping
