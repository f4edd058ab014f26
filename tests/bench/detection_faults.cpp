#include "tests/bench/detection_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace fumi::bench {
namespace {

std::int64_t any(std::int64_t size, std::mt19937_64& g) {
    return static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(size));
}

float flipped(DataType type, float value, int bit) {
    std::uint64_t raw = 0;
    test::encode(type, static_cast<double>(value), &raw);
    raw ^= std::uint64_t{1} << bit;
    return static_cast<float>(test::decode(type, &raw));
}

// A tile at a multiple of its own size, each element of which becomes change(element).
template <class F>
Changes in_tile(const Product& p, std::mt19937_64& g, std::int64_t rows, std::int64_t columns, F change) {
    Changes all;
    const std::int64_t height = std::min(rows, p.shape.m), width = std::min(columns, p.shape.n);
    const std::int64_t row = any(p.shape.m / height, g) * height, column = any(p.shape.n / width, g) * width;
    for (std::int64_t i = row; i < row + height; ++i)
        for (std::int64_t j = column; j < column + width; ++j)
            all.push_back({p.at(i, j), change(p.value(p.at(i, j)))});
    return all;
}

Fault zeroed(std::int64_t rows, std::int64_t columns) {
    return {fmt::format("{} x {} tile zeroed", rows, columns),
            [=](const Product& p, std::mt19937_64& g) {
                return in_tile(p, g, rows, columns, [](float) { return 0.0F; });
            },
            false, false, rows >= 128};
}

Fault one_element(double relative) {
    return {fmt::format("one element off by {:g}", relative),
            [=](const Product& p, std::mt19937_64& g) {
                const std::int64_t i = any(p.shape.m * p.shape.n, g);
                return Changes{{i, p.output((1 + relative) * static_cast<double>(p.value(i)))}};
            },
            false, true};
}

template <class F>
Changes everywhere(const Product& p, F value) {
    Changes all;
    all.reserve(p.c.size());
    for (std::int64_t i = 0; i < p.shape.m; ++i)
        for (std::int64_t j = 0; j < p.shape.n; ++j) all.push_back({p.at(i, j), value(i, j)});
    return all;
}

float a_of(const Product& p, std::int64_t row, std::int64_t k) {
    return p.a[static_cast<std::size_t>(row * p.shape.k + k)];
}
float b_of(const Product& p, std::int64_t k, std::int64_t column) {
    return p.b[static_cast<std::size_t>(k * p.shape.n + column)];
}

Changes drop_k(const Product& p, std::mt19937_64& g) {
    const std::int64_t k = any(p.shape.k, g);
    return everywhere(p, [&](std::int64_t i, std::int64_t j) {
        const double product = static_cast<double>(a_of(p, i, k)) * static_cast<double>(b_of(p, k, j));
        return p.output(static_cast<double>(p.value(p.at(i, j))) - product);
    });
}

Changes negate_row(const Product& p, std::mt19937_64& g) {
    Changes all;
    const std::int64_t row = any(p.shape.m, g);
    for (std::int64_t j = 0; j < p.shape.n; ++j) all.push_back({p.at(row, j), -p.value(p.at(row, j))});
    return all;
}

Changes swap_columns(const Product& p, std::mt19937_64& g) {
    Changes all;
    const std::int64_t column = any(p.shape.n - 1, g);
    for (std::int64_t i = 0; i < p.shape.m; ++i)
        for (const int side : {0, 1})
            all.push_back({p.at(i, column + side), p.value(p.at(i, column + 1 - side))});
    return all;
}

Changes not_a_number(const Product& p, std::mt19937_64& g) {
    return {{any(p.shape.m * p.shape.n, g), NAN}};
}

// The whole product by another arithmetic: computed once, the same in every trial.
Fault recomputed(const char* name, const Sums& how, bool sure = true) {
    auto made = std::make_shared<std::vector<float>>();
    return {name,
            [=](const Product& p, std::mt19937_64&) {
                if (made->empty()) *made = multiply(p, how);
                return everywhere(p, [&](std::int64_t i, std::int64_t j) {
                    return (*made)[static_cast<std::size_t>(p.at(i, j))];
                });
            },
            true, false, sure};
}

// An element of A with a bit flipped: what it was multiplied with changes a row of C.
Fault operand_bit(int bit) {
    return {fmt::format("operand: bit {} flipped", bit), [=](const Product& p, std::mt19937_64& g) {
                Changes all;
                const std::int64_t row = any(p.shape.m, g), k = any(p.shape.k, g);
                const float old = a_of(p, row, k);
                const double error =
                    static_cast<double>(flipped(p.operands.type, old, bit)) - static_cast<double>(old);
                for (std::int64_t j = 0; j < p.shape.n; ++j) {
                    const double c = static_cast<double>(p.value(p.at(row, j)));
                    all.push_back({p.at(row, j), p.output(c + error * static_cast<double>(b_of(p, k, j)))});
                }
                return all;
            }};
}

// The fp32 sum of one element with a bit flipped when half of K is done.
Fault sum_bit(int bit) {
    return {fmt::format("sum halfway: bit {} flipped", bit),
            [=](const Product& p, std::mt19937_64& g) {
                const std::int64_t i = any(p.shape.m * p.shape.n, g);
                const std::int64_t row = i / p.shape.n, column = i % p.shape.n;
                const std::int64_t half = p.shape.k / 2 / p.operands.legal.group * p.operands.legal.group;
                const float sum = advance(p, 0, row, column, 0, half);
                const float end = advance(p, flipped(DataType::f32, sum, bit), row, column, half, p.shape.k);
                return Changes{{i, p.output(static_cast<double>(end))}};
            },
            false, true};
}

}  // namespace

Fault no_fault() {
    return {"none (legal kernel)", [](const Product&, std::mt19937_64&) { return Changes{}; }, true};
}

std::vector<Fault> faults_for(const Operands& operands) {
    std::vector<Fault> all = {zeroed(128, 128),
                              zeroed(16, 8),
                              {"one k dropped", drop_k, true, false, true},
                              {"row negated", negate_row},
                              {"neighbouring columns swapped", swap_columns},
                              {"one NaN", not_a_number, false, false, true}};
    for (const double size : {1.0, 0.1, 1e-2, 1e-3, 1e-4}) all.push_back(one_element(size));
    const bool fp32 = operands.type == DataType::f32 && !operands.tf32;
    if (fp32) {
        all.push_back(recomputed("TF32 passed off as fp32", {8, 24, true, 11, true}));
        all.push_back(recomputed("bf16x3 passed off as fp32", {16, 24, true, 8, false, true}));
    }
    if (operands.type == DataType::f32)
        all.push_back(recomputed("bf16 passed off", {16, 24, true, 8, false}));
    // fp8's own sums have 14 bits, and its bound grants what fp16's lose.
    all.push_back(recomputed("fp16 accumulation", {16, 11, false, operands.legal.input_bits, true},
                             operands.legal.bits == 24 && operands.output == DataType::f32));
    return all;
}

std::vector<Fault> bit_faults_for(const Operands& operands) {
    std::vector<Fault> all;
    const int bits = 8 * element_bytes(operands.output);
    for (int bit = 0; bit < bits; ++bit)
        all.push_back({fmt::format("one element: bit {} flipped", bit),
                       [=](const Product& p, std::mt19937_64& g) {
                           const std::int64_t i = any(p.shape.m * p.shape.n, g);
                           return Changes{{i, flipped(p.operands.output, p.value(i), bit)}};
                       },
                       false, true});
    for (int bit = 0; bit < bits; ++bit)
        all.push_back(
            {fmt::format("16 x 8 fragment: bit {} flipped", bit), [=](const Product& p, std::mt19937_64& g) {
                 return in_tile(p, g, 16, 8, [&](float x) { return flipped(p.operands.output, x, bit); });
             }});
    for (int bit = 0; bit < 8 * element_bytes(operands.type); ++bit) all.push_back(operand_bit(bit));
    for (int bit = 0; bit < 32; ++bit) all.push_back(sum_bit(bit));
    return all;
}

}  // namespace fumi::bench
