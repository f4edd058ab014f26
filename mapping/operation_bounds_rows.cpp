// Bounds of what is computed from whole rows of numbers: softmax, normalisation.
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
    const std::vector<std::int64_t> dim = q.get("dim").toIntVector();
    const Distances d = distances(x, dim);
    const at::Tensor largest_x = x.amax(dim, true).abs();
    const at::Tensor allowed = usable(2 * (d.mean + d.rounding + largest_x)).reshape(q.reference.sizes()) +
                               2 * usable(q.reference.abs());
    return {allowed, allowed, "2 u (|y| + |m| + sum p |x - m| + 2 sqrt(h) + 8)"};
}

namespace {

at::Tensor along_channels(const at::Tensor& parameter, const at::Tensor& x) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[1] = parameter.numel();
    return parameter.reshape(shape);
}

// |gamma| [ |xhat| (4 + rv / 2) + ((2 sqrt(h) + 2) mean|x| + 4 |mu|) / sigma ] + 2 |y| + 3 |beta|, one pass.
at::Tensor normalised(const at::Tensor& x, const at::Tensor& y, at::IntArrayRef dim, double epsilon,
                      const at::Tensor& weight, const at::Tensor& bias) {
    double terms = 1;
    for (const std::int64_t d : dim) {
        terms *= static_cast<double>(x.size(d));
    }
    const double root = 2 * std::sqrt(terms);
    const at::Tensor mean = x.mean(dim, true);
    const at::Tensor square = (x * x).mean(dim, true);
    const at::Tensor variance = (x - mean).square().mean(dim, true) + epsilon;
    const at::Tensor sigma = variance.sqrt();
    const at::Tensor relative = (root + 5) * (square + mean * mean) / variance;
    const at::Tensor shift = ((root + 2) * x.abs().mean(dim, true) + 4 * mean.abs()) / sigma;
    at::Tensor allowed = ((x - mean).abs() / sigma) * (4 + relative / 2) + shift;
    if (weight.defined()) {
        allowed = allowed * weight.abs();
    }
    allowed = allowed + 2 * y.abs();
    return bias.defined() ? allowed + 3 * bias.abs() : allowed;
}

Allowance said(const at::Tensor& allowed) {
    return {allowed, allowed,
            "u |gamma| (|xhat| (4 + rv / 2) + ((2 sqrt(h) + 2) mean|x| + 4 |mu|) / sigma) + 2 u |y|"};
}

}  // namespace

Allowance layer_norm(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const auto inner = static_cast<std::int64_t>(q.get("normalized_shape").toIntVector().size());
    std::vector<std::int64_t> dim;
    for (std::int64_t d = x.dim() - inner; d < x.dim(); ++d) {
        dim.push_back(d);
    }
    return said(
        normalised(x, q.reference, dim, q.get("eps").toDouble(), q.tensor("weight"), q.tensor("bias")));
}

Allowance group_norm(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const std::int64_t groups = q.get("num_groups").toInt();
    const auto full = [&](const at::Tensor& parameter) {
        return parameter.defined()
                   ? along_channels(parameter, x).expand_as(x).reshape({x.size(0), groups, -1})
                   : at::Tensor();
    };
    const at::Tensor allowed =
        normalised(x.reshape({x.size(0), groups, -1}), q.reference.reshape({x.size(0), groups, -1}), {2},
                   q.get("eps").toDouble(), full(q.tensor("weight")), full(q.tensor("bias")));
    return said(allowed.reshape(x.sizes()));
}

namespace {

// y = x gamma / sigma + (beta - mean gamma / sigma) with sigma given.
Allowance affine(const Question& q, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    const at::Tensor sigma = (along_channels(q.tensor("running_var"), x) + q.get("eps").toDouble()).sqrt();
    at::Tensor allowed = 6 * (x.abs() + along_channels(q.tensor("running_mean"), x).abs()) / sigma;
    if (weight.defined()) {
        allowed = allowed * weight.abs();
    }
    if (bias.defined()) {
        allowed = allowed + 3 * bias.abs();
    }
    return {allowed, allowed, "6 u |gamma| (|x| + |mean|) / sigma + 3 u |beta|"};
}

}  // namespace

Allowance channel_norm(const Question& q, bool whole_batch) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const auto shaped = [&](const at::Tensor& t) { return t.defined() ? along_channels(t, x) : t; };
    const at::Tensor weight = shaped(q.tensor("weight"));
    const at::Tensor bias = shaped(q.tensor("bias"));
    if (!q.get(whole_batch ? "training" : "use_input_stats").toBool()) {
        return affine(q, x, weight, bias);
    }
    std::vector<std::int64_t> dim;
    for (std::int64_t d = 0; d < x.dim(); ++d) {
        if (d != 1 && (d != 0 || whole_batch)) {
            dim.push_back(d);
        }
    }
    return said(normalised(x, q.reference, dim, q.get("eps").toDouble(), weight, bias));
}

// Rows of log_softmax, picked and averaged by nll_loss.
Allowance cross_entropy(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const at::Tensor target = q.tensor("target");
    const c10::IValue smoothing = q.get("label_smoothing");
    if (at::isFloatingType(target.scalar_type()) || (smoothing.isDouble() && smoothing.toDouble() != 0)) {
        return {};
    }
    const std::int64_t channel = x.dim() == 1 ? 0 : 1;
    const at::Tensor y = at::log_softmax(x, channel);
    const Distances d = distances(x, {channel});
    const at::Tensor rows = 2 * (d.own + d.mean + d.rounding) + 2 * usable(y.abs());
    const std::int64_t reduction = q.get("reduction").toInt();
    const at::Tensor weight = q.tensor("weight");
    const at::Tensor picked =
        at::nll_loss_nd(-rows, target, weight, reduction, q.get("ignore_index").toInt());
    const double sum =
        reduction == 0 ? 1 : 1 + (2 * std::sqrt(static_cast<double>(target.numel())) + 2) / d.rounding;
    return {picked.abs() * sum, picked.abs(),
            "the mean of 2 u (|x - m| + sum p |x - m| + 2 sqrt(h) + 8 + |y|)"};
}

}  // namespace fumi::mapping
