// Convolution in its three directions: the reference against a naive one, legal kernels within their bounds,
// faults found.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/conv_support.h"

namespace fumi::test {
namespace {

const ConvCase kCases[] = {
    {},
    {.stride = {2, 2}},
    {.size = {9, 8}, .kernel = {3, 2}, .stride = {2, 3}, .padding = {2, 0}, .dilation = {2, 1}, .beta = true},
    {.groups = 3, .in = 2, .out = 2, .format = Format::channels_last},
    {.spatial = 1, .size = {11}, .kernel = {4}, .stride = {2}, .padding = {3}, .dilation = {2}},
    {.spatial = 3,
     .size = {4, 5, 3},
     .kernel = {2, 3, 1},
     .stride = {1, 2, 1},
     .padding = {0, 1, 0},
     .dilation = {1, 1, 1}},
    {.format = Format::channels_last, .flipped = true, .tail = true},
    {.n = 3, .in = 40, .out = 37, .size = {5, 4}, .tail = true},
};

TEST(Conv, AgreesWithANaiveReference) {
    std::mt19937_64 g(1);
    for (const ConvCase& c : kCases) {
        for (const ConvDirection direction : kDirections) {
            Conv conv(c, direction, DataType::f32, draws(Distribution::normal, g));
            Tensor& output = conv.output();
            const std::vector<Conv::Terms> all = conv.terms();
            // The output stays as it was filled: the check must find exactly the difference to the naive sum.
            double largest = 0, g_sum = 0;
            for (std::int64_t i = 0; i < output.count(); ++i) {
                const Conv::Terms& t = all[static_cast<std::size_t>(i)];
                double sum = 0;
                for (std::size_t k = 0; k < t.a.size(); ++k) {
                    sum += t.a[k] * t.b[k];
                    g_sum += std::fabs(conv.p.alpha.re * t.a[k] * t.b[k]);
                }
                largest = std::max(largest, std::fabs(output[i] - conv.finish(sum, i)));
            }
            const ErrorStats stats = run_dnn(conv.p, contract_of(DataType::f32));
            EXPECT_EQ(stats.elements, static_cast<std::uint64_t>(output.count()));
            EXPECT_NEAR(stats.max_abs_err, largest, 1e-12 * largest);
            if (!c.beta && !c.tail) {
                EXPECT_NEAR(stats.sum_g, g_sum, 1e-9 * g_sum);
            }
            // A sampled check of all elements agrees with it, where they are few enough for one.
            const ErrorStats sampled = run_dnn(conv.p, contract_of(DataType::f32), {1, output.count(), 5});
            if (sampled.elements == stats.elements) {
                EXPECT_EQ(sampled.max_abs_err, stats.max_abs_err);
            } else {
                EXPECT_GT(output.count(), 1000);
                EXPECT_LE(sampled.max_abs_err, stats.max_abs_err);
            }
            const DnnCoverage few{1, 9, 5};
            const ErrorStats part = run_dnn(conv.p, contract_of(DataType::f32), few);
            EXPECT_LE(part.elements, 12U);
            EXPECT_GE(part.elements, 1U);
            EXPECT_LE(part.max_abs_err, stats.max_abs_err);
        }
    }
}

TEST(Conv, LegalKernelsPass) {
    struct Kind {
        DataType type;
        bool ieee;
        Arithmetic how;
    };
    const Kind kinds[] = {{DataType::f32, true, {Model::fused}},
                          {DataType::f32, true, {Model::split}},
                          {DataType::bf16, false, {Model::tensor_core, 16, 25}},
                          {DataType::f16, false, {Model::tensor_core, 16, 25}},
                          {DataType::f64, true, {}}};
    std::mt19937_64 g(2);
    Largest fp32("convolution, fp32"), wide("convolution, fp64"), rounded("convolution, fp16 and bf16");
    int turn = 0;
    for (const ConvCase& c : kCases) {
        for (const Kind& kind : kinds) {
            for (const Distribution d : kDistributions) {
                for (const ConvDirection direction : kDirections) {
                    // Every third combination, each in turn.
                    if (++turn % 3 != 0) continue;
                    Conv conv(c, direction, kind.type, draws(d, g));
                    conv.compute(kind.how);
                    const DnnContract contract = contract_of(kind.type, kind.ieee);
                    const Assessment a = assess(run_dnn(conv.p, contract), contract, conv.p);
                    (kind.type == DataType::f32 ? fp32 : (kind.type == DataType::f64 ? wide : rounded))
                        .note(a.ratio);
                    ASSERT_EQ(a.verdict, Judgement::pass) << name(d) << ": " << a.reason;
                }
            }
        }
    }
}

TEST(Conv, FaultsFail) {
    std::mt19937_64 g(3);
    for (const ConvDirection direction : kDirections) {
        ConvCase c;
        c.in = 16;
        c.out = 16;
        const DnnContract contract = contract_of(DataType::f32);
        Conv one(c, direction, DataType::f32, draws(Distribution::normal, g));
        one.compute({Model::fused});
        one.output().put(5, one.output()[5] + 1e-3);
        const Assessment wrong = assess(run_dnn(one.p, contract), contract, one.p);
        EXPECT_EQ(wrong.verdict, Judgement::fail);
        EXPECT_EQ(wrong.mismatches, 1);
        EXPECT_NE(wrong.reason.find("[0, "), std::string::npos) << wrong.reason;
        // Inputs rounded to TF32 though fp32 was promised.
        Conv low(c, direction, DataType::f32, draws(Distribution::normal, g));
        const Tensor x = low.x.copy(), w = low.w.copy(), y = low.y.copy();
        for (Tensor* t : {&low.x, &low.w, &low.y})
            for (std::int64_t i = 0; i < t->count(); ++i) t->put(i, round_to((*t)[i], 11));
        low.compute({Model::fused});
        if (direction != ConvDirection::forward) low.p.y = y.view;
        if (direction != ConvDirection::backward_data) low.p.x = x.view;
        if (direction != ConvDirection::backward_filter) low.p.w = w.view;
        EXPECT_EQ(assess(run_dnn(low.p, contract), contract, low.p).verdict, Judgement::fail);
        EXPECT_EQ(assess(run_dnn(low.p, contract, {1, 64, 3}), contract, low.p).verdict, Judgement::fail);
    }
}

// A filter of 1 x 1, 64 by 64 channels, over 8 images: 4096 gradients of 800 products each.
ConvCase pointwise() {
    return {.n = 8, .in = 64, .out = 64, .size = {10, 10}, .kernel = {1, 1}, .padding = {0, 0}};
}

TEST(Conv, SampledChecksStayCheap) {
    ConvCase large = pointwise();
    large.size = {50, 50};
    for (const ConvDirection direction : kDirections) {
        const Conv conv(large, direction, DataType::f32, [] { return 1.0; });
        const double products = 64.0 * 64 * 20000;
        const double k = direction == ConvDirection::backward_filter ? 20000 : 64;
        const CheckPlan plan = plan_check(conv.p, contract_of(DataType::f32), {1, 4096, 1}, {});
        EXPECT_LE(static_cast<double>(plan.elements) * k, products / 250);
        EXPECT_GE(plan.elements, 16);
    }
}

TEST(Conv, SampledCheckFindsATileOfZeros) {
    std::mt19937_64 g(5);
    const DnnContract contract = contract_of(DataType::f32);
    Conv conv(pointwise(), ConvDirection::backward_filter, DataType::f32, draws(Distribution::normal, g));
    conv.compute({Model::fused});
    const DnnCoverage coverage{1, 4096, 9};
    const ErrorStats right = run_dnn(conv.p, contract, coverage);
    EXPECT_EQ(assess(right, contract, conv.p).verdict, Judgement::pass);
    EXPECT_LT(right.elements, 400U);
    for (std::int64_t row = 20; row < 30; ++row)
        for (std::int64_t column = 37; column < 47; ++column) conv.output().put(row * 64 + column, 0);
    EXPECT_EQ(assess(run_dnn(conv.p, contract, coverage), contract, conv.p).verdict, Judgement::fail);
}

}  // namespace
}  // namespace fumi::test
