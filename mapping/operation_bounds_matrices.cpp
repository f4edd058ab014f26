// Bounds of functions of whole matrices.
#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <utility>

#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

// Of the errors e of x: those of x^2.
at::Tensor squared(const at::Tensor& magnitude, const at::Tensor& error, double share, double unit) {
    return at::matmul(magnitude, error) + at::matmul(error, magnitude) + at::matmul(error, error) * unit +
           share * at::matmul(magnitude, magnitude);
}

}  // namespace

// L is the exact factor of a matrix near A (Higham 2002, theorem 10.3); how far L itself is off depends on
// A's condition, so that A and L L^T are compared. What stands above the diagonal must be 0.
Allowance cholesky(const Question& q) {
    const bool upper = q.get("upper").toBool();
    const at::Tensor result = q.result().to(at::kDouble);
    const at::Tensor factor = upper ? result.mT() : result;
    const at::Tensor low = factor.tril();
    const at::Tensor a = q.arguments.at(0).toTensor();
    const double share = root(a.size(-1)) + 4;
    Allowance all;
    all.magnitude = at::matmul(low.abs(), low.abs().mT()).tril();
    all.allowed = share * all.magnitude;
    all.words = number(share) + " u |L| |L^T| of A - L L^T";
    all.value = (at::matmul(low, low.mT()).tril() + factor.triu(1)).contiguous();
    all.expected = (upper ? a.mT() : a).tril().contiguous();
    return all;
}

// (x - mean) w (x - mean)^T / n with the errors of the mean.
Allowance covariance(const Question& q) {
    const at::Tensor& self = q.arguments.at(0).toTensor();
    const at::Tensor x = self.dim() < 2 ? self.reshape({1, -1}) : self;
    const double correction = q.get("correction").toScalar().toDouble();
    const at::Tensor frequencies = q.tensor("fweights");
    const at::Tensor weights = q.tensor("aweights");
    at::Tensor w = at::ones({x.size(1)}, x.options());
    w = frequencies.defined() ? w * frequencies : w;
    w = weights.defined() ? w * weights : w;
    const double sum = w.sum().item<double>();
    const double share = root(x.size(1)) + 6;
    double less = correction;
    if (weights.defined() && correction != 0) {
        less = correction * (w * weights).sum().item<double>() / sum;
    }
    const double divisor = sum - less;
    if (!(divisor > 0)) {
        return {};  // not a number, or infinite
    }
    const at::Tensor mean_size = ((x * w).abs().sum(1) / sum).unsqueeze(1);
    const at::Tensor apart = (x - ((x * w).sum(1) / sum).unsqueeze(1)).abs();
    const at::Tensor error = share * mean_size + apart;
    const at::Tensor product = at::matmul(apart, (apart * w.abs()).mT());
    const double relative = share + share * (std::fabs(sum) + std::fabs(less)) / divisor;
    at::Tensor allowed =
        (at::matmul(error, (apart * w.abs()).mT()) + at::matmul(apart * w.abs(), error.mT()) +
         q.unit * at::matmul(error, (error * w.abs()).mT()) + relative * product) /
        divisor;
    allowed = at::where(product < q.most(), allowed, 1e300).reshape(q.reference.sizes());
    return {allowed, allowed,
            "u ((2 sqrt(n) + 6) (mean|x| |x - mean| + |x - mean| |x - mean|) + ...) summed over n"};
}

namespace {

// What the polynomials of torch leave out of exp(X): sum over k > m of |X|^k / k!, m by the 1-norm as
// ATen/native/LinearAlgebra.cpp has it for fp32. Nothing beside X, but all of an element that only long
// products reach.
at::Tensor left_out(const at::Tensor& magnitude, const at::Tensor& norm) {
    constexpr std::array<std::pair<double, double>, 5> degrees{
        {{1.193e-7, 1}, {5.979e-4, 2}, {5.117e-2, 4}, {5.801e-1, 8}, {1.4617, 12}}};
    at::Tensor degree = at::full_like(norm, 18);
    for (auto next = degrees.rbegin(); next != degrees.rend(); ++next) {
        degree = at::where(norm <= next->first, next->second, degree);
    }
    at::Tensor power = magnitude;
    at::Tensor sum = at::zeros_like(magnitude);
    for (int k = 1; k <= 18 + 8; ++k) {
        sum += at::where(degree < k, power, 0.0);
        power = at::matmul(power, magnitude) / (k + 1);
    }
    return sum;
}

}  // namespace

// Scaling and squaring: the polynomial of A / 2^s, then s squares, each with the errors of those before.
Allowance matrix_exponential(const Question& q) {
    const at::Tensor& a = q.arguments.at(0).toTensor();
    const std::int64_t n = a.size(-1);
    constexpr double unscaled = 3;    // the 1-norm that torch's polynomial of degree 18 is for, in fp32
    constexpr double polynomial = 8;  // products and sums of Bader, Blanes and Casas' scheme
    constexpr double most = 64;
    const at::Tensor norm = a.abs().sum(-2, true).amax(-1, true);
    const at::Tensor squares = (norm / unscaled).log2().ceil().clamp(0, most);
    const at::Tensor scaled = a * at::exp2(-squares);
    const double share = root(n) + 4;
    at::Tensor x = at::matrix_exp(scaled);
    at::Tensor error =
        polynomial * share * at::matrix_exp(scaled.abs()) + left_out(scaled.abs(), norm) / q.unit;
    const auto rounds = static_cast<std::int64_t>(largest(squares));
    for (std::int64_t i = 0; i < rounds; ++i) {
        const at::Tensor goes_on = squares > static_cast<double>(i);
        const at::Tensor next = squared(x.abs(), error, share, q.unit);
        error = at::where(goes_on, next, error);
        x = at::where(goes_on, at::matmul(x, x), x);
    }
    return {error, error,
            "8 (2 sqrt(n) + 4) u exp(|A| / 2^s) and what its polynomial leaves out, carried through " +
                number(static_cast<double>(rounds)) + " squares"};
}

// A^-n: the inverse by elimination, |dX| <= c u |X| |A| |X| (Higham 2002, 14.2), and its products.
Allowance inverse_power(const Question& q) {
    const at::Tensor& a = q.arguments.at(0).toTensor();
    const auto power = -q.get("n").toInt();
    const double share = root(a.size(-1)) + 4;
    const at::Tensor size = at::linalg_inv(a).abs();
    const at::Tensor first = 4 * share * at::matmul(size, at::matmul(a.abs(), size));
    at::Tensor error = first;
    at::Tensor product = size;
    for (std::int64_t i = 1; i < power; ++i) {
        error = at::matmul(error, size) + at::matmul(product, first) + share * at::matmul(product, size);
        product = at::matmul(product, size);
    }
    return {error, product, "4 (2 sqrt(n) + 4) u |X| |A| |X| of the inverse X, and its products"};
}

}  // namespace fumi::mapping
