// Recurrent nets, CTC: what torch does not ask for (weight layout, padding, one bias, skipped input,
// clipping, statuses).
#include <algorithm>
#include <numeric>

#include "tests/softcuda/dnn_legacy/support.h"

namespace {

using namespace fumi_test;
using Values = std::vector<double>;

struct Net {
    cudnnRNNDescriptor_t rnn = nullptr;
    cudnnDropoutDescriptor_t dropout = nullptr;
    std::size_t weights = 0;
};

struct NetOptions {
    cudnnRNNMode_t cell = CUDNN_LSTM;
    cudnnRNNBiasMode_t bias = CUDNN_RNN_DOUBLE_BIAS;
    cudnnDirectionMode_t direction = CUDNN_UNIDIRECTIONAL;
    cudnnRNNInputMode_t input_mode = CUDNN_LINEAR_INPUT;
    int input = 2, hidden = 2, projection = 2, layers = 1;
};

Net make_net(cudnnHandle_t handle, const NetOptions& options) {
    Net net;
    EXPECT_EQ(cudnnCreateDropoutDescriptor(&net.dropout), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnSetDropoutDescriptor(net.dropout, handle, 0, nullptr, 0, 0), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnCreateRNNDescriptor(&net.rnn), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(
        cudnnSetRNNDescriptor_v8(net.rnn, CUDNN_RNN_ALGO_STANDARD, options.cell, options.bias,
                                 options.direction, options.input_mode, CUDNN_DATA_DOUBLE, CUDNN_DATA_DOUBLE,
                                 CUDNN_DEFAULT_MATH, options.input, options.hidden, options.projection,
                                 options.layers, net.dropout, CUDNN_RNN_PADDED_IO_ENABLED),
        CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnGetRNNWeightSpaceSize(handle, net.rnn, &net.weights), CUDNN_STATUS_SUCCESS);
    return net;
}

void destroy(const Net& net) {
    cudnnDestroyRNNDescriptor(net.rnn);
    cudnnDestroyDropoutDescriptor(net.dropout);
}

TEST(LegacyRecurrent, WeightParametersFillTheWeightSpaceOnce) {
    const Handle handle;
    const Net net = make_net(
        handle, {CUDNN_LSTM, CUDNN_RNN_DOUBLE_BIAS, CUDNN_BIDIRECTIONAL, CUDNN_LINEAR_INPUT, 3, 4, 2, 2});
    std::vector<int> covered(net.weights / sizeof(double));
    const Device<char> space(net.weights);
    cudnnTensorDescriptor_t m_desc = nullptr, b_desc = nullptr;
    cudnnCreateTensorDescriptor(&m_desc);
    cudnnCreateTensorDescriptor(&b_desc);
    const auto cover = [&](cudnnTensorDescriptor_t descriptor, void* address) {
        if (address == nullptr) return 0;
        cudnnDataType_t type{};
        int rank = 0, size[3] = {}, stride[3] = {};
        EXPECT_EQ(cudnnGetTensorNdDescriptor(descriptor, 3, &type, &rank, size, stride),
                  CUDNN_STATUS_SUCCESS);
        const auto first =
            (static_cast<char*>(address) - space.get()) / static_cast<std::ptrdiff_t>(sizeof(double));
        for (std::ptrdiff_t i = first; i < first + size[1] * size[2]; ++i)
            ++covered.at(static_cast<std::size_t>(i));
        return size[1] * 100 + size[2];
    };
    for (int pseudo = 0; pseudo < 4; ++pseudo)
        for (int id = 0; id <= 8; ++id) {
            void *m = nullptr, *b = nullptr;
            ASSERT_EQ(cudnnGetRNNWeightParams(handle, net.rnn, pseudo, net.weights, space.get(), id, m_desc,
                                              &m, b_desc, &b),
                      CUDNN_STATUS_SUCCESS);
            EXPECT_EQ(cover(m_desc, m), id == 8 ? 204 : id >= 4 ? 402 : pseudo < 2 ? 403 : 404);
            EXPECT_EQ(cover(b_desc, b), id == 8 ? 0 : 401);
        }
    EXPECT_EQ(std::count(covered.begin(), covered.end(), 1), static_cast<std::ptrdiff_t>(covered.size()));
    void *m = nullptr, *b = nullptr;
    const auto params = [&](int pseudo, int id, std::size_t size) {
        return cudnnGetRNNWeightParams(handle, net.rnn, pseudo, size, space.get(), id, m_desc, &m, b_desc,
                                       &b);
    };
    EXPECT_EQ(params(4, 0, net.weights), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(params(0, 9, net.weights), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(params(0, 0, net.weights - 1), CUDNN_STATUS_BAD_PARAM);
    cudnnDestroyTensorDescriptor(m_desc);
    cudnnDestroyTensorDescriptor(b_desc);
    destroy(net);
}

struct Data {
    Data(cudnnRNNDataLayout_t layout, int steps, std::vector<int> lengths, int width, double fill = 0) {
        EXPECT_EQ(cudnnCreateRNNDataDescriptor(&descriptor), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnSetRNNDataDescriptor(descriptor, CUDNN_DATA_DOUBLE, layout, steps,
                                            static_cast<int>(lengths.size()), width, lengths.data(), &fill),
                  CUDNN_STATUS_SUCCESS);
    }
    ~Data() { cudnnDestroyRNNDataDescriptor(descriptor); }
    cudnnRNNDataDescriptor_t descriptor = nullptr;
};

// Runs a net of one layer forward for inference; weights are W, R, then biases.
Values run_net(const Net& net, const Data& x_data, const Data& y_data, const Values& x, const Values& weights,
               std::size_t outputs, int batch, int output) {
    const Handle handle;
    const TensorDescriptor state({1, batch, output});
    std::size_t work_size = 0, reserve_size = 1;
    EXPECT_EQ(cudnnGetRNNTempSpaceSizes(handle, net.rnn, CUDNN_FWD_MODE_INFERENCE, x_data.descriptor,
                                        &work_size, &reserve_size),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(reserve_size, 0u);
    EXPECT_EQ(net.weights, weights.size() * sizeof(double));
    const Device<char> work(work_size);
    const Device<double> x_(x), y(Values(outputs, -9.0)), weights_(weights);
    const auto forward = [&](std::size_t work_given, cudnnTensorDescriptor_t state_desc) {
        return cudnnRNNForward(handle, net.rnn, CUDNN_FWD_MODE_INFERENCE, nullptr, x_data.descriptor,
                               x_.get(), y_data.descriptor, y.get(), state_desc, nullptr, nullptr, state_desc,
                               nullptr, nullptr, net.weights, weights_.get(), work_given, work.get(), 0,
                               nullptr);
    };
    const TensorDescriptor wrong({1, batch + 1, output});
    EXPECT_EQ(forward(work_size - 1, state), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(forward(work_size, wrong), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(forward(work_size, state), CUDNN_STATUS_SUCCESS);
    return y.values();
}

// h' = relu(w x + r h + b), by hand; padding gets its symbol, in either layout.
TEST(LegacyRecurrent, PaddedSequencesOfUnequalLength) {
    const Handle handle;
    NetOptions options{
        CUDNN_RNN_RELU, CUDNN_RNN_SINGLE_INP_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, 1, 1, 1, 1};
    const Net net = make_net(handle, options);
    const Values weights{2, 0.5, 1};  // w, r, b
    const std::vector<int> lengths{1, 3};
    const Data batch_major_x(CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED, 3, lengths, 1),
        batch_major_y(CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED, 3, lengths, 1, 7),
        step_major_x(CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, 3, lengths, 1),
        step_major_y(CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, 3, lengths, 1, 7);
    expect_near(run_net(net, batch_major_x, batch_major_y, {1, 99, 99, 1, -2, 3}, weights, 6, 2, 1),
                {3, 7, 7, 3, 0, 7});
    expect_near(run_net(net, step_major_x, step_major_y, {1, 1, 99, -2, 99, 3}, weights, 6, 2, 1),
                {3, 3, 7, 0, 7, 7});
    destroy(net);
}

TEST(LegacyRecurrent, SkippedInputHasNoMatrix) {
    const Handle handle;
    const Net net = make_net(
        handle, {CUDNN_RNN_TANH, CUDNN_RNN_NO_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_SKIP_INPUT, 2, 2, 2, 1});
    const Data data(CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, 1, {1}, 2);
    expect_near(run_net(net, data, data, {0.5, -1}, {1, 2, 3, 4}, 2, 1, 2),
                {std::tanh(0.5), std::tanh(-1.0)});
    destroy(net);
}

TEST(LegacyRecurrent, ClippedCells) {
    const Handle handle;
    const Net net = make_net(
        handle, {CUDNN_LSTM, CUDNN_RNN_NO_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, 1, 1, 1, 1});
    const Data data(CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, 1, {1}, 1);
    const Values weights{50, 50, 50, 50, 0, 0, 0, 0};
    expect_near(run_net(net, data, data, {1}, weights, 1, 1, 1), {std::tanh(1.0)});
    ASSERT_EQ(cudnnRNNSetClip_v9(net.rnn, CUDNN_RNN_CLIP_MINMAX, -0.25, 0.25), CUDNN_STATUS_SUCCESS);
    expect_near(run_net(net, data, data, {1}, weights, 1, 1, 1), {std::tanh(0.25)});
    destroy(net);
}

// The labels of the older form lie on the host; both forms agree, and two alignments of one label sum up.
TEST(LegacyCtc, BothFormsAgree) {
    const Handle handle;
    cudnnCTCLossDescriptor_t loss = nullptr;
    ASSERT_EQ(cudnnCreateCTCLossDescriptor(&loss), CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(cudnnSetCTCLossDescriptor_v9(loss, CUDNN_DATA_FLOAT, CUDNN_LOSS_NORMALIZATION_NONE,
                                           CUDNN_CTC_ZERO_OOB_GRADIENTS, 4),
              CUDNN_STATUS_SUCCESS);
    const TensorDescriptor desc({2, 1, 3}, CUDNN_DATA_FLOAT);
    const std::vector<float> probabilities{0.5f, 0.3f, 0.2f, 0.1f, 0.6f, 0.3f};
    const int label = 1, length = 1, steps = 2;
    const Device<int> label_(std::vector<int>{label}), length_(std::vector<int>{length}),
        steps_(std::vector<int>{steps});
    const Device<float> x(probabilities), costs(2), old_gradients(6), gradients(6);
    std::size_t size = 0, old_size = 0;
    ASSERT_EQ(cudnnGetCTCLossWorkspaceSize(handle, desc, desc, &label, &length, &steps,
                                           CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, loss, &old_size),
              CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(
        cudnnGetCTCLossWorkspaceSize_v8(handle, CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, loss, desc, desc, &size),
        CUDNN_STATUS_SUCCESS);
    const Device<char> work(std::max(size, old_size));
    ASSERT_EQ(
        cudnnCTCLoss(handle, desc, x.get(), &label, &length, &steps, costs.get(), desc, old_gradients.get(),
                     CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, loss, work.get(), old_size),
        CUDNN_STATUS_SUCCESS);
    ASSERT_EQ(cudnnCTCLoss_v8(handle, CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, loss, desc, x.get(), label_.get(),
                              length_.get(), steps_.get(), costs.get() + 1, desc, gradients.get(), size,
                              work.get()),
              CUDNN_STATUS_SUCCESS);
    const double likelihood = 0.3 * 0.6 + 0.5 * 0.6 + 0.3 * 0.1;  // 11, -1, 1-
    EXPECT_NEAR(costs.values()[0], -std::log(likelihood), 1e-6);
    EXPECT_EQ(costs.values()[0], costs.values()[1]);
    EXPECT_EQ(gradients.values(), old_gradients.values());
    EXPECT_NEAR(gradients.values()[0], 0.5 - 0.5 * 0.6 / likelihood, 1e-6);
    EXPECT_NEAR(gradients.values()[5], 0.3, 1e-6);
    EXPECT_EQ(cudnnCTCLoss_v8(handle, CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, loss, desc, x.get(), label_.get(),
                              length_.get(), steps_.get(), costs.get(), desc, gradients.get(), size - 1,
                              work.get()),
              CUDNN_STATUS_BAD_PARAM);
    cudnnDestroyCTCLossDescriptor(loss);
}

}  // namespace
