// A product of a legal kernel with its exact result: what faults are planted in.
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/support.h"

namespace fumi::bench {

struct Shape {
    std::int64_t m = 1024, n = 1024, k = 1024;
};

// How a kernel adds up, and what it makes of its inputs.
struct Sums {
    int group = 1;     // products that are added exactly before the sum is rounded
    int bits = 24;     // of the sum
    bool cut = false;  // the sum is truncated instead of rounded
    int input_bits = 0;
    bool input_cut = false;
    bool three_products = false;  // inputs as two parts of input_bits each, without the product of the low
};

// A kind of call with its contract and a kernel that keeps it.
struct Operands {
    const char* name;
    DataType type, output;
    bool tf32;
    Sums legal;
};
inline constexpr Operands kOperands[] = {
    {"fp32", DataType::f32, DataType::f32, false, {}},
    {"tf32", DataType::f32, DataType::f32, true, {8, 24, true, 11, true}},
    {"bf16", DataType::bf16, DataType::bf16, false, {16, 24, true}},
    {"fp16", DataType::f16, DataType::f16, false, {16, 24, true}},
    {"fp8", DataType::e4m3, DataType::bf16, false, {32, 14, true}},
};

struct Product {
    Product(const Operands& operands, const Shape& shape, test::Distribution distribution,
            std::mt19937_64& g);
    std::int64_t at(std::int64_t row, std::int64_t column) const { return row * shape.n + column; }
    float value(std::int64_t index) const { return c[static_cast<std::size_t>(index)]; }
    float output(double x) const;  // as C's type holds it
    void store(std::int64_t index, float value);

    const Operands& operands;
    Shape shape;
    Contract contract;
    std::vector<float> a, b, c;  // row-major; c as the legal kernel gave it
    std::vector<double> r;       // the exact result, in fp64
    GemmProblem problem;         // over the bytes that FuMi's kernels read

  private:
    void reference();
    std::vector<unsigned char> a_bytes_, b_bytes_, d_bytes_;
};

float as_type(DataType type, double value);
// C as another kernel would give it.
std::vector<float> multiply(const Product& p, const Sums& how);
// The legal kernel's sum of one element, from `sum` on over products [from, to).
float advance(const Product& p, float sum, std::int64_t row, std::int64_t column, std::int64_t from,
              std::int64_t to);
// No rule that flags less than one legal call in 10^9 sees a smaller error in this element: 8 standard
// deviations (two tails of 10^-15, for 10^6 elements) of the rounding of its running sums, and half a spacing
// of the output.
double smallest_visible(const Product& p, std::int64_t index);

}  // namespace fumi::bench
