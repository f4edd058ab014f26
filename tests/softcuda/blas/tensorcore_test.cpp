#include "tools/softcuda/blas/tensorcore.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "tests/softcuda/blas/reference.h"

using namespace softcuda::blas;

namespace {

tensorcore::Model model_of(Arithmetic arithmetic, cudaDataType type = CUDA_R_16BF,
                           tensorcore::Chip chip = tensorcore::Chip::h100) {
    return tensorcore::model(chip, arithmetic, type, type);
}

// One result: the sum of a_i b_i.
float dot(const tensorcore::Model& model, const std::vector<float>& a, const std::vector<float>& b) {
    float c = 0;
    tensorcore::multiply(model, 1, 1, static_cast<std::int64_t>(a.size()), a.data(), b.data(), &c);
    return c;
}

// Products x_i by 1: the sum of x.
float sum(const tensorcore::Model& model, const std::vector<float>& x) {
    return dot(model, x, std::vector<float>(x.size(), 1));
}

// The rule again, in another way: with frexp, ldexp and long double, one result at a time.
double rule(const tensorcore::Model& model, const float* a, const float* b, std::int64_t stride_b,
            std::int64_t k) {
    const auto exponent = [](double x, int least) {
        if (x == 0) return -126;
        int e = 0;
        std::frexp(x, &e);
        return std::max(e - 1, least);
    };
    long double acc = 0;
    for (std::int64_t first = 0; first < k; first += model.group) {
        const std::int64_t last = std::min<std::int64_t>(k, first + model.group);
        int largest = exponent(static_cast<double>(acc), -126);
        for (std::int64_t l = first; l < last; ++l)
            largest = std::max(largest, exponent(a[l], model.min_exponent_a) +
                                            exponent(b[l * stride_b], model.min_exponent_b));
        const int place = largest - model.fraction_bits;
        const auto cut = [&](long double x) { return std::ldexp(std::trunc(std::ldexp(x, -place)), place); };
        long double total = cut(acc);
        for (std::int64_t l = first; l < last; ++l)
            total += cut(static_cast<long double>(a[l]) * b[l * stride_b]);
        const int last_place = exponent(static_cast<double>(total), -126) - model.result_bits;
        acc = std::ldexp(std::trunc(std::ldexp(total, -last_place)), last_place);
    }
    return static_cast<double>(acc);
}

}  // namespace

// 1 and a number below its last kept place: 2^-25 survives the alignment (F = 25) but not the truncation to
// 24 bits; two of 2^-24 make 2^-23, which survives both.
TEST(TensorCore, KeepsTwentyFiveBitsInsideAGroup) {
    const auto model = model_of(Arithmetic::tensor_low);
    EXPECT_EQ(sum(model, {1, 0x1p-24f}), 1.0f);
    EXPECT_EQ(sum(model, {1, 0x1p-24f, 0x1p-24f}), 1.0f + 0x1p-23f);
    EXPECT_EQ(sum(model, {1, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f}), 1.0f + 0x1p-23f);
    EXPECT_EQ(sum(model, {1, 0x1p-26f, 0x1p-26f, 0x1p-26f, 0x1p-26f, 0x1p-26f, 0x1p-26f, 0x1p-26f, 0x1p-26f}),
              1.0f);
}

TEST(TensorCore, TruncatesTowardZeroOnBothSides) {
    const auto model = model_of(Arithmetic::tensor_low);
    EXPECT_EQ(sum(model, {1, 0x1p-24f, 0x1p-25f}), 1.0f);  // fp32 addition would round 1 + 1.5 * 2^-24 up
    EXPECT_EQ(sum(model, {-1, -0x1p-24f, -0x1p-25f}), -1.0f);
    EXPECT_EQ(sum(model, {1, -0x1p-26f}), 1.0f);  // the product is cut to 0 before it is added
    EXPECT_EQ(sum(model, {1, -0x1p-25f}), 1.0f - 0x1p-24f);
}

// The group is exact before it meets the next: 2^-24 sixteen times makes 2^-20 within a group, and nothing
// across groups.
TEST(TensorCore, GroupsHaveTheirSize) {
    std::vector<float> same_group(16, 0x1p-24f);
    same_group[0] = 1;
    EXPECT_EQ(sum(model_of(Arithmetic::tensor_low), same_group),
              1.0f + 14 * 0x1p-24f);  // 15 of them, cut to an even number
    std::vector<float> alone(8 * 16 + 1, 0.0f);
    alone[0] = 1;
    for (std::size_t i = 16; i < alone.size(); i += 16)
        alone[i] = 0x1p-24f;  // one in each group: lost one by one
    EXPECT_EQ(sum(model_of(Arithmetic::tensor_low), alone), 1.0f);
    EXPECT_EQ(sum(model_of(Arithmetic::tensor_low, CUDA_R_16BF, tensorcore::Chip::a100), same_group),
              1.0f + 14 * 0x1p-24f);
    EXPECT_EQ(model_of(Arithmetic::tensor_low, CUDA_R_16BF, tensorcore::Chip::a100).group, 8);
    EXPECT_EQ(model_of(Arithmetic::tensor_tf32, CUDA_R_32F).group, 8);
    EXPECT_EQ(model_of(Arithmetic::tensor_tf32, CUDA_R_32F, tensorcore::Chip::a100).group, 4);
    EXPECT_EQ(model_of(Arithmetic::tensor_fp8, CUDA_R_8F_E4M3).group, 32);
}

// Alignment goes by the sum of the inputs' exponents, not by the product's own: 1.5 * 1.5 = 2.25 counts as
// 2^0.
TEST(TensorCore, AlignsByTheInputsExponents) {
    const auto model = model_of(Arithmetic::tensor_low);
    EXPECT_EQ(
        dot(model, {1.5f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f},
            {1.5f, 1, 1, 1, 1, 1, 1, 1, 1}),
        2.25f + 0x1p-22f);
}

TEST(TensorCore, Fp8KeepsThirteenBits) {
    const auto model = model_of(Arithmetic::tensor_fp8_fast, CUDA_R_8F_E4M3);
    EXPECT_EQ(dot(model, {1, 0x1p-7f}, {1, 0x1p-6f}), 1.0f + 0x1p-13f);
    EXPECT_EQ(dot(model, {1, 0x1p-7f}, {1, 0x1p-7f}), 1.0f);
    const auto newer =
        tensorcore::model(tensorcore::Chip::b200, Arithmetic::tensor_fp8, CUDA_R_8F_E4M3, CUDA_R_8F_E4M3);
    EXPECT_EQ(dot(newer, {1, 0x1p-7f}, {1, 0x1p-7f}), 1.0f + 0x1p-14f);
}

// 128 products of 1 and then small ones: without promotion the small ones are lost against the large
// accumulator.
TEST(TensorCore, Fp8IsPromotedEvery128Products) {
    std::vector<float> a(256, 0x1p-6f), b(256, 0x1p-4f);
    for (int i = 0; i < 128; ++i) a[i] = b[i] = 8;
    const double exact = 128 * 64.0 + 128 * 0x1p-10;
    EXPECT_EQ(dot(model_of(Arithmetic::tensor_fp8, CUDA_R_8F_E4M3), a, b), exact);
    EXPECT_EQ(dot(model_of(Arithmetic::tensor_fp8_fast, CUDA_R_8F_E4M3), a, b), 128 * 64.0f);
}

TEST(TensorCore, Fp16AccumulatorRoundsToNearestEven) {
    const auto model = model_of(Arithmetic::tensor_f16, CUDA_R_16F);
    EXPECT_EQ(sum(model, {1, 0x1p-11f}), 1.0f);
    EXPECT_EQ(sum(model, {1, 0x1p-11f, 0x1p-20f}), 1.0f + 0x1p-10f);
    EXPECT_EQ(sum(model, {60000, 10000}), INFINITY);
}

TEST(TensorCore, InfinityAndNan) {
    const auto model = model_of(Arithmetic::tensor_low);
    EXPECT_EQ(sum(model, {1, INFINITY}), INFINITY);
    EXPECT_TRUE(std::isnan(sum(model, {INFINITY, -INFINITY})));
    EXPECT_TRUE(std::isnan(sum(model, {1, NAN})));
    EXPECT_EQ(dot(model, {0x1p100f, 0x1p100f}, {0x1p100f, 0x1p100f}), INFINITY);
}

TEST(TensorCore, SubnormalResultsKeepTheirLastPlace) {
    const auto model = model_of(Arithmetic::tensor_low);
    EXPECT_EQ(dot(model, {0x1p-70f, 0x1p-70f}, {0x1p-70f, 0x1p-79f}), 0x1p-140f + 0x1p-149f);
    EXPECT_EQ(dot(model, {0x1p-70f, 0x1p-70f}, {0x1p-70f, 0x1p-80f}), 0x1p-140f);
}

// Every shape of tile edge, against the rule written another way.
TEST(TensorCore, AgreesWithTheRuleBitForBit) {
    const std::pair<Arithmetic, cudaDataType> cases[] = {{Arithmetic::tensor_low, CUDA_R_16BF},
                                                         {Arithmetic::tensor_low, CUDA_R_16F},
                                                         {Arithmetic::tensor_tf32, CUDA_R_32F},
                                                         {Arithmetic::tensor_fp8_fast, CUDA_R_8F_E4M3},
                                                         {Arithmetic::tensor_fp8_fast, CUDA_R_8F_E5M2}};
    for (const auto chip : {tensorcore::Chip::a100, tensorcore::Chip::h100, tensorcore::Chip::b200}) {
        for (const auto& [arithmetic, type] : cases) {
            const auto model = tensorcore::model(chip, arithmetic, type, type);
            const std::int64_t m = 5, n = 19, k = 83;
            reference::Random random(static_cast<std::uint64_t>(type) + 7);
            std::vector<float> a(m * k), b(k * n), c(m * n);
            // Wide exponents, zeros and subnormals among them.
            const auto draw = [&, kind = type] {
                const auto x = static_cast<float>(random.uniform() * std::exp2(10 * random.uniform()));
                if (random.uniform() > 0.9) return 0.0f;
                float y = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffffe000u);
                visit_type(kind, [&](auto tag) {
                    if constexpr (!is_complex_v<decltype(tag)> && sizeof(tag) < 4)
                        y = static_cast<float>(load(store<decltype(tag)>(x)));
                });
                return y;
            };
            for (float& x : a) x = draw();
            for (float& x : b) x = draw();
            tensorcore::multiply(model, m, n, k, a.data(), b.data(), c.data());
            for (std::int64_t i = 0; i < m; ++i)
                for (std::int64_t j = 0; j < n; ++j)
                    ASSERT_EQ(c[j * m + i], rule(model, &a[i * k], &b[j], n, k))
                        << short_name(type) << " at " << i << ", " << j;
        }
    }
}

TEST(TensorCore, IsFastEnough) {
    const std::int64_t size = 256;
    const auto a = reference::random_values<float>(size * size, 1),
               b = reference::random_values<float>(size * size, 2);
    std::vector<float> c(size * size);
    const auto start = std::chrono::steady_clock::now();
    tensorcore::multiply(model_of(Arithmetic::tensor_low), size, size, size, a.data(), b.data(), c.data());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    RecordProperty("seconds", std::to_string(taken.count()));
    std::printf("256^3 on the tensor-core model: %.3f s\n", taken.count());
    EXPECT_LT(taken.count(), 5.0);  // generous: sanitizers and a busy machine
}
