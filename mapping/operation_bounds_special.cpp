// Bounds of incomplete gamma functions and running log-sum-exp.
#include <ATen/ATen.h>

#include <cstring>

#include "mapping/operation_narrow.h"
#include "mapping/operation_question.h"

namespace fumi::mapping {

// exp(a log x - x - log Gamma(a)) times a series of either function, whichever is below 1, or Temme's
// expansion.
Allowance incomplete_gamma(const Question& q) {
    const at::Tensor& a = q.arguments.at(0).toTensor();
    const at::Tensor& x = q.arguments.at(1).toTensor();
    const at::Tensor exponent = usable((a * x.log()).abs()) + x.abs() + usable(at::lgamma(a).abs());
    const at::Tensor y = usable(q.reference.abs());
    const at::Tensor factor = at::minimum(y, 1 - y);
    const at::Tensor series = at::where(x <= 1, y, factor);
    const at::Tensor magnitude = y + condition(q, q.arguments, q.reference) + exponent * series;
    at::Tensor allowed = magnitude * q.row.factor;
    std::string words =
        number(q.row.factor) + " u (y + sum |x dy/dx| + (|a log x| + x + |log Gamma(a)|) min(y, 1 - y))";
    if (std::strncmp(q.row.op, "aten::igammac", 13) == 0) {
        allowed = allowed + 2 * (x <= 1.1);
        words += ", and 2 u where y is 1 less a series";
    }
    return {allowed, magnitude, words};
}

// y_i = log(exp(y_(i-1)) + exp(x_i)): each step loses u (|y| + 1) and the next ones damp it by exp(y_j -
// y_i).
Allowance running_logsumexp(const Question& q) {
    const at::Tensor& y = q.reference;
    const std::int64_t dim = q.get("dim").toInt();
    const double share = (root(y.dim() > 0 ? y.size(dim) : 1) + 8) * rounded_steps(q);
    const at::Tensor finite = at::nan_to_num(y, 0.0, 0.0, -1e300);
    const at::Tensor weighed = finite + (finite.abs() + 1).log();
    const at::Tensor damped = y.dim() > 0 ? std::get<0>(weighed.cummax(dim)) : weighed;
    const at::Tensor magnitude = usable(at::where(y.isfinite(), (damped - finite).exp(), 0.0));
    return {magnitude * share, magnitude, number(share) + " u max (|y_j| + 1) exp(y_j - y_i)"};
}

}  // namespace fumi::mapping
