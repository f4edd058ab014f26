#include "mapping/operation_linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "mapping/operation_narrow.h"
#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

// The operands in which an operation is linear are `first` and the `count - 1` behind it; what else it is
// given is added to the products.
struct Linear {
    std::string_view op;
    std::size_t first, count;
    bool complex;  // bounded where operands are complex
};

constexpr std::array linear_operations = {
    Linear{"linear", 0, 2, true},
    Linear{"matmul", 0, 2, true},
    Linear{"mm", 0, 2, true},
    Linear{"bmm", 0, 2, true},
    Linear{"mv", 0, 2, true},
    Linear{"dot", 0, 2, true},
    Linear{"vdot", 0, 2, true},
    Linear{"inner", 0, 2, true},
    Linear{"addmm", 1, 2, true},
    Linear{"addmm_", 1, 2, true},
    Linear{"baddbmm", 1, 2, true},
    Linear{"baddbmm_", 1, 2, true},
    Linear{"addmv", 1, 2, true},
    Linear{"addmv_", 1, 2, true},
    Linear{"conv1d", 0, 2, false},
    Linear{"conv2d", 0, 2, false},
    Linear{"conv3d", 0, 2, false},
    Linear{"conv_transpose1d", 0, 2, false},
    Linear{"conv_transpose2d", 0, 2, false},
    Linear{"conv_transpose3d", 0, 2, false},
    Linear{"sum", 0, 1, true},
    Linear{"mean", 0, 1, true},
    Linear{"cumsum", 0, 1, false},
    Linear{"avg_pool1d", 0, 1, false},
    Linear{"avg_pool2d", 0, 1, false},
    Linear{"avg_pool3d", 0, 1, false},
    Linear{"adaptive_avg_pool1d", 0, 1, false},
    Linear{"adaptive_avg_pool2d", 0, 1, false},
    Linear{"adaptive_avg_pool3d", 0, 1, false},
};

const Linear* linear(const c10::OperatorHandle& operation) {
    const std::string_view op = std::string_view(operation.schema().name()).substr(6);  // aten::
    const auto* const found = std::find_if(linear_operations.begin(), linear_operations.end(),
                                           [&](const Linear& known) { return known.op == op; });
    return found != linear_operations.end() ? found : nullptr;
}

// x = high + low, both exact: high has so few bits, all of them multiples of one number, that sums of its
// products are exact in fp64 in any order.
struct Parts {
    at::Tensor high, low;
};

Parts parts_of(const at::Tensor& x, int bits) {
    if (x.is_complex()) {
        const Parts both = parts_of(at::view_as_real(x.resolve_conj()), bits);
        return {at::view_as_complex(both.high), at::view_as_complex(both.low)};
    }
    const at::Tensor finite = at::nan_to_num(x, 0.0, 0.0, 0.0);
    const double most = finite.numel() > 0 ? finite.abs().amax().item<double>() : 0;
    const double quantum = std::ldexp(1.0, std::max(most > 0 ? std::ilogb(most) + 1 - bits : 0, -1074));
    const at::Tensor high = at::round(finite / quantum) * quantum;
    return {high, finite - high};
}

bool is_finite(const at::Tensor& x) {
    return x.isfinite().all().item<bool>();
}

std::uint64_t mixed(std::uint64_t key) {  // the finaliser of SplitMix64
    key = (key ^ (key >> 30U)) * 0xbf58476d1ce4e5b9U;
    key = (key ^ (key >> 27U)) * 0x94d049bb133111ebU;
    return key ^ (key >> 31U);
}

// 1 or -1 by a hash of each number, the same for equal ones; 0 of 0.
at::Tensor signs_of(const at::Tensor& x, std::uint64_t key) {
    const auto odd = [&](std::uint64_t which) {
        return static_cast<std::int64_t>(mixed(2 * key + which + 0x9e3779b97f4a7c15U) | 1U);
    };
    at::Tensor bits = x.contiguous().view(at::kLong) * odd(0);
    bits = (bits ^ at::bitwise_right_shift(bits, 32)) * odd(1);
    return (1 - 2 * (bits < 0).to(at::kDouble)) * (x != 0);
}

class LinearRun {
  public:
    LinearRun(const Question& q, const Linear& linear) : q_(q), linear_(linear), products_(q.arguments) {
        const Arguments nothing = with_operands([](const at::Tensor& t) { return at::zeros_like(t); });
        for (std::size_t i = 0; i < products_.size(); ++i) {
            const bool operand = i >= linear.first && i < linear.first + linear.count;
            if (!operand && (is_floating(products_[i]) || is_complex(products_[i]))) {
                added_ = q.first(nothing);
                products_[i] =
                    with_tensors(products_[i], [](const at::Tensor& t) { return at::zeros_like(t); });
            }
        }
        if (const std::size_t alpha = q.place("alpha"); alpha < products_.size()) {
            alpha_ = products_[alpha].toScalar();
            products_[alpha] = std::int64_t{1};
        }
    }

    // terms: how many products one sum has at most; share: B / u of the operation's own rounding.
    Doubled in_parts(double terms, double share, const at::Tensor& magnitude) const {
        const int spare = std::ilogb(terms) + 1 + (is_complex(q_.arguments[linear_.first]) ? 2 : 0);
        const int bits = (53 - spare) / static_cast<int>(linear_.count);
        const Arguments sizes = magnitudes(q_.handle.schema(), products_);
        const Parts a = parts_of(operand(0), bits);
        at::Tensor sum, rounded;
        if (linear_.count == 1) {
            sum = product(products_, a.high) + product(products_, a.low);
            rounded = product(sizes, a.low.abs());
        } else {
            const Parts b = parts_of(operand(1), bits);
            const at::Tensor low =
                product(products_, a.high, b.low) + product(products_, a.low, b.high + b.low);
            sum = product(products_, a.high, b.high) + low;
            rounded = product(sizes, a.high.abs(), b.low.abs()) +
                      product(sizes, a.low.abs(), (b.high + b.low).abs());
        }
        const at::Tensor lost = usable(rounded * std::abs(alpha_.toComplexDouble()));
        const double last = 4 * q_.row.factor;  // alpha, two sums, and the reference itself
        return {finished(sum * alpha_),
                {magnitude * (share + last) + lost * share, magnitude,
                 number(share + last) + " u f(|x|), the sum over K = " + number(terms) +
                     " of the absolute terms"}};
    }

    // sum r_i^2 / K^2, r_i how often the i-th of an element's K products occurs in its sum: the mean square
    // of the same sums of products of random signs, each number's its own (Alon, Matias and Szegedy 1999).
    at::Tensor repeats() const {
        constexpr std::uint64_t tries = 16;
        const auto both = [&](const std::function<at::Tensor(const at::Tensor&, std::uint64_t)>& of,
                              std::uint64_t key) {
            return linear_.count == 1 ? product(products_, of(operand(0), key))
                                      : product(products_, of(operand(0), key), of(operand(1), key + tries));
        };
        const at::Tensor all = both([](const at::Tensor& x, std::uint64_t) { return at::ones_like(x); }, 0);
        at::Tensor squares = at::zeros_like(all);
        for (std::uint64_t i = 0; i < tries; ++i) {
            squares += both(signs_of, i).square();
        }
        return usable(squares / (all.square() * static_cast<double>(tries)));
    }

  private:
    const at::Tensor& operand(std::size_t which) const {
        return q_.arguments.at(linear_.first + which).toTensor();
    }

    Arguments with_operands(const std::function<at::Tensor(const at::Tensor&)>& change) const {
        Arguments changed = q_.arguments;
        for (std::size_t i = 0; i < linear_.count; ++i) {
            changed[linear_.first + i] = change(operand(i));
        }
        return changed;
    }

    // What is not finite, or leaves the range of fp64 on its way, comes out of a plain run as it should.
    at::Tensor finished(const at::Tensor& products) const {
        at::Tensor reference = added_.defined() ? products + added_ : products;
        if (is_finite(reference) && is_finite(operand(0)) && (linear_.count == 1 || is_finite(operand(1)))) {
            return reference;
        }
        const at::Tensor plain = q_.first(q_.arguments);
        return at::where(plain.isfinite().logical_and(reference.isfinite()), reference, plain);
    }

    // The operation on these operands alone: nothing is added, and alpha is 1.
    at::Tensor product(Arguments others, const at::Tensor& a, const at::Tensor& b = {}) const {
        others[linear_.first] = a;
        if (b.defined()) {
            others[linear_.first + 1] = b;
        }
        return q_.first(others);
    }

    const Question& q_;
    const Linear& linear_;
    Arguments products_;
    at::Tensor added_;
    at::Scalar alpha_ = 1;
};

}  // namespace

bool is_linear(const c10::OperatorHandle& operation, bool complex) {
    const Linear* const found = linear(operation);
    return found != nullptr && (found->complex || !complex);
}

namespace {

double terms_of(const Question& q, double share) {
    const double root = (share / (q.row.factor * rounded_steps(q)) - 4) / 2;
    return std::round(root * root);
}

}  // namespace

Doubled rerun_in_parts(const Question& q) {
    const double share = product_share(q);
    const at::Tensor magnitude = q.first(magnitudes(q.handle.schema(), q.arguments)).abs();
    return LinearRun(q, *linear(q.handle)).in_parts(terms_of(q, share), share, magnitude);
}

at::Tensor share_of_repeats(const Question& q) {
    const Linear* const known = linear(q.handle);
    if (known == nullptr || q.row.bound != Bound::product ||
        std::any_of(q.arguments.begin(), q.arguments.end(), is_complex)) {
        return {};
    }
    const double terms = terms_of(q, product_share(q));
    const at::Tensor walk = 2 * terms * (2 * LinearRun(q, *known).repeats()).sqrt();
    return q.row.factor * rounded_steps(q) * (walk.clamp_max(terms) - root(std::llround(terms))).clamp_min(0);
}

}  // namespace fumi::mapping
