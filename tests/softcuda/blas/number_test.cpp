#include "tools/softcuda/blas/number.h"

#include <gtest/gtest.h>

#include <vector>

using namespace softcuda::blas;

namespace {

// Every finite value of a format of one sign, ascending, with its bits.
template <class T>
std::vector<std::pair<double, unsigned>> ascending(unsigned count) {
    std::vector<std::pair<double, unsigned>> values;
    for (unsigned bits = 0; bits < count; ++bits) {
        const double x = load(T{static_cast<decltype(T::bits)>(bits)});
        if (std::isfinite(x)) values.emplace_back(x, bits);
    }
    return values;
}

// Halfway between neighbours the even one is nearest; a hair to either side decides.
template <class T>
void expect_nearest_even(unsigned count) {
    const auto values = ascending<T>(count);
    for (std::size_t i = 0; i + 1 < values.size(); ++i) {
        const auto [low, low_bits] = values[i];
        const auto [high, high_bits] = values[i + 1];
        ASSERT_LT(low, high);
        const auto middle = static_cast<float>((low + high) / 2);
        const unsigned even = low_bits % 2 == 0 ? low_bits : high_bits;
        ASSERT_EQ(store<T>(middle).bits, even) << "between " << low << " and " << high;
        ASSERT_EQ(store<T>(std::nextafter(middle, 0.0f)).bits, low_bits);
        ASSERT_EQ(store<T>(std::nextafter(middle, INFINITY)).bits, high_bits);
        ASSERT_EQ(store<T>(static_cast<float>(low)).bits, low_bits);
    }
}

}  // namespace

TEST(Number, HalfRoundsToNearestEven) {
    expect_nearest_even<Half>(0x7c00);
}
TEST(Number, BFloat16RoundsToNearestEven) {
    expect_nearest_even<BFloat16>(0x7f00);
}
TEST(Number, E4M3RoundsToNearestEven) {
    expect_nearest_even<E4M3>(0x7f);
}
TEST(Number, E5M2RoundsToNearestEven) {
    expect_nearest_even<E5M2>(0x7c);
}

TEST(Number, KnownValues) {
    EXPECT_EQ(load(Half{0x0001}), 0x1p-24f);
    EXPECT_EQ(load(Half{0x3c00}), 1.0f);
    EXPECT_EQ(load(Half{0x7bff}), 65504.0f);
    EXPECT_EQ(load(Half{0xfc00}), -INFINITY);
    EXPECT_TRUE(std::isnan(load(Half{0x7e00})));
    EXPECT_EQ(load(BFloat16{0x3f80}), 1.0f);
    EXPECT_EQ(load(E4M3{0x7e}), 448.0f);
    EXPECT_EQ(load(E4M3{0x01}), 0x1p-9f);
    EXPECT_TRUE(std::isnan(load(E4M3{0x7f})));
    EXPECT_EQ(load(E5M2{0x7b}), 57344.0f);
}

TEST(Number, TooLargeBecomesInfiniteOrSaturates) {
    EXPECT_EQ(store<Half>(65519.0f).bits, 0x7bff);
    EXPECT_EQ(store<Half>(65520.0f).bits, 0x7c00);
    EXPECT_EQ(store<BFloat16>(3.4e38f).bits, 0x7f80);
    EXPECT_EQ(store<E4M3>(1e9f).bits, 0x7e);
    EXPECT_EQ(store<E5M2>(-1e9f).bits, 0xfb);
    EXPECT_EQ(store<std::int8_t>(127.5f), 127);
    EXPECT_EQ(store<std::int8_t>(-1000.0f), -128);
    EXPECT_EQ(store<std::int8_t>(2.5f), 2);
}

TEST(Number, NanStaysNan) {
    EXPECT_TRUE(std::isnan(load(store<Half>(NAN))));
    EXPECT_TRUE(std::isnan(load(store<BFloat16>(NAN))));
    EXPECT_TRUE(std::isnan(load(store<E4M3>(NAN))));
    EXPECT_TRUE(std::isnan(load(store<E5M2>(NAN))));
}

// 1 + 2^-11 + 2^-40 lies above the tie between two halves, its rounding to fp32 on it.
TEST(Number, DoubleToHalfRoundsOnce) {
    EXPECT_EQ(half_from_double(1 + 0x1p-11 + 0x1p-40).bits, 0x3c01);
    EXPECT_EQ(half_from_double(1 + 0x1p-11).bits, 0x3c00);
    EXPECT_EQ(half_from_double(1 + 0x1p-11 - 0x1p-40).bits, 0x3c00);
    EXPECT_EQ(half_from_double(-(1 + 0x1p-11 + 0x1p-40)).bits, 0xbc01);
}
