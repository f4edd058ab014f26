#include "tests/bench/detection_rules.h"

#include <algorithm>
#include <cmath>

namespace fumi::bench {
namespace {

double error(const Product& p, std::int64_t i, double value) {
    return std::fabs(value - p.r[static_cast<std::size_t>(i)]);
}
double reference(const Product& p, std::int64_t i) {
    return std::fabs(p.r[static_cast<std::size_t>(i)]);
}
double by_type(const Product& p, double f32, double f16, double bf16) {
    return p.operands.output == DataType::f32 ? f32 : (p.operands.output == DataType::f16 ? f16 : bf16);
}

bool torch_testing(const Product& p, std::int64_t i, double value) {
    return !(error(p, i, value) <= 1e-5 + by_type(p, 1.3e-6, 1e-3, 1.6e-2) * reference(p, i));
}
bool kernel_bench(const Product& p, std::int64_t i, double value) {
    const double tolerance = by_type(p, 1e-4, 1e-2, 1e-2);
    return !(error(p, i, value) <= tolerance + tolerance * reference(p, i));
}
bool cutlass(const Product& p, std::int64_t i, double value) {
    // |a - b| / (|a| + |b|), and 0 where both are.
    const double size = std::fabs(value) + reference(p, i);
    return size > 0 && !(error(p, i, value) / size < 0.05);
}
bool python_fumi(const Product& p, std::int64_t i, double value) {
    const double size = std::fabs(value + p.r[static_cast<std::size_t>(i)]);
    return error(p, i, value) > 0 && !(error(p, i, value) <= by_type(p, 1e-4, 1e-3, 1e-2) * size);
}
bool msprobe_relative(const Product& p, std::int64_t i, double value) {
    return !(error(p, i, value) <= 1e-3 * reference(p, i));
}
bool msprobe_ulp(const Product& p, std::int64_t i, double value) {
    const int bits = precision_bits(p.operands.output);
    const double r = reference(p, i);
    const double ulp = r > 0 ? std::ldexp(1.0, std::max(std::ilogb(r), -126) - bits + 1) : 0;
    return !(error(p, i, value) <= ulp);
}

}  // namespace

const ElementRule kRules[kElementRules] = {
    {"torch.testing", 0, torch_testing},
    {"KernelBench", 0, kernel_bench},
    {"cutlass", 0, cutlass},
    {"Python FuMi", 0, python_fumi},
    {"msprobe rel.", 1e-3, msprobe_relative},
    {"msprobe ULP", 1e-3, msprobe_ulp},
};

Judge::Judge(const Product& product) : product_(product) {
    for (std::int64_t i = 0; i < product.shape.m * product.shape.n; ++i) {
        const auto value = static_cast<double>(product.value(i));
        for (int rule = 0; rule < kElementRules; ++rule)
            counts_[rule] += kRules[rule].flags(product, i, value) ? 1 : 0;
    }
}

bool Judge::over(int rule, std::int64_t count) const {
    return static_cast<double>(count) >
           kRules[rule].allowed * static_cast<double>(product_.shape.m * product_.shape.n);
}

bool Judge::flags(int rule, const Changes& changes) const {
    std::int64_t count = counts_[rule];
    for (const Change& change : changes) {
        if (!std::isfinite(change.value)) return true;
        const auto old = static_cast<double>(product_.value(change.index));
        count += (kRules[rule].flags(product_, change.index, static_cast<double>(change.value)) ? 1 : 0) -
                 (kRules[rule].flags(product_, change.index, old) ? 1 : 0);
    }
    return over(rule, count);
}

}  // namespace fumi::bench
