// The naive product in long double, and random operands of every type.
#pragma once
#include <cublas_v2.h>

#include <complex>
#include <cstdint>
#include <functional>
#include <vector>

#include "tools/softcuda/blas/number.h"

namespace reference {

using Value = std::complex<long double>;
using softcuda::blas::BFloat16;
using softcuda::blas::E4M3;
using softcuda::blas::E5M2;
using softcuda::blas::Half;

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
    double uniform() {  // in [-1, 1)
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<double>(state_ >> 11) * 0x1p-52 - 1.0;
    }

  private:
    std::uint64_t state_;
};

template <class T>
T random_value(Random& random) {
    if constexpr (softcuda::blas::is_complex_v<T>) {
        const auto real = static_cast<typename T::value_type>(random.uniform());
        return {real, static_cast<typename T::value_type>(random.uniform())};
    } else if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(random.uniform() * 100);
    } else {
        return softcuda::blas::store<T>(random.uniform());
    }
}

template <class T>
std::vector<T> random_values(std::size_t count, std::uint64_t seed) {
    Random random(seed);
    std::vector<T> values(count);
    for (T& x : values) x = random_value<T>(random);
    return values;
}

template <class T>
Value value_of(T x) {
    const auto loaded = softcuda::blas::load(x);
    if constexpr (softcuda::blas::is_complex_v<T>)
        return {loaded.real(), loaded.imag()};
    else
        return {static_cast<long double>(loaded), 0};
}

// Reads element (i, j) of a matrix.
using Element = std::function<Value(std::int64_t, std::int64_t)>;

template <class T>
Element column_major(const std::vector<T>& data, std::int64_t ld, cublasOperation_t operation = CUBLAS_OP_N,
                     std::int64_t offset = 0) {
    return [&data, ld, operation, offset](std::int64_t i, std::int64_t j) {
        if (operation == CUBLAS_OP_N) return value_of(data[offset + i + j * ld]);
        const Value x = value_of(data[offset + j + i * ld]);
        return operation == CUBLAS_OP_C ? std::conj(x) : x;
    };
}

// One entry of A B, and the sum of the magnitudes of its products: what rounding errors are relative to.
struct Entry {
    Value value;
    long double size;
};
inline Entry product(const Element& a, const Element& b, std::int64_t i, std::int64_t j, std::int64_t k) {
    Entry entry{};
    for (std::int64_t l = 0; l < k; ++l) {
        const Value term = a(i, l) * b(l, j);
        entry.value += term;
        entry.size += std::abs(term);
    }
    return entry;
}

// Unit roundoff of a storage type.
template <class T>
constexpr double unit() {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, std::complex<float>>) return 0x1p-24;
    if constexpr (std::is_same_v<T, double> || std::is_same_v<T, std::complex<double>>) return 0x1p-53;
    if constexpr (std::is_same_v<T, Half>) return 0x1p-11;
    if constexpr (std::is_same_v<T, BFloat16>) return 0x1p-8;
    if constexpr (std::is_same_v<T, E4M3>) return 0x1p-4;
    if constexpr (std::is_same_v<T, E5M2>) return 0x1p-3;
    return 0;
}

}  // namespace reference
