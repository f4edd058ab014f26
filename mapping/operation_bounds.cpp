#include "mapping/operation_bounds.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "mapping/operation_question.h"

namespace fumi::mapping {

at::Tensor dense(const at::Tensor& tensor) {
    return tensor.is_sparse() ? tensor.to_dense() : tensor;
}

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

namespace {

// Small enough that the second derivative adds little, large enough that fp64 rounds away nothing of the
// first.
constexpr double step = 0x1p-20;

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
