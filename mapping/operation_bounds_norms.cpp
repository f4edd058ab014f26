// Bounds of the normalisations, of one pass: y = x (gamma / sigma) + (beta - mu gamma / sigma).
#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "mapping/operation_cheap.h"
#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

// x as it is normalised along `dim`, with the parameters broadcast to it. mean, variance: where they are
// given.
struct Normalisation {
    at::Tensor x, weight, bias, mean, variance;
    std::vector<std::int64_t> dim;
    double epsilon = 0;
};

at::Tensor along_channels(const at::Tensor& parameter, const at::Tensor& x) {
    if (!parameter.defined()) {
        return parameter;
    }
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[1] = parameter.numel();
    return parameter.reshape(shape);
}

Normalisation layer_norm_of(const Question& q) {
    Normalisation n{q.arguments.at(0).toTensor(), q.tensor("weight"), q.tensor("bias"), {}, {}, {}};
    const auto inner = static_cast<std::int64_t>(q.get("normalized_shape").toIntVector().size());
    for (std::int64_t d = n.x.dim() - inner; d < n.x.dim(); ++d) {
        n.dim.push_back(d);
    }
    return n;
}

Normalisation group_norm_of(const Question& q) {
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const std::vector<std::int64_t> rows = {x.size(0), q.get("num_groups").toInt(), -1};
    const auto full = [&](const at::Tensor& parameter) {
        return parameter.defined() ? along_channels(parameter, x).expand_as(x).reshape(rows) : parameter;
    };
    return {x.reshape(rows), full(q.tensor("weight")), full(q.tensor("bias")), {}, {}, {2}};
}

// Batch norm, and instance norm.
Normalisation channel_norm_of(const Question& q) {
    const bool whole_batch = q.row.bound == Bound::batch_norm;
    const at::Tensor& x = q.arguments.at(0).toTensor();
    Normalisation n{x, along_channels(q.tensor("weight"), x), along_channels(q.tensor("bias"), x), {}, {},
                    {}};
    if (!q.get(whole_batch ? "training" : "use_input_stats").toBool()) {
        n.mean = along_channels(q.tensor("running_mean"), x);
        n.variance = along_channels(q.tensor("running_var"), x);
    }
    for (std::int64_t d = 0; d < x.dim(); ++d) {
        if (d != 1 && (d != 0 || whole_batch)) {
            n.dim.push_back(d);
        }
    }
    return n;
}

Normalisation normalisation_of(const Question& q) {
    Normalisation n = q.row.bound == Bound::layer_norm   ? layer_norm_of(q)
                      : q.row.bound == Bound::group_norm ? group_norm_of(q)
                                                         : channel_norm_of(q);
    n.epsilon = q.get("eps").toDouble();
    return n;
}

struct Statistics {
    at::Tensor mean, sigma;
    at::Tensor relative;  // rv: what the variance is off by, in its own size
    at::Tensor shift;     // what y is off by wherever x is, without gamma
};

Statistics statistics(const Normalisation& n) {
    double terms = 1;
    for (const std::int64_t d : n.dim) {
        terms *= static_cast<double>(n.x.size(d));
    }
    const double root = 2 * std::sqrt(terms);
    Statistics s;
    s.mean = n.x.mean(n.dim, true);
    at::Tensor sizes = n.x.abs();
    const at::Tensor absolute = sizes.mean(n.dim, true);
    const at::Tensor square = sizes.square_().mean(n.dim, true);
    const at::Tensor variance = (square - s.mean * s.mean).clamp_min(0) + n.epsilon;
    s.sigma = variance.sqrt();
    s.relative = (root + 5) * (square + s.mean * s.mean) / variance;
    s.shift = ((root + 2) * absolute + 4 * s.mean.abs()) / s.sigma;
    return s;
}

// The CPU's fp16 and bf16 kernels of batch norm, unless a parameter is wider.
bool keeps_statistics_narrow(const Question& q) {
    const auto narrow = [&](const char* name) {
        const c10::IValue& given = q.operation->arguments.at(q.place(name));
        return !is_floating(given) || given.toTensor().scalar_type() == q.result().scalar_type();
    };
    return q.row.bound == Bound::batch_norm && q.own() > q.unit && q.result().is_cpu() && narrow("weight") &&
           narrow("bias") && narrow("running_mean");
}

// |gamma| (|xhat| (4 + rv / 2) + shift) + 2 |y| + 3 |beta|
Allowance normalised(const Question& q, const Normalisation& n) {
    const Statistics s = statistics(n);
    const auto here = [&](const at::Tensor& tensor) {
        return q.places != nullptr ? gather(tensor, n.x.sizes(), *q.places) : tensor;
    };
    at::Tensor allowed =
        (here(n.x) - here(s.mean)).abs() / here(s.sigma) * (4 + here(s.relative) / 2) + here(s.shift);
    if (keeps_statistics_narrow(q)) {
        allowed = allowed + ((here(n.x) - here(s.mean)).abs() + here(s.mean).abs()) / here(s.sigma) *
                                (q.own() / q.unit);
    }
    if (n.weight.defined()) {
        allowed = allowed * here(n.weight).abs();
    }
    allowed = allowed + 2 * here(q.reference.reshape(n.x.sizes())).abs();
    if (n.bias.defined()) {
        allowed = allowed + 3 * here(n.bias).abs();
    }
    if (q.places == nullptr) {
        allowed = allowed.expand(n.x.sizes()).reshape(q.reference.sizes());
    }
    return {allowed, allowed,
            "u |gamma| (|xhat| (4 + rv / 2) + ((2 sqrt(h) + 2) mean|x| + 4 |mu|) / sigma) + 2 u |y|",
            q.places != nullptr};
}

// With the mean and sigma given.
Allowance affine(const Question& q, const Normalisation& n) {
    const at::Tensor sigma = (n.variance + n.epsilon).sqrt();
    at::Tensor allowed = 6 * (n.x.abs() + n.mean.abs()) / sigma;
    if (n.weight.defined()) {
        allowed = allowed * n.weight.abs();
    }
    if (n.bias.defined()) {
        allowed = allowed + 3 * n.bias.abs();
    }
    allowed = allowed.expand_as(q.reference);
    return {allowed, allowed, "6 u |gamma| (|x| + |mean|) / sigma + 3 u |beta|"};
}

}  // namespace

Allowance normalisation(const Question& q) {
    const Normalisation n = normalisation_of(q);
    return n.mean.defined() ? affine(q, n) : normalised(q, n);
}

CheapBound cheap_normalisation(const Question& q) {
    const Normalisation n = normalisation_of(q);
    // |gamma xhat| >= |y| - |beta|
    if (n.mean.defined()) {
        return {3, 0, nullptr};
    }
    at::Tensor shift = statistics(n).shift;
    if (n.weight.defined()) {
        shift = shift.min() * n.weight.abs().min();
    }
    const double least = shift.numel() > 0 ? shift.min().item<double>() : 0;
    return {5, least > 0 && std::isfinite(least) ? least * (1 - 1e-9) : 0, nullptr};
}

}  // namespace fumi::mapping
