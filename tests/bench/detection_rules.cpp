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
    return p.type == DataType::f32 ? f32 : (p.type == DataType::f16 ? f16 : bf16);
}

bool ours(const Product& p, std::int64_t i, double value) {
    return !(error(p, i, value) <= p.bound[static_cast<std::size_t>(i)]);
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
    const int bits = precision_bits(p.type);
    const double r = reference(p, i);
    const double ulp = r > 0 ? std::ldexp(1.0, std::max(std::ilogb(r), -126) - bits + 1) : 0;
    return !(error(p, i, value) <= ulp);
}

}  // namespace

const ElementRule kRules[kElementRules] = {
    {"FuMi full", 0, ours},
    {"torch.testing", 0, torch_testing},
    {"KernelBench", 0, kernel_bench},
    {"cutlass", 0, cutlass},
    {"Python FuMi", 0, python_fumi},
    {"msprobe rel.", 1e-3, msprobe_relative},
    {"msprobe ULP", 1e-3, msprobe_ulp},
};

Judge::Judge(const Product& product) : product_(product) {
    for (std::int64_t i = 0; i < product.size * product.size; ++i) {
        const double value = product.c[static_cast<std::size_t>(i)];
        for (int rule = 0; rule < kElementRules; ++rule)
            counts_[rule] += kRules[rule].flags(product, i, value) ? 1 : 0;
    }
}

bool Judge::over(int rule, std::int64_t count) const {
    return static_cast<double>(count) >
           kRules[rule].allowed * static_cast<double>(product_.size * product_.size);
}

bool Judge::flags(int rule, const std::vector<Change>& changes) const {
    std::int64_t count = counts_[rule];
    for (const Change& change : changes) {
        if (!std::isfinite(change.value)) return true;
        const double old = product_.c[static_cast<std::size_t>(change.index)];
        count += (kRules[rule].flags(product_, change.index, change.value) ? 1 : 0) -
                 (kRules[rule].flags(product_, change.index, old) ? 1 : 0);
    }
    return over(rule, count);
}

bool Judge::checksum_flags(const std::vector<Change>& changes, int block, std::mt19937_64& g) const {
    const std::int64_t n = product_.size, blocks = (n + block - 1) / block;
    std::vector<double> sign(static_cast<std::size_t>(n));
    for (double& s : sign) s = (g() >> 40 & 1) != 0 ? 1 : -1;
    // What the changes add to the sums of their rows and blocks, on top of the clean kernel's own.
    std::vector<double> added(static_cast<std::size_t>(n * blocks), 0.0);
    std::vector<char> touched(added.size(), 0);
    for (const Change& change : changes) {
        if (!std::isfinite(change.value)) return true;
        const std::int64_t row = change.index / n, column = change.index % n;
        const auto cell = static_cast<std::size_t>(row * blocks + column / block);
        const double old = product_.c[static_cast<std::size_t>(change.index)];
        added[cell] += sign[static_cast<std::size_t>(column)] * (change.value - old);
        touched[cell] = 1;
    }
    for (std::size_t cell = 0; cell < added.size(); ++cell) {
        if (touched[cell] == 0 && !changes.empty()) continue;
        const auto row = static_cast<std::int64_t>(cell) / blocks;
        const std::int64_t first = static_cast<std::int64_t>(cell) % blocks * block;
        double sum = added[cell], variance = 0;
        for (std::int64_t j = first; j < std::min(n, first + block); ++j) {
            const auto i = static_cast<std::size_t>(product_.at(row, j));
            sum += sign[static_cast<std::size_t>(j)] * (product_.c[i] - product_.r[i]);
            variance += product_.sigma2[i];
        }
        if (sum * sum > 36 * variance) return true;
    }
    return false;
}

bool Judge::cross_flags(const std::vector<Change>& changes, std::mt19937_64& g) const {
    const std::int64_t n = product_.size, count = std::min<std::int64_t>(64, n);
    std::vector<char> rows(static_cast<std::size_t>(n), 0), columns(rows);
    for (std::vector<char>* chosen : {&rows, &columns}) {
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t low = n * i / count, high = n * (i + 1) / count;
            (*chosen)[static_cast<std::size_t>(
                low + static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(high - low)))] = 1;
        }
    }
    return std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
        return rows[static_cast<std::size_t>(change.index / n)] != 0 &&
               columns[static_cast<std::size_t>(change.index % n)] != 0 &&
               ours(product_, change.index, change.value);
    });
}

}  // namespace fumi::bench
