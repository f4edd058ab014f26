// Pooling, softmax, activations, element by element operations, dropout: torch has kernels of its own for
// these.
#include <functional>
#include <limits>
#include <set>

#include "tests/softcuda/dnn_legacy/support.h"

namespace {

using namespace fumi_test;
using Values = std::vector<double>;

struct Pooling {
    Pooling(cudnnPoolingMode_t mode, std::vector<int> window, std::vector<int> padding,
            std::vector<int> stride, cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN) {
        EXPECT_EQ(cudnnCreatePoolingDescriptor(&descriptor), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnSetPoolingNdDescriptor(descriptor, mode, nan, static_cast<int>(window.size()),
                                              window.data(), padding.data(), stride.data()),
                  CUDNN_STATUS_SUCCESS);
    }
    ~Pooling() { cudnnDestroyPoolingDescriptor(descriptor); }
    cudnnPoolingDescriptor_t descriptor = nullptr;
};

struct Pooled {
    Values y, dx;
};

Pooled pool(const Pooling& pooling, const std::vector<int>& x_size, const std::vector<int>& y_size,
            const Values& x, const Values& dy) {
    const Handle handle;
    const TensorDescriptor x_desc(x_size), y_desc(y_size);
    const Device<double> x_(x), y(dy.size()), dy_(dy), dx(x.size());
    EXPECT_EQ(cudnnPoolingForward(handle, pooling.descriptor, &one, x_desc, x_.get(), &zero, y_desc, y.get()),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnPoolingBackward(handle, pooling.descriptor, &one, y_desc, y.get(), y_desc, dy_.get(),
                                   x_desc, x_.get(), &zero, x_desc, dx.get()),
              CUDNN_STATUS_SUCCESS);
    return {y.values(), dx.values()};
}

// One image of 3 x 4 pixels, windows of 2 x 2 every 2, one pixel of padding on each side: 2 x 3 of them.
const std::vector<int> image{1, 1, 3, 4}, small{1, 1, 2, 3};
const Values pixels{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, gradient{1, 2, 3, 4, 5, 6};

TEST(LegacyPooling, Maximum) {
    const Pooled found = pool({CUDNN_POOLING_MAX, {2, 2}, {1, 1}, {2, 2}}, image, small, pixels, gradient);
    expect_near(found.y, {1, 3, 4, 9, 11, 12});
    expect_near(found.dx, {1, 0, 2, 3, 0, 0, 0, 0, 4, 0, 5, 6});
}

TEST(LegacyPooling, AverageWithPadding) {
    const Pooled found = pool({CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING, {2, 2}, {1, 1}, {2, 2}}, image,
                              small, pixels, gradient);
    expect_near(found.y, {0.25, 1.25, 1, 3.5, 8.5, 5});
    expect_near(found.dx, {0.25, 0.5, 0.5, 0.75, 1, 1.25, 1.25, 1.5, 1, 1.25, 1.25, 1.5});
}

TEST(LegacyPooling, AverageWithoutPadding) {
    const Pooled found = pool({CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING, {2, 2}, {1, 1}, {2, 2}}, image,
                              small, pixels, gradient);
    expect_near(found.y, {1, 2.5, 4, 7, 8.5, 10});
    expect_near(found.dx, {1, 1, 1, 3, 2, 1.25, 1.25, 3, 2, 1.25, 1.25, 3});
}

TEST(LegacyPooling, ThreeDimensionsAndNan) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Values x{1, 2, 3, 4, 5, nan, 7, 8};
    const std::vector<int> size{1, 1, 2, 2, 2}, single{1, 1, 1, 1, 1};
    EXPECT_TRUE(
        std::isnan(pool({CUDNN_POOLING_MAX, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}}, size, single, x, {1}).y[0]));
    EXPECT_EQ(pool({CUDNN_POOLING_MAX, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, CUDNN_NOT_PROPAGATE_NAN}, size,
                   single, x, {1})
                  .y[0],
              8);
}

TEST(LegacyPooling, SizesMustFit) {
    const Handle handle;
    const Pooling pooling(CUDNN_POOLING_MAX, {2, 2}, {0, 0}, {2, 2});
    const TensorDescriptor x(image), y(small);
    const Device<double> data(12);
    EXPECT_EQ(cudnnPoolingForward(handle, pooling.descriptor, &one, x, data.get(), &zero, y, data.get()),
              CUDNN_STATUS_BAD_PARAM);
}

TEST(LegacySoftmax, EachAlgorithmAndItsGradient) {
    const Handle handle;
    const TensorDescriptor desc({2, 3, 1, 2});
    const Values x = numbers(12), dy = numbers(12, 1);
    for (const auto algorithm : {CUDNN_SOFTMAX_FAST, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_LOG})
        for (const auto mode : {CUDNN_SOFTMAX_MODE_CHANNEL, CUDNN_SOFTMAX_MODE_INSTANCE}) {
            const Device<double> x_(x), y(12), dy_(dy), dx(12);
            ASSERT_EQ(
                cudnnSoftmaxForward(handle, algorithm, mode, &one, desc, x_.get(), &zero, desc, y.get()),
                CUDNN_STATUS_SUCCESS);
            ASSERT_EQ(cudnnSoftmaxBackward(handle, algorithm, mode, &one, desc, y.get(), desc, dy_.get(),
                                           &zero, desc, dx.get()),
                      CUDNN_STATUS_SUCCESS);
            Values expected(12), expected_dx(12);
            const auto same = [&](int i, int j) {  // the same softmax
                return i / 6 == j / 6 && (mode == CUDNN_SOFTMAX_MODE_INSTANCE || i % 2 == j % 2);
            };
            Values p(12);
            for (int i = 0; i < 12; ++i) {
                double total = 0;
                for (int j = 0; j < 12; ++j) total += same(i, j) ? std::exp(x[j]) : 0;
                p[i] = std::exp(x[i]) / total;
                expected[i] = algorithm == CUDNN_SOFTMAX_LOG ? std::log(p[i]) : p[i];
            }
            for (int i = 0; i < 12; ++i)
                for (int j = 0; j < 12; ++j) {
                    if (!same(i, j)) continue;
                    const double of_log = (i == j) - p[i];  // d log p(j) / d x(i)
                    expected_dx[i] += dy[j] * of_log * (algorithm == CUDNN_SOFTMAX_LOG ? 1 : p[j]);
                }
            expect_near(y.values(), expected);
            expect_near(dx.values(), expected_dx);
        }
}

TEST(LegacyActivation, GradientsAreThoseOfTheFunctions) {
    const Handle handle;
    const TensorDescriptor desc({1, 8, 1, 1});
    const Values x{-2, -0.7, -0.1, 0.2, 0.6, 1.4, 2.5, 3};
    const double step = 1e-6;
    for (const auto mode : {CUDNN_ACTIVATION_SIGMOID, CUDNN_ACTIVATION_RELU, CUDNN_ACTIVATION_TANH,
                            CUDNN_ACTIVATION_CLIPPED_RELU, CUDNN_ACTIVATION_ELU, CUDNN_ACTIVATION_IDENTITY,
                            CUDNN_ACTIVATION_SWISH}) {
        cudnnActivationDescriptor_t activation = nullptr;
        ASSERT_EQ(cudnnCreateActivationDescriptor(&activation), CUDNN_STATUS_SUCCESS);
        ASSERT_EQ(cudnnSetActivationDescriptor(activation, mode, CUDNN_PROPAGATE_NAN, 2.0),
                  CUDNN_STATUS_SUCCESS);
        ASSERT_EQ(cudnnSetActivationDescriptorSwishBeta(activation, 1.5), CUDNN_STATUS_SUCCESS);
        const auto forward = [&](double shift) {
            Values moved = x;
            for (double& value : moved) value += shift;
            const Device<double> in(moved), out(8);
            EXPECT_EQ(
                cudnnActivationForward(handle, activation, &one, desc, in.get(), &zero, desc, out.get()),
                CUDNN_STATUS_SUCCESS);
            return out.values();
        };
        const Device<double> x_(x), y(forward(0)), dy(Values(8, 1.0)), dx(8);
        ASSERT_EQ(cudnnActivationBackward(handle, activation, &one, desc, y.get(), desc, dy.get(), desc,
                                          x_.get(), &zero, desc, dx.get()),
                  CUDNN_STATUS_SUCCESS);
        const Values above = forward(step), below = forward(-step);
        Values slopes(8);
        for (int i = 0; i < 8; ++i) slopes[i] = (above[i] - below[i]) / (2 * step);
        expect_near(dx.values(), slopes, 1e-8);
        cudnnDestroyActivationDescriptor(activation);
    }
}

TEST(LegacyTensors, ElementByElement) {
    const Handle handle;
    const TensorDescriptor full({1, 2, 1, 2}), bias({1, 2, 1, 1}),
        last({1, 2, 1, 2}, CUDNN_DATA_DOUBLE, true);
    const Device<double> a(Values{1, 2, 3, 4}), b(Values{10, 20}), c(Values{5, 6, 7, 8});
    const double two = 2, three = 3;
    ASSERT_EQ(cudnnAddTensor(handle, &two, bias, b.get(), &three, full, c.get()), CUDNN_STATUS_SUCCESS);
    expect_near(c.values(), {35, 38, 61, 64});
    ASSERT_EQ(cudnnScaleTensor(handle, full, c.get(), &two), CUDNN_STATUS_SUCCESS);
    expect_near(c.values(), {70, 76, 122, 128});
    ASSERT_EQ(cudnnSetTensor(handle, full, c.get(), &three), CUDNN_STATUS_SUCCESS);
    expect_near(c.values(), {3, 3, 3, 3});
    ASSERT_EQ(cudnnTransformTensor(handle, &one, full, a.get(), &two, last, c.get()), CUDNN_STATUS_SUCCESS);
    expect_near(c.values(), {7, 9, 8, 10});
    cudnnOpTensorDescriptor_t op = nullptr;
    ASSERT_EQ(cudnnCreateOpTensorDescriptor(&op), CUDNN_STATUS_SUCCESS);
    const auto apply = [&](cudnnOpTensorOp_t kind) {
        EXPECT_EQ(cudnnSetOpTensorDescriptor(op, kind, CUDNN_DATA_DOUBLE, CUDNN_PROPAGATE_NAN),
                  CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnOpTensor(handle, op, &two, full, a.get(), &one, bias, b.get(), &zero, full, c.get()),
                  CUDNN_STATUS_SUCCESS);
        return c.values();
    };
    expect_near(apply(CUDNN_OP_TENSOR_ADD), {12, 14, 26, 28});
    expect_near(apply(CUDNN_OP_TENSOR_MUL), {20, 40, 120, 160});
    expect_near(apply(CUDNN_OP_TENSOR_MIN), {2, 4, 6, 8});
    expect_near(apply(CUDNN_OP_TENSOR_MAX), {10, 10, 20, 20});
    expect_near(apply(CUDNN_OP_TENSOR_NOT), {-1, -3, -5, -7});
    expect_near(apply(CUDNN_OP_TENSOR_SQRT), {std::sqrt(2.0), 2, std::sqrt(6.0), std::sqrt(8.0)});
    cudnnDestroyOpTensorDescriptor(op);
}

TEST(LegacyDropout, BackwardAppliesTheMaskOfForward) {
    const Handle handle;
    cudnnDropoutDescriptor_t dropout = nullptr;
    ASSERT_EQ(cudnnCreateDropoutDescriptor(&dropout), CUDNN_STATUS_SUCCESS);
    std::size_t states_size = 0, reserve_size = 0;
    const TensorDescriptor desc({1, 1000, 1, 1});
    ASSERT_EQ(cudnnDropoutGetStatesSize(handle, &states_size), CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(cudnnDropoutGetReserveSpaceSize(desc, &reserve_size), CUDNN_STATUS_SUCCESS);
    const Device<char> states(states_size), reserve(reserve_size);
    const Device<double> x(Values(1000, 3.0)), y(1000), dx(1000);
    EXPECT_EQ(cudnnSetDropoutDescriptor(dropout, handle, 0.25f, states.get(), states_size - 1, 5),
              CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(cudnnSetDropoutDescriptor(dropout, handle, 1.5f, states.get(), states_size, 5),
              CUDNN_STATUS_BAD_PARAM);
    const auto draw = [&] {
        EXPECT_EQ(
            cudnnDropoutForward(handle, dropout, desc, x.get(), desc, y.get(), reserve.get(), reserve_size),
            CUDNN_STATUS_SUCCESS);
        return y.values();
    };
    ASSERT_EQ(cudnnSetDropoutDescriptor(dropout, handle, 0.25f, states.get(), states_size, 5),
              CUDNN_STATUS_SUCCESS);
    const Values first = draw(), second = draw();
    EXPECT_NE(first, second);
    EXPECT_EQ(std::set<double>(first.begin(), first.end()), (std::set<double>{0.0, 4.0}));
    ASSERT_EQ(
        cudnnDropoutBackward(handle, dropout, desc, x.get(), desc, dx.get(), reserve.get(), reserve_size),
        CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(dx.values(), second);
    ASSERT_EQ(cudnnRestoreDropoutDescriptor(dropout, handle, 0.25f, states.get(), states_size, 5),
              CUDNN_STATUS_SUCCESS);
    EXPECT_NE(draw(), first);  // the states go on
    ASSERT_EQ(cudnnSetDropoutDescriptor(dropout, handle, 0.25f, states.get(), states_size, 5),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(draw(), first);  // and begin anew
    float probability = 0;
    void* kept = nullptr;
    unsigned long long seed = 0;
    ASSERT_EQ(cudnnGetDropoutDescriptor(dropout, handle, &probability, &kept, &seed), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(probability, 0.25f);
    EXPECT_EQ(kept, states.get());
    EXPECT_EQ(seed, 5u);
    cudnnDestroyDropoutDescriptor(dropout);
}

}  // namespace
