#include "tests/bench/detection_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fumi::bench {
namespace {

constexpr double kFalseAlarmSigmas = 8;

// A positive or negative normal number cut or rounded to so many bits, without a call.
double shortened(double x, int bits, bool cut) {
    const int drop = 53 - bits;
    std::uint64_t raw = 0;
    std::memcpy(&raw, &x, sizeof raw);
    if (!cut) raw += ((std::uint64_t{1} << (drop - 1)) - 1) + (raw >> drop & 1);
    raw &= ~((std::uint64_t{1} << drop) - 1);
    std::memcpy(&x, &raw, sizeof x);
    return x;
}

std::vector<unsigned char> encoded(DataType type, const std::vector<float>& values) {
    const auto bytes = static_cast<std::size_t>(element_bytes(type));
    std::vector<unsigned char> raw(values.size() * bytes);
    for (std::size_t i = 0; i < values.size(); ++i) {
        double stored = 0;
        test::encode(type, static_cast<double>(values[i]), &stored);
        std::memcpy(&raw[i * bytes], &stored, bytes);
    }
    return raw;
}

// The rows that a kernel multiplies: of one part, or of two with their three products side by side.
struct Parts {
    std::vector<float> high, low;
};
Parts parts_of(const std::vector<float>& values, const Sums& how) {
    Parts parts{values, {}};
    if (how.input_bits == 0) return parts;
    const auto converted = [&](double x) {
        return static_cast<float>(shortened(x, how.input_bits, how.input_cut));
    };
    if (how.three_products) parts.low.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        parts.high[i] = converted(static_cast<double>(values[i]));
        if (how.three_products)
            parts.low[i] = converted(static_cast<double>(values[i]) - static_cast<double>(parts.high[i]));
    }
    return parts;
}

void add_products(const Shape& s, const Sums& how, const float* a, const std::vector<float>& b,
                  std::vector<double>& sums, std::vector<double>& step) {
    const auto n = static_cast<std::size_t>(s.n);
    for (std::int64_t k0 = 0; k0 < s.k; k0 += how.group) {
        step = sums;
        const std::int64_t end = std::min<std::int64_t>(s.k, k0 + how.group);
        for (std::int64_t k = k0; k < end; ++k) {
            const auto x = static_cast<double>(a[k]);
            const float* row = &b[static_cast<std::size_t>(k) * n];
            for (std::size_t j = 0; j < n; ++j) step[j] += x * static_cast<double>(row[j]);
        }
        for (std::size_t j = 0; j < n; ++j) sums[j] = shortened(step[j], how.bits, how.cut);
    }
}

}  // namespace

float as_type(DataType type, double value) {
    double stored = 0;
    test::encode(type, value, &stored);
    return static_cast<float>(test::decode(type, &stored));
}

std::vector<float> multiply(const Product& p, const Sums& how) {
    const Parts a = parts_of(p.a, how), b = parts_of(p.b, how);
    const auto n = static_cast<std::size_t>(p.shape.n), k = static_cast<std::size_t>(p.shape.k);
    std::vector<float> c(p.c.size());
    std::vector<double> sums(n), step(n);
    for (std::size_t i = 0; i < static_cast<std::size_t>(p.shape.m); ++i) {
        std::fill(sums.begin(), sums.end(), 0.0);
        if (how.three_products) {
            add_products(p.shape, how, &a.low[i * k], b.high, sums, step);
            add_products(p.shape, how, &a.high[i * k], b.low, sums, step);
        }
        add_products(p.shape, how, &a.high[i * k], b.high, sums, step);
        for (std::size_t j = 0; j < n; ++j) c[i * n + j] = p.output(sums[j]);
    }
    return c;
}

float advance(const Product& p, float sum, std::int64_t row, std::int64_t column, std::int64_t from,
              std::int64_t to) {
    const Sums& how = p.operands.legal;
    const auto converted = [&](float x) {
        const auto wide = static_cast<double>(x);
        return how.input_bits > 0 ? shortened(wide, how.input_bits, how.input_cut) : wide;
    };
    auto acc = static_cast<double>(sum);
    for (std::int64_t k0 = from; k0 < to; k0 += how.group) {
        for (std::int64_t k = k0; k < std::min<std::int64_t>(to, k0 + how.group); ++k)
            acc += converted(p.a[static_cast<std::size_t>(row * p.shape.k + k)]) *
                   converted(p.b[static_cast<std::size_t>(k * p.shape.n + column)]);
        acc = std::isfinite(acc) ? shortened(acc, how.bits, how.cut) : acc;
        if (std::fabs(acc) > 0x1.fffffep127) acc = std::copysign(INFINITY, acc);
    }
    return static_cast<float>(acc);
}

double smallest_visible(const Product& p, std::int64_t index) {
    const std::int64_t row = index / p.shape.n, column = index % p.shape.n;
    const BoundNumbers& bound = p.contract.bound;
    double sum = 0, squares = 0, sizes = 0, g = 0;
    for (std::int64_t k = 0; k < p.shape.k; ++k) {
        const double product = static_cast<double>(p.a[static_cast<std::size_t>(row * p.shape.k + k)]) *
                               static_cast<double>(p.b[static_cast<std::size_t>(k * p.shape.n + column)]);
        sum += product;
        squares += sum * sum;
        sizes += std::fabs(sum);
        g += std::fabs(product);
    }
    const int bits = precision_bits(p.operands.output);
    const double spacing =
        bits < bound.accumulator_bits ? std::ldexp(1.0, std::ilogb(std::fabs(sum) + 1e-300) - bits) : 0;
    return kFalseAlarmSigmas * 0.4247 * bound.u_acc * std::sqrt(squares) +
           2 * bound.beta_t * bound.u_acc * sizes + bound.input_error * g + spacing;
}

Product::Product(const Operands& kind, const Shape& size, test::Distribution distribution, std::mt19937_64& g)
    : operands(kind), shape(size) {
    CallFacts facts;
    facts.a = facts.b = kind.type;
    facts.output = kind.output;
    facts.tf32_allowed = kind.tf32;
    contract = contract_for(facts);
    a.resize(static_cast<std::size_t>(size.m * size.k));
    b.resize(static_cast<std::size_t>(size.k * size.n));
    c.resize(static_cast<std::size_t>(size.m * size.n));
    r.resize(c.size());
    const auto draw = test::draws(distribution, g);
    for (auto* all : {&a, &b})
        for (float& x : *all) x = as_type(kind.type, draw());
    c = multiply(*this, kind.legal);
    reference();
    a_bytes_ = encoded(kind.type, a);
    b_bytes_ = encoded(kind.type, b);
    d_bytes_ = encoded(kind.output, c);
    problem.m = size.m;
    problem.n = size.n;
    problem.k = size.k;
    problem.beta.re = 0;
    problem.a = {a_bytes_.data(), nullptr, size.k, 1, 0, kind.type, false};
    problem.b = {b_bytes_.data(), nullptr, size.n, 1, 0, kind.type, false};
    problem.d = {d_bytes_.data(), nullptr, size.n, 1, 0, kind.output, false};
}

float Product::output(double x) const {
    return operands.output == DataType::f32 ? static_cast<float>(x) : as_type(operands.output, x);
}

void Product::store(std::int64_t index, float x) {
    const auto bytes = static_cast<std::size_t>(element_bytes(operands.output));
    double stored = 0;
    test::encode(operands.output, static_cast<double>(x), &stored);
    std::memcpy(&d_bytes_[static_cast<std::size_t>(index) * bytes], &stored, bytes);
}

void Product::reference() {
    const auto n = static_cast<std::size_t>(shape.n);
    for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
        double* sums = &r[i * n];
        for (std::size_t k = 0; k < static_cast<std::size_t>(shape.k); ++k) {
            const auto x = static_cast<double>(a[i * static_cast<std::size_t>(shape.k) + k]);
            const float* row = &b[k * n];
            for (std::size_t j = 0; j < n; ++j) sums[j] += x * static_cast<double>(row[j]);
        }
    }
}

}  // namespace fumi::bench
