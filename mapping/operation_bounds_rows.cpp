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
    const std::vector<std::int64_t> dim = q.get("dim").toIntVector();
    const Distances d = distances(x, dim);
    const at::Tensor largest_x = x.amax(dim, true).abs();
    const at::Tensor allowed = usable(2 * (d.mean + d.rounding + largest_x)).reshape(q.reference.sizes()) +
                               2 * usable(q.reference.abs());
    return {allowed, allowed, "2 u (|y| + |m| + sum p |x - m| + 2 sqrt(h) + 8)"};
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
