#include "mapping/operation_bounds.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "mapping/attention_bound.h"
#include "mapping/operation_cheap.h"
#include "mapping/operation_narrow.h"
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

double root(std::int64_t terms) {
    return 2 * std::sqrt(static_cast<double>(terms));
}

std::string number(double value) {
    std::array<char, 32> text{};
    return std::snprintf(text.data(), text.size(), "%.4g", value) > 0 ? text.data() : "";
}

double Question::most() const {
    return result().scalar_type() == at::kHalf ? 65504 : std::numeric_limits<float>::max();
}

double Question::least() const {
    switch (result().scalar_type()) {
        case at::kHalf:
            return 0x1p-25;
        case at::kBFloat16:
            return 0x1p-134;
        default:
            return 0x1p-150;
    }
}

double Question::own() const {
    switch (result().scalar_type()) {
        case at::kHalf:
            return 0x1p-11;
        case at::kBFloat16:
            return 0x1p-8;
        default:
            return unit;
    }
}

namespace {

// Small enough that the second derivative adds little, large enough that fp64 rounds away nothing of the
// first.
constexpr double step = 0x1p-20;

at::Tensor moved_by(const Question& q, const Arguments& arguments, std::size_t which,
                    const at::Tensor& reference) {
    return usable((q.first(moved(arguments, which, step)) - reference).abs() / step);
}

bool is_power_of_two(double x) {
    int exponent = 0;
    return x == 0 || std::fabs(std::frexp(x, &exponent)) == 0.5;
}

// A number, or a tensor of one number in a wider type, that may be rounded to the type of the result or
// multiply what is.
bool is_rounded_number(const Question& q, std::size_t which) {
    const c10::IValue& given = q.operation->arguments.at(which);
    if (given.isTensor()) {
        return is_floating(given) && given.toTensor().dim() == 0 &&
               given.toTensor().scalar_type() != q.result().scalar_type();
    }
    const bool number = given.isDouble() || given.isInt();
    return number && is_number(q.handle.schema().arguments()[which]) &&
           !is_power_of_two(given.toScalar().toDouble());
}

}  // namespace

at::Tensor rounded_numbers(const Question& q, const Arguments& arguments, const at::Tensor& reference) {
    at::Tensor sum = at::zeros_like(reference, reference.options().dtype(at::kDouble));
    const double coarse = q.own() / q.unit;
    for (std::size_t i = 0; i < arguments.size() && coarse > 1; ++i) {
        if (is_rounded_number(q, i)) {
            sum += coarse * moved_by(q, arguments, i, reference);
        }
    }
    return sum;
}

// All but the argument that only chooses.
at::Tensor condition(const Question& q, const Arguments& arguments, const at::Tensor& reference) {
    const bool chooses = std::strcmp(q.row.op, "aten::hinge_embedding_loss") == 0;  // by target == -1
    const std::size_t choice = chooses ? q.place("target") : arguments.size();
    at::Tensor sum = at::zeros_like(reference, reference.options().dtype(at::kDouble));
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (i != choice && (is_floating(arguments[i]) || is_complex(arguments[i])) &&
            !q.handle.schema().arguments()[i].is_out()) {
            sum += moved_by(q, arguments, i, reference);
        }
    }
    return sum;
}

namespace {

// The arguments at the places that are asked for, where an element of the result is made of one of each
// tensor; false where that is not sure.
bool pick(const Question& q, Arguments* arguments) {
    if (q.handle.hasTag(at::Tag::nondeterministic_seeded)) {
        return false;  // what it draws for an element depends on those before it
    }
    const bool by_channels = std::strcmp(q.row.op, "aten::prelu") == 0;
    for (std::size_t i = 0; i < arguments->size(); ++i) {
        c10::IValue& value = (*arguments)[i];
        if (!value.isTensor() || !value.toTensor().defined() || q.handle.schema().arguments()[i].is_out()) {
            continue;
        }
        const at::Tensor& tensor = value.toTensor();
        if (!is_floating(value) || tensor.is_sparse() || by_channels ||
            (tensor.numel() != 1 && !at::is_expandable_to(tensor.sizes(), q.reference.sizes()))) {
            return false;
        }
        value = gather(tensor, q.reference.sizes(), *q.places);
    }
    return true;
}

Allowance elementwise(const Question& q, bool gated) {
    Arguments arguments = q.arguments;
    const bool picked = q.places != nullptr && pick(q, &arguments);
    if (!picked) {
        arguments = q.arguments;
    }
    const at::Tensor reference = picked ? gather(q.reference, q.reference.sizes(), *q.places) : q.reference;
    at::Tensor magnitude = usable(reference.abs()) + condition(q, arguments, reference);
    if (gated) {
        magnitude = magnitude + usable(arguments.at(0).toTensor().abs());
    }
    return {magnitude * q.row.factor + rounded_numbers(q, arguments, reference), magnitude,
            number(q.row.factor) + (gated ? " u (|x| + |y| + sum |x dy/dx|)" : " u (|y| + sum |x dy/dx|)"),
            picked};
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

// K as the sizes say it: products, and the number that they are added to. 0: they do not.
double known_terms(const Question& q) {
    const std::string_view op = std::string_view(q.row.op).substr(6);  // aten::
    const auto size = [&](std::size_t argument, std::int64_t dim) {
        const at::Tensor& tensor = q.arguments.at(argument).toTensor();
        return static_cast<double>(tensor.dim() > 0 ? tensor.size(dim) : 1);
    };
    if (op == "linear" || op == "matmul" || op == "mm" || op == "bmm" || op == "mv") {
        return size(0, -1) + 1;
    }
    if (op == "addmm" || op == "addmm_" || op == "baddbmm" || op == "baddbmm_") {
        return size(1, -1) + 1;
    }
    if (op == "sum" || op == "mean" || op.find("avg_pool") != std::string_view::npos) {
        return std::max(elements_per_result(q), window(q));
    }
    if (op == "conv1d" || op == "conv2d" || op == "conv3d") {
        const at::Tensor& weight = q.arguments.at(1).toTensor();
        return static_cast<double>(weight.numel()) / std::max(size(1, 0), 1.0) + 1;
    }
    return 0;
}

std::string said_of(double share, const Question& q) {
    if (share == 0) {
        return "half a unit of the last place";
    }
    // K of the share p (2 sqrt(K) + 4)
    const double root = (share / (q.row.factor * rounded_steps(q)) - 4) / 2;
    return number(share) + " u f(|x|), the sum over K = " + number(std::round(root * root)) +
           " of the absolute terms";
}

Allowance product(const Question& q) {
    const double share = product_share(q);
    const at::Tensor magnitude = dense(q.first(magnitudes(q.handle.schema(), q.arguments))).abs();
    at::Tensor allowed = magnitude * share + rounded_numbers(q, q.arguments, q.reference);
    if (const at::Tensor before = rounded_before_bias(q); before.defined()) {
        allowed = allowed + before;
    }
    return {allowed, magnitude, said_of(share, q)};
}

double positive_terms(const Question& q) {
    double terms = elements_per_result(q);
    if (q.reference.dim() > 0 && q.place("dim") < q.arguments.size() && q.reference.numel() > 1 &&
        terms <= 1) {
        terms =
            static_cast<double>(*std::max_element(q.reference.sizes().begin(), q.reference.sizes().end()));
    }
    return terms;
}

Allowance positive(const Question& q) {
    const at::Tensor magnitude = q.reference.abs();
    const double share = positive_share(q);
    return {magnitude * share, magnitude,
            number(share) + " u |y|, K = " + number(std::round(positive_terms(q))) + " terms"};
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

// The program lets attention's own chain of operations round each step to 16 bits.
bool reduced_attention() {
    return at::globalContext().allowFP16BF16ReductionMathSDP();
}

}  // namespace

double summed_terms(const Question& q) {
    double terms = known_terms(q);
    if (terms == 0) {
        terms = largest(dense(q.first(ones(q.handle.schema(), q.arguments))).abs());
    }
    return std::max({terms, elements_per_result(q), window(q)});
}

double product_share(const Question& q) {
    if (const c10::IValue mode = q.get("mode"); mode.isInt() && mode.toInt() == 2) {
        return 0;  // embedding_bag: the largest, rounded no more
    }
    return q.row.factor * (2 * std::sqrt(summed_terms(q)) + 4) * rounded_steps(q);
}

double positive_share(const Question& q) {
    // dist takes differences that are rounded to their type.
    const bool own = std::strcmp(q.row.op, "aten::dist") == 0;
    return q.row.factor * (2 * std::sqrt(positive_terms(q)) + 8) * rounded_steps(q) +
           (own ? 2 * q.own() / q.unit : 0);
}

Allowance allowance(const Question& q) {
    switch (q.row.bound) {
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
        case Bound::group_norm:
        case Bound::batch_norm:
        case Bound::instance_norm:
            return normalisation(q);
        case Bound::loss:
            return loss(q);
        case Bound::cross_entropy:
            return cross_entropy(q);
        case Bound::multi_margin:
            return multi_margin(q);
        case Bound::multilabel_margin:
            return multilabel_margin(q);
        case Bound::triplet_margin:
            return triplet_margin(q);
        case Bound::cosine_embedding:
            return cosine_embedding(q);
        case Bound::ctc:
            return ctc(q);
        case Bound::logits_entropy:
            return logits_entropy(q);
        case Bound::poisson:
            return poisson(q);
        case Bound::soft_margin:
            return soft_margin(q);
        case Bound::cholesky:
            return cholesky(q);
        case Bound::covariance:
            return covariance(q);
        case Bound::matrix_exponential:
            return matrix_exponential(q);
        case Bound::matrix_power:
            return q.get("n").toInt() < 0 ? inverse_power(q) : product(q);
        case Bound::attention:
            return attention_bound(q, reduced_attention() ? Steps::composed : Steps::fused);
        case Bound::incomplete_gamma:
            return incomplete_gamma(q);
        case Bound::running_logsumexp:
            return running_logsumexp(q);
        case Bound::quantised:
        case Bound::unwatched:
        case Bound::none:
        case Bound::exact:
            break;
    }
    return {};
}

Latitude latitude_of(const Question& q) {
    return q.row.library && q.row.bound == Bound::product ? latitude_of_product(*q.operation) : Latitude{};
}

Allowance widened(const Question& q, const Latitude& latitude) {
    Allowance allowed = allowance(q);
    if (allowed.allowed.defined() && latitude.each_term > 0) {
        allowed.allowed = allowed.allowed * latitude.coarser +
                          allowed.magnitude * (latitude.inputs + latitude.each_term * summed_terms(q));
        allowed.words += latitude.words;
    }
    return allowed;
}

}  // namespace fumi::mapping
