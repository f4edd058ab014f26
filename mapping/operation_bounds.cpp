#include "mapping/operation_bounds.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace fumi::mapping {
namespace {

// Small enough that the second derivative adds little, large enough that fp64 rounds away nothing of the
// first.
constexpr double step = 0x1p-20;

struct Question {
    const Operation& row;
    const c10::OperatorHandle& handle;
    const Arguments& arguments;
    at::Tensor reference;

    std::size_t place(const char* name) const {
        const auto& formal = handle.schema().arguments();
        for (std::size_t i = 0; i < formal.size(); ++i) {
            if (formal[i].name() == name) {
                return i;
            }
        }
        return formal.size();
    }
    c10::IValue get(const char* name) const {
        const std::size_t at = place(name);
        return at < arguments.size() ? arguments[at] : c10::IValue();
    }
    at::Tensor tensor(const char* name) const {
        const c10::IValue value = get(name);
        return value.isTensor() ? value.toTensor() : at::Tensor();
    }
    at::Tensor first(const Arguments& changed) const { return run(handle, changed).at(0).toTensor(); }
};

at::Tensor dense(const at::Tensor& tensor) {
    return tensor.is_sparse() ? tensor.to_dense() : tensor;
}

// 0 where x has no number: x = infinity, or a derivative that does not exist.
at::Tensor usable(const at::Tensor& tensor) {
    return at::nan_to_num(tensor, 0.0, 0.0, 0.0);
}

double largest(const at::Tensor& tensor) {
    return tensor.numel() > 0 ? tensor.max().item<double>() : 0;
}

std::string number(double value) {
    std::array<char, 32> text{};
    return std::snprintf(text.data(), text.size(), "%.4g", value) > 0 ? text.data() : "";
}

// sum |x dy/dx| over the arguments, each moved as a whole, but for the one that only chooses.
at::Tensor condition(const Question& q, const Arguments& arguments, const at::Tensor& reference) {
    const bool chooses = std::strcmp(q.row.op, "aten::hinge_embedding_loss") == 0;  // by target == -1
    const std::size_t choice = chooses ? q.place("target") : arguments.size();
    at::Tensor sum = at::zeros_like(reference);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (i != choice && is_floating(arguments[i]) && !q.handle.schema().arguments()[i].is_out()) {
            sum += usable((q.first(moved(arguments, i, step)) - reference).abs() / step);
        }
    }
    return sum;
}

Allowance elementwise(const Question& q, bool gated) {
    at::Tensor magnitude = usable(q.reference.abs()) + condition(q, q.arguments, q.reference);
    if (gated) {
        magnitude = magnitude + usable(q.arguments.at(0).toTensor().abs());
    }
    return {magnitude * q.row.factor, magnitude,
            number(q.row.factor) + (gated ? " u (|x| + |y| + sum |x dy/dx|)" : " u (|y| + sum |x dy/dx|)")};
}

// The largest number of elements that one result is a sum of, as far as sizes say.
double elements_per_result(const Question& q) {
    double most = 1;
    for (const c10::IValue& value : q.arguments) {
        if (is_floating(value)) {
            most = std::max(most, static_cast<double>(value.toTensor().numel()));
        }
    }
    return std::max(1.0, most / static_cast<double>(std::max<std::int64_t>(q.reference.numel(), 1)));
}

double window(const Question& q) {
    const c10::IValue value = q.get("kernel_size");
    double size = 1;
    if (value.isIntList()) {
        for (const std::int64_t edge : value.toIntVector()) {
            size *= static_cast<double>(edge);
        }
    }
    return size;
}

Allowance product(const Question& q) {
    if (const c10::IValue mode = q.get("mode"); mode.isInt() && mode.toInt() == 2) {
        return {};  // embedding_bag: the largest, and no sum
    }
    const c10::FunctionSchema& schema = q.handle.schema();
    const at::Tensor magnitude = dense(q.first(magnitudes(schema, q.arguments))).abs();
    const double counted = largest(dense(q.first(ones(schema, q.arguments))).abs());
    const double terms = std::max({counted, elements_per_result(q), window(q)});
    const double share = q.row.factor * (2 * std::sqrt(terms) + 4);
    return {magnitude * share, magnitude,
            number(share) + " u f(|x|), the sum over K = " + number(std::round(terms)) +
                " of the absolute terms"};
}

Allowance positive(const Question& q) {
    const at::Tensor magnitude = q.reference.abs();
    double terms = elements_per_result(q);
    if (q.reference.dim() > 0 && q.place("dim") < q.arguments.size() && q.reference.numel() > 1 &&
        terms <= 1) {
        terms =
            static_cast<double>(*std::max_element(q.reference.sizes().begin(), q.reference.sizes().end()));
    }
    const double share = q.row.factor * (2 * std::sqrt(terms) + 8);
    return {magnitude * share, magnitude,
            number(share) + " u |y|, K = " + number(std::round(terms)) + " terms"};
}

Allowance spread(const Question& q) {
    const at::Tensor magnitude = q.reference.abs() + largest(q.arguments.at(0).toTensor().abs());
    const double share = 2 * std::sqrt(elements_per_result(q)) + 8;
    return {magnitude * share, magnitude, number(share) + " u (|y| + max |x|)"};
}

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

// The terms come of a run without the reduction; their sum or mean rounds on its own.
Allowance loss(const Question& q) {
    const std::size_t at = q.place("reduction");
    Arguments terms_only = q.arguments;
    const std::int64_t reduction = q.arguments.at(at).toInt();
    terms_only[at] = std::int64_t{0};
    const at::Tensor terms = q.first(terms_only);
    const at::Tensor each = usable(terms.abs()) + condition(q, terms_only, terms);
    const std::string words = number(q.row.factor) + " u (|t| + sum |x dt/dx|) of each term t";
    if (reduction == 0) {
        return {each * q.row.factor, each, words};
    }
    const double share = q.row.factor + 2 * std::sqrt(static_cast<double>(terms.numel())) + 2;
    const at::Tensor magnitude = reduction == 1 ? each.mean() : each.sum();
    return {magnitude * share, magnitude, words + ", and (2 sqrt(N) + 2) u of their sum"};
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

}  // namespace

Allowance allowance(const Operation& row, const c10::OperatorHandle& handle, const Arguments& arguments,
                    const std::vector<c10::IValue>& reference) {
    const Question q{row, handle, arguments, dense(reference.at(0).toTensor())};
    switch (row.bound) {
        case Bound::elementwise:
            return elementwise(q, false);
        case Bound::gated:
            return elementwise(q, true);
        case Bound::product:
            return product(q);
        case Bound::positive:
            return positive(q);
        case Bound::spread:
            return spread(q);
        case Bound::softmax:
            return softmax(q, false);
        case Bound::log_softmax:
            return softmax(q, true);
        case Bound::logsumexp:
            return logsumexp(q);
        case Bound::layer_norm:
            return layer_norm(q);
        case Bound::group_norm:
            return group_norm(q);
        case Bound::batch_norm:
            return channel_norm(q, true);
        case Bound::instance_norm:
            return channel_norm(q, false);
        case Bound::loss:
            return loss(q);
        case Bound::cross_entropy:
            return cross_entropy(q);
        case Bound::unwatched:
        case Bound::none:
        case Bound::exact:
            break;
    }
    return {};
}

}  // namespace fumi::mapping
