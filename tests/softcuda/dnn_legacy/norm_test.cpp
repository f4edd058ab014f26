// Batch normalization: what torch does not ask for (fused relu and addition, blending, status codes,
// capture).
#include "tests/softcuda/dnn_legacy/support.h"

namespace {

using namespace fumi_test;
using Values = std::vector<double>;

constexpr std::size_t images = 3, channels = 2, positions = 4, count = images * channels * positions;
const std::vector<int> data_size{images, channels, 2, 2}, parameter_size{1, channels, 1, 1};

// Element (n, c, p), channels innermost.
std::size_t at(std::size_t n, std::size_t c, std::size_t p) {
    return (n * positions + p) * channels + c;
}

struct Reference {
    Values y, dx, dz, dscale, dbias;
};

// y = relu(norm(x) + z), and the gradients of sum(y dy).
Reference reference(const Values& x, const Values& z, const Values& dy, const Values& scale,
                    const Values& bias, double epsilon) {
    Reference result{Values(count), Values(count), Values(count), Values(channels), Values(channels)};
    for (std::size_t c = 0; c < channels; ++c) {
        const double m = images * positions;
        double mean = 0, variance = 0;
        const auto each = [&](auto visit) {
            for (std::size_t n = 0; n < images; ++n)
                for (std::size_t p = 0; p < positions; ++p) visit(at(n, c, p));
        };
        each([&](std::size_t i) { mean += x[i] / m; });
        each([&](std::size_t i) { variance += (x[i] - mean) * (x[i] - mean) / m; });
        const double inverse = 1 / std::sqrt(variance + epsilon);
        each([&](std::size_t i) {
            const double y = (x[i] - mean) * inverse * scale[c] + bias[c] + z[i];
            result.y[i] = y > 0 ? y : 0;
            result.dz[i] = y > 0 ? dy[i] : 0;
            result.dbias[c] += result.dz[i];
            result.dscale[c] += result.dz[i] * (x[i] - mean) * inverse;
        });
        each([&](std::size_t i) {
            const double normal = (x[i] - mean) * inverse;
            result.dx[i] =
                scale[c] * inverse * (result.dz[i] - result.dbias[c] / m - normal * result.dscale[c] / m);
        });
    }
    return result;
}

struct Activation {
    Activation() {
        EXPECT_EQ(cudnnCreateActivationDescriptor(&descriptor), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnSetActivationDescriptor(descriptor, CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0),
                  CUDNN_STATUS_SUCCESS);
    }
    ~Activation() { cudnnDestroyActivationDescriptor(descriptor); }
    cudnnActivationDescriptor_t descriptor = nullptr;
};

TEST(LegacyNorm, FusedAdditionAndReluForwardAndBackward) {
    const Handle handle;
    const Activation relu;
    const TensorDescriptor data(data_size, CUDNN_DATA_DOUBLE, true), parameters(parameter_size);
    const Values x = numbers(count), z = numbers(count, 1), dy = numbers(count, 2), scale{1.5, -0.5},
                 bias{0.1, 0.3};
    const Reference expected = reference(x, z, dy, scale, bias, 1e-3);
    const auto mode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
    const auto ops = CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION;
    std::size_t work_size = 0, reserve_size = 0;
    ASSERT_EQ(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
                  handle, mode, ops, data, data, data, parameters, relu.descriptor, &work_size),
              CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle, mode, ops, relu.descriptor, data,
                                                                   &reserve_size),
              CUDNN_STATUS_SUCCESS);
    const Device<char> work(work_size), reserve(reserve_size);
    const Device<double> x_(x), z_(z), y(count), scale_(scale), bias_(bias), mean(channels),
        inverse(channels);
    const auto forward = [&](std::size_t given) {
        return cudnnBatchNormalizationForwardTrainingEx(
            handle, mode, ops, &one, &zero, data, x_.get(), data, z_.get(), data, y.get(), parameters,
            scale_.get(), bias_.get(), 1.0, nullptr, nullptr, 1e-3, mean.get(), inverse.get(),
            relu.descriptor, work.get(), work_size, reserve.get(), given);
    };
    EXPECT_EQ(forward(reserve_size - 1), CUDNN_STATUS_BAD_PARAM);
    ASSERT_EQ(forward(reserve_size), CUDNN_STATUS_SUCCESS);
    expect_near(y.values(), expected.y);

    const Device<double> dy_(dy), dx(count), dz(count), dscale(channels), dbias(Values{10, 20});
    const double half = 0.5;
    ASSERT_EQ(cudnnBatchNormalizationBackwardEx(handle, mode, ops, &one, &zero, &one, &half, data, x_.get(),
                                                data, y.get(), data, dy_.get(), data, dz.get(), data,
                                                dx.get(), parameters, scale_.get(), bias_.get(), dscale.get(),
                                                dbias.get(), 1e-3, mean.get(), inverse.get(), relu.descriptor,
                                                work.get(), work_size, reserve.get(), reserve_size),
              CUDNN_STATUS_SUCCESS);
    expect_near(dx.values(), expected.dx);
    expect_near(dz.values(), expected.dz);
    expect_near(dscale.values(), expected.dscale);
    expect_near(dbias.values(), {expected.dbias[0] + 5, expected.dbias[1] + 10});
}

// The forms without Ex; statistics per activation; y = alpha result + beta y.
TEST(LegacyNorm, PerActivationBlendsWithWhatWasThere) {
    const Handle handle;
    const TensorDescriptor data({3, 1, 1, 2}), parameters({1, 1, 1, 2});
    const Values x{1, 5, 2, 7, 6, 0};
    const Device<double> x_(x), y(Values{1, 1, 1, 1, 1, 1}), scale(Values{1, 2}), bias(Values{0, 1});
    const Device<double> mean(Values{10, 10}), variance(Values{4, 4});
    const double alpha = 2, beta = 3;
    ASSERT_EQ(cudnnBatchNormalizationForwardTraining(
                  handle, CUDNN_BATCHNORM_PER_ACTIVATION, &alpha, &beta, data, x_.get(), data, y.get(),
                  parameters, scale.get(), bias.get(), 0.25, mean.get(), variance.get(), 0, nullptr, nullptr),
              CUDNN_STATUS_SUCCESS);
    const double d0 = std::sqrt(14 / 3.0), d1 = std::sqrt(26 / 3.0);  // means 3 and 4
    expect_near(y.values(), {2 * -2 / d0 + 3, 2 * (2 * 1 / d1 + 1) + 3, 2 * -1 / d0 + 3,
                             2 * (2 * 3 / d1 + 1) + 3, 2 * 3 / d0 + 3, 2 * (2 * -4 / d1 + 1) + 3});
    expect_near(mean.values(), {7.5 + 0.75, 7.5 + 1});
    expect_near(variance.values(), {3 + 0.25 * 7, 3 + 0.25 * 13});  // the unbiased variance
}

TEST(LegacyNorm, BadParametersAreRefused) {
    const Handle handle;
    const TensorDescriptor data(data_size), parameters(parameter_size), other({1, channels, 2, 2}),
        single(parameter_size, CUDNN_DATA_FLOAT), short_data({images, channels, 2});
    const Device<double> x(count), y(count), p(8);
    const auto infer = [&](cudnnHandle_t with, cudnnTensorDescriptor_t x_desc, cudnnTensorDescriptor_t p_desc,
                           const double* in, double epsilon, int mode = CUDNN_BATCHNORM_SPATIAL) {
        return cudnnBatchNormalizationForwardInference(with, static_cast<cudnnBatchNormMode_t>(mode), &one,
                                                       &zero, x_desc, in, data, y.get(), p_desc, p.get(),
                                                       p.get(), p.get(), p.get(), epsilon);
    };
    EXPECT_EQ(infer(handle, data, parameters, x.get(), 1e-5), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(infer(nullptr, data, parameters, x.get(), 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, data, parameters, nullptr, 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, nullptr, parameters, x.get(), 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, data, other, x.get(), 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, data, single, x.get(), 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, short_data, parameters, x.get(), 1e-5), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, data, parameters, x.get(), -1), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(infer(handle, data, parameters, x.get(), 1e-5, 3), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST(LegacyNorm, CapturedCallRunsAtEachLaunch) {
    const Handle handle;
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
    ASSERT_EQ(cudnnSetStream(handle, stream), CUDNN_STATUS_SUCCESS);
    const TensorDescriptor data({2, 1, 1, 1}), parameters({1, 1, 1, 1});
    const Device<double> x(Values{1, 3}), y(2), scale(Values{1}), bias(Values{0}), mean(Values{0}),
        variance(Values{0});
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    ASSERT_EQ(cudnnBatchNormalizationForwardTraining(
                  handle, CUDNN_BATCHNORM_SPATIAL, &one, &zero, data, x.get(), data, y.get(), parameters,
                  scale.get(), bias.get(), 0.5, mean.get(), variance.get(), 0, nullptr, nullptr),
              CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    expect_near(mean.values(), {0});
    for (int i = 0; i < 2; ++i) ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    expect_near(mean.values(), {1.5});
    expect_near(y.values(), {-1, 1});
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
}

}  // namespace
