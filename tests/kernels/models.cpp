#include "tests/kernels/models.h"

#include <algorithm>
#include <cmath>

namespace fumi::test {
namespace {

using Products = std::vector<double>;

float chain(const Products& a, const Products& b, std::size_t from, std::size_t to, std::size_t step,
            bool fused) {
    float sum = 0;
    for (std::size_t k = from; k < to; k += step) {
        const auto x = static_cast<float>(a[k]), y = static_cast<float>(b[k]);
        if (fused) {
            sum = std::fma(x, y, sum);
        } else {
            const volatile float product = x * y;
            sum += product;
        }
    }
    return sum;
}

// One step of a tensor core: the products and the sum so far, exact, are cut off F bits below the largest,
// then added; the sum is cut to an fp32.
double tensor_step(const Products& a, const Products& b, std::size_t from, std::size_t to, double sum,
                   int bits) {
    double largest = std::fabs(sum);
    for (std::size_t k = from; k < to; ++k) largest = std::max(largest, std::fabs(a[k] * b[k]));
    if (largest == 0) return 0;
    const int exponent = std::ilogb(largest);
    const auto cut = [&](double x) { return std::trunc(std::ldexp(x, bits - exponent)); };
    double total = cut(sum);
    for (std::size_t k = from; k < to; ++k) total += cut(a[k] * b[k]);
    return truncate_to(std::ldexp(total, exponent - bits), 24);
}

double tensor_core(const Products& a, const Products& b, const Arithmetic& how) {
    double sum = 0;
    const auto step = static_cast<std::size_t>(how.fused_products);
    for (std::size_t k = 0; k < a.size(); k += step) {
        sum = tensor_step(a, b, k, std::min(a.size(), k + step), sum, how.fraction_bits);
        if (how.accumulator_bits < 24) sum = round_to(sum, how.accumulator_bits);
    }
    return sum;
}

double narrow_chain(const Products& a, const Products& b, int bits) {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) sum = round_to(sum + a[k] * b[k], bits);
    return sum;
}

}  // namespace

double dot(const Products& a, const Products& b, const Arithmetic& how) {
    const std::size_t k = a.size();
    if (how.accumulator_bits < 24 && how.model != Model::tensor_core)
        return narrow_chain(a, b, how.accumulator_bits);
    switch (how.model) {
        case Model::tensor_core:
            return tensor_core(a, b, how);
        case Model::sequential:
            return chain(a, b, 0, k, 1, false);
        case Model::fused:
            return chain(a, b, 0, k, 1, true);
        case Model::blocked: {
            float sum = 0;
            for (std::size_t from = 0; from < k; from += 64)
                sum += chain(a, b, from, std::min(k, from + 64), 1, true);
            return sum;
        }
        case Model::split: {
            float part[8];
            for (std::size_t i = 0; i < 8; ++i) part[i] = chain(a, b, i, k, 8, true);
            return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
        }
    }
    return 0;
}

namespace {

// The elements of a row of A or a column of B as the kernel multiplies them. Two parts: (low, high, high) of
// A against (high, low, high) of B.
Products line(const MatrixView& view, std::int64_t index, std::int64_t k, bool row, std::int64_t batch,
              const Arithmetic& how) {
    const auto size = static_cast<std::size_t>(k);
    Products all(how.three_products ? 3 * size : size);
    const auto converted = [&](double x) {
        if (how.input_bits == 0) return x;
        return how.input_rounding ? round_to(x, how.input_bits) : truncate_to(x, how.input_bits);
    };
    for (std::size_t i = 0; i < size; ++i) {
        const auto at = static_cast<std::int64_t>(i);
        const double x = (row ? read(view, index, at, batch) : read(view, at, index, batch)).real();
        const double high = converted(x);
        all[i] = high;
        if (!how.three_products) continue;
        all[size + i] = all[2 * size + i] = high;
        all[row ? i : size + i] = converted(x - high);
    }
    return all;
}

double rounded_to_type(DataType type, double value) {
    double stored = 0;
    encode(type, value, &stored);
    return decode(type, &stored);
}

double split_dot(const Products& a, const Products& b, const Arithmetic& how, DataType output) {
    const auto parts = static_cast<std::size_t>(how.split_parts);
    const std::size_t part = ((a.size() + parts - 1) / parts + 15) / 16 * 16;
    double sum = 0;
    for (std::size_t from = 0; from < a.size(); from += part) {
        const std::size_t to = std::min(a.size(), from + part);
        const auto slice = [&](const Products& x) {
            return Products(x.begin() + static_cast<std::ptrdiff_t>(from),
                            x.begin() + static_cast<std::ptrdiff_t>(to));
        };
        const double partial = rounded_to_type(output, dot(slice(a), slice(b), how));
        sum = how.split_in_order ? rounded_to_type(output, sum + partial)
                                 : static_cast<double>(static_cast<float>(sum + partial));
    }
    return sum;
}

double bias_of(const GemmProblem& p, std::int64_t row) {
    return p.bias == nullptr
               ? 0.0
               : decode(p.bias_type, static_cast<const char*>(p.bias) + row * element_bytes(p.bias_type));
}

void flip_exponent_bit(Workload& w, std::int64_t row, std::int64_t col) {
    const double x = read(w.problem.d, row, col, 0).real();
    int exponent = 0;
    std::frexp(x, &exponent);
    // The lowest exponent bit: the number doubles or halves.
    write(w.problem.d, row, col, 0, x * (exponent % 2 == 0 ? 2.0 : 0.5));
}

}  // namespace

void compute(Workload& w, const Arithmetic& how) {
    const GemmProblem& p = w.problem;
    for (std::int64_t batch = 0; batch < p.batch; ++batch) {
        std::vector<Products> columns;
        for (std::int64_t col = 0; col < p.n; ++col)
            columns.push_back(line(p.b, col, p.k, false, batch, how));
        for (std::int64_t row = 0; row < p.m; ++row) {
            const Products a = line(p.a, row, p.k, true, batch, how);
            const auto bias = static_cast<float>(bias_of(p, row));
            for (std::int64_t col = 0; col < p.n; ++col) {
                const Products& b = columns[static_cast<std::size_t>(col)];
                const auto sum =
                    static_cast<float>(how.split_parts > 1 ? split_dot(a, b, how, p.d.type) : dot(a, b, how));
                write(p.d, row, col, batch, static_cast<double>(sum + bias));
            }
        }
    }
}

bool compute_with_fault(Workload& w, const std::string& fault, std::mt19937_64& g) {
    const GemmProblem& p = w.problem;
    const auto any = [&](std::int64_t size) {
        return static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(size));
    };
    const std::int64_t row = any(p.m), col = any(p.n), dropped = any(p.k);
    Arithmetic how;
    if (fault == "round_inputs_bf16" || fault == "round_inputs_tf32") {
        how.input_bits = fault == "round_inputs_bf16" ? 8 : 11;
        how.input_rounding = true;
        if (precision_bits(p.a.type) <= how.input_bits) return false;
    }
    if (fault == "fp16_accumulate") how.accumulator_bits = 11;
    compute(w, how);
    const auto set = [&](std::int64_t r, std::int64_t c, double x) { write(p.d, r, c, 0, x); };
    const auto at = [&](std::int64_t r, std::int64_t c) { return read(p.d, r, c, 0).real(); };
    if (fault == "one_element") {
        // An error that the output type can show at all, relative to what flowed into the element.
        set(row, col, at(row, col) + 0.1 * naive(p, row, col, 0).g);
    } else if (fault == "bit_flip") {
        flip_exponent_bit(w, row, col);
    } else if (fault == "nan") {
        set(row, col, NAN);
    }
    for (std::int64_t r = 0; r < p.m; ++r) {
        if (fault == "swap_columns") {
            const double left = at(r, 0);
            set(r, 0, at(r, 1));
            set(r, 1, left);
        }
        for (std::int64_t c = 0; c < p.n; ++c) {
            if (fault == "drop_k")
                set(r, c, at(r, c) - (read(p.a, r, dropped, 0) * read(p.b, dropped, c, 0)).real());
            if (fault == "zero_tile" && r / 16 == row / 16 && c / 8 == col / 8) set(r, c, 0);
            if (fault == "negate_row" && r == row) set(r, c, -at(r, c));
            if (fault == "drop_bias_row" && r == row) set(r, c, at(r, c) - bias_of(p, r));
            if (fault == "stale_output") set(r, c, read(p.c, r, c, 0).real());
        }
    }
    return true;
}

}  // namespace fumi::test
