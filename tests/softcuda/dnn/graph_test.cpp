// cuDNN's backend graph API on the software device, as a C program uses it.
#include <cuda.h>
#include <cudnn.h>
#include <cupti.h>

#include <cmath>
#include <random>
#include <string>

#include "tests/softcuda/core/support.h"

namespace {

#define EXPECT_DNN(call) EXPECT_EQ(call, CUDNN_STATUS_SUCCESS)

// A backend descriptor that is destroyed with its scope.
class Descriptor {
  public:
    explicit Descriptor(cudnnBackendDescriptorType_t kind) {
        EXPECT_DNN(cudnnBackendCreateDescriptor(kind, &descriptor_));
    }
    ~Descriptor() { cudnnBackendDestroyDescriptor(descriptor_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    operator cudnnBackendDescriptor_t() const { return descriptor_; }  // NOLINT(google-explicit-constructor)

    template <class T>
    cudnnStatus_t set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                      const std::vector<T>& values) {
        return cudnnBackendSetAttribute(descriptor_, name, type, static_cast<std::int64_t>(values.size()),
                                        values.data());
    }
    cudnnStatus_t set(cudnnBackendAttributeName_t name, const Descriptor& part) {
        return set<cudnnBackendDescriptor_t>(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, {part});
    }
    cudnnStatus_t finalize() { return cudnnBackendFinalize(descriptor_); }
    template <class T>
    T get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) {
        T value{};
        std::int64_t count = 0;
        EXPECT_DNN(cudnnBackendGetAttribute(descriptor_, name, type, 1, &count, &value));
        EXPECT_EQ(count, 1);
        return value;
    }

  private:
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

class Handle {
  public:
    Handle() { EXPECT_DNN(cudnnCreate(&handle_)); }
    ~Handle() { EXPECT_DNN(cudnnDestroy(handle_)); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    operator cudnnHandle_t() const { return handle_; }  // NOLINT(google-explicit-constructor)

  private:
    cudnnHandle_t handle_ = nullptr;
};

using Sizes = std::vector<std::int64_t>;

void describe(Descriptor& tensor, std::int64_t uid, const Sizes& size,
              cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    Sizes stride(size.size(), 1);
    for (std::size_t i = size.size() - 1; i-- > 0;) stride[i] = stride[i + 1] * size[i + 1];
    EXPECT_DNN(tensor.set<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, {type}));
    EXPECT_DNN(tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, size));
    EXPECT_DNN(tensor.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, stride));
    EXPECT_DNN(tensor.set<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, {uid}));
    EXPECT_DNN(tensor.set<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, {16}));
    EXPECT_DNN(tensor.finalize());
}

constexpr std::int64_t images = 2, channels = 3, filters = 4, height = 6, width = 5, taps = 3;
const Sizes x_size{images, channels, height, width}, w_size{filters, channels, taps, taps},
    y_size{images, filters, height, width};

// A graph of one convolution with padding 1; x is 1, w 2, y 3. The parts are gone when the graph is
// finalized.
void describe_convolution(Descriptor& graph, cudnnConvolutionMode_t mode, float alpha, float beta) {
    Descriptor x(CUDNN_BACKEND_TENSOR_DESCRIPTOR), w(CUDNN_BACKEND_TENSOR_DESCRIPTOR),
        y(CUDNN_BACKEND_TENSOR_DESCRIPTOR), window(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
        operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    describe(x, 1, x_size);
    describe(w, 2, w_size);
    describe(y, 3, y_size);
    EXPECT_DNN(window.set<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
                                           {CUDNN_DATA_FLOAT}));
    EXPECT_DNN(window.set<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE,
                                                  CUDNN_TYPE_CONVOLUTION_MODE, {mode}));
    EXPECT_DNN(window.set<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, {2}));
    for (const auto name : {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
                            CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES})
        EXPECT_DNN(window.set(name, CUDNN_TYPE_INT64, Sizes{1, 1}));
    EXPECT_DNN(window.finalize());
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x));
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w));
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y));
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window));
    EXPECT_DNN(
        operation.set<float>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, {alpha}));
    EXPECT_DNN(operation.set<float>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, {beta}));
    EXPECT_DNN(operation.finalize());
    EXPECT_DNN(graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation));
}

// The plan of the graph's engine of that index.
void plan_engine(Descriptor& plan, const Descriptor& graph, std::int64_t index) {
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR), config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    EXPECT_DNN(engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph));
    EXPECT_DNN(engine.set<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {index}));
    EXPECT_DNN(engine.finalize());
    EXPECT_DNN(config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine));
    EXPECT_DNN(config.finalize());
    EXPECT_DNN(plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    EXPECT_DNN(plan.finalize());
}

std::vector<float> random_values(std::size_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> values(count);
    for (float& value : values) value = uniform(generator);
    return values;
}

std::vector<float> reference(const std::vector<float>& x, const std::vector<float>& w, std::vector<float> y,
                             bool flipped, float alpha, float beta) {
    const auto at = [](const Sizes& size, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
        return static_cast<std::size_t>(((a * size[1] + b) * size[2] + c) * size[3] + d);
    };
    for (std::int64_t n = 0; n < images; ++n)
        for (std::int64_t k = 0; k < filters; ++k)
            for (std::int64_t place = 0; place < height * width; ++place) {
                const std::int64_t i = place / width, j = place % width;
                double sum = 0;
                for (std::int64_t tap = 0; tap < channels * taps * taps; ++tap) {
                    const std::int64_t c = tap / (taps * taps), r = tap / taps % taps, s = tap % taps;
                    const std::int64_t row = i + r - 1, column = j + s - 1;
                    if (row < 0 || row >= height || column < 0 || column >= width) continue;
                    sum += static_cast<double>(x[at(x_size, n, c, row, column)]) *
                           static_cast<double>(flipped ? w[at(w_size, k, c, taps - 1 - r, taps - 1 - s)]
                                                       : w[at(w_size, k, c, r, s)]);
                }
                float& result = y[at(y_size, n, k, i, j)];
                result = static_cast<float>(alpha * sum + static_cast<double>(beta * result));
            }
    return y;
}

struct Tensors {
    std::vector<float> x = random_values(images * channels * height * width, 1),
                       w = random_values(filters * channels * taps * taps, 2),
                       y = random_values(images * filters * height * width, 3);
    Device<float> dx{x.size()}, dw{w.size()}, dy{y.size()};
    Tensors() {
        for (const auto& [to, from] : {std::pair{dx.data(), &x}, {dw.data(), &w}, {dy.data(), &y}})
            EXPECT_CUDA(cudaMemcpy(to, from->data(), from->size() * sizeof(float), cudaMemcpyHostToDevice));
    }
    void describe_in(Descriptor& pack) {
        EXPECT_DNN(pack.set<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, {3, 1, 2}));
        EXPECT_DNN(pack.set<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                                   {dy.data(), dx.data(), dw.data()}));
        EXPECT_DNN(pack.finalize());
    }
    std::vector<float> result() {
        std::vector<float> values(y.size());
        EXPECT_CUDA(
            cudaMemcpy(values.data(), dy.data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost));
        return values;
    }
};

TEST(DnnHandle, HasAStream) {
    EXPECT_NE(cudnnCreate(nullptr), CUDNN_STATUS_SUCCESS);
    EXPECT_NE(cudnnSetStream(nullptr, nullptr), CUDNN_STATUS_SUCCESS);
    const Handle handle;
    const Stream stream;
    cudaStream_t set = nullptr;
    EXPECT_DNN(cudnnGetStream(handle, &set));
    EXPECT_EQ(set, nullptr);
    EXPECT_DNN(cudnnSetStream(handle, stream));
    EXPECT_DNN(cudnnGetStream(handle, &set));
    EXPECT_EQ(set, static_cast<cudaStream_t>(stream));
    EXPECT_GT(cudnnGetVersion(), 90000u);
}

TEST(DnnGraph, NeedsNoHandleButTakesNoNullOne) {
    const Handle handle;
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), bare(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    describe_convolution(graph, CUDNN_CROSS_CORRELATION, 1, 0);
    EXPECT_EQ(graph.set<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, {nullptr}),
              CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    char message[200] = "";
    cudnnGetLastErrorString(message, sizeof message);
    EXPECT_NE(std::string(message).find("handle"), std::string::npos);
    EXPECT_DNN(graph.set<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, {handle}));
    EXPECT_DNN(graph.finalize());
    describe_convolution(bare, CUDNN_CROSS_CORRELATION, 1, 0);
    EXPECT_DNN(bare.finalize());
    EXPECT_EQ(bare.get<std::int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, CUDNN_TYPE_INT64), 2);
}

TEST(DnnGraph, IsCheckedByTheRealLibrary) {
    Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    EXPECT_NE(tensor.finalize(), CUDNN_STATUS_SUCCESS);  // nothing is set
    EXPECT_NE(tensor.set<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, {2}),
              CUDNN_STATUS_SUCCESS);
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    EXPECT_NE(graph.finalize(), CUDNN_STATUS_SUCCESS);
}

TEST(DnnGraph, WithAnOperationThatIsNotThereSaysSoOnce) {
    Descriptor x(CUDNN_BACKEND_TENSOR_DESCRIPTOR), y(CUDNN_BACKEND_TENSOR_DESCRIPTOR),
        resample(CUDNN_BACKEND_RESAMPLE_DESCRIPTOR),
        operation(CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR);
    describe(x, 1, {1, 2, 4, 4});
    describe(y, 2, {1, 2, 2, 2});
    EXPECT_DNN(resample.set<cudnnResampleMode_t>(CUDNN_ATTR_RESAMPLE_MODE, CUDNN_TYPE_RESAMPLE_MODE,
                                                 {CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING}));
    EXPECT_DNN(resample.set<std::int64_t>(CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, CUDNN_TYPE_INT64, {2}));
    EXPECT_DNN(resample.set<cudnnDataType_t>(CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
                                             {CUDNN_DATA_FLOAT}));
    EXPECT_DNN(resample.set<cudnnPaddingMode_t>(CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_TYPE_PADDING_MODE,
                                                {CUDNN_ZERO_PAD}));
    for (const auto name : {CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, CUDNN_ATTR_RESAMPLE_STRIDES})
        EXPECT_DNN(resample.set<cudnnFraction_t>(name, CUDNN_TYPE_FRACTION, {{2, 1}, {2, 1}}));
    for (const auto name : {CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, CUDNN_ATTR_RESAMPLE_POST_PADDINGS})
        EXPECT_DNN(resample.set<cudnnFraction_t>(name, CUDNN_TYPE_FRACTION, {{0, 1}, {0, 1}}));
    EXPECT_DNN(resample.finalize());
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, x));
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, y));
    EXPECT_DNN(operation.set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC, resample));
    EXPECT_DNN(operation.finalize());
    testing::internal::CaptureStderr();
    for (int i = 0; i < 2; ++i) {
        Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        EXPECT_DNN(graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation));
        EXPECT_EQ(graph.finalize(), CUDNN_STATUS_NOT_SUPPORTED);
    }
    const std::string said = testing::internal::GetCapturedStderr();
    const auto first = said.find("descriptor type 25");
    EXPECT_NE(first, std::string::npos) << said;
    EXPECT_EQ(said.find("descriptor type 25", first + 1), std::string::npos) << said;
}

TEST(DnnGraph, HasEnginesThatAHeuristicNames) {
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    describe_convolution(graph, CUDNN_CROSS_CORRELATION, 1, 0);
    EXPECT_DNN(graph.finalize());
    EXPECT_DNN(heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    EXPECT_DNN(heuristic.set<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                                                     {CUDNN_HEUR_MODE_A}));
    EXPECT_DNN(heuristic.finalize());
    std::int64_t count = 0;
    EXPECT_DNN(cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr));
    ASSERT_EQ(count, 2);
    Descriptor first(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR), second(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    cudnnBackendDescriptor_t results[] = {first, second};
    EXPECT_DNN(cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 2, &count, results));
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR), again(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    cudnnBackendDescriptor_t into = engine;
    EXPECT_DNN(cudnnBackendGetAttribute(first, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                        &count, &into));
    EXPECT_EQ(engine.get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64), 1);
    EXPECT_EQ(
        engine.get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE),
        CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    into = again;
    EXPECT_DNN(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &into));
    EXPECT_EQ(again.get<std::int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, CUDNN_TYPE_INT64), 2);
    Descriptor none(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    EXPECT_DNN(none.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph));
    EXPECT_DNN(none.set<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {99}));
    EXPECT_EQ(none.finalize(), CUDNN_STATUS_NOT_SUPPORTED);
}

TEST(DnnGraph, TakesADevicesPropertiesInPlaceOfAHandle) {
    const Handle handle;
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR),
        plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    for (const bool by_handle : {true, false}) {
        Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
        if (by_handle)
            EXPECT_DNN(device.set<cudnnHandle_t>(CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, {handle}));
        else
            EXPECT_DNN(device.set<std::int32_t>(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, {0}));
        EXPECT_DNN(device.finalize());
        if (by_handle) {
            describe_convolution(graph, CUDNN_CROSS_CORRELATION, 1, 0);
            EXPECT_DNN(graph.finalize());
            EXPECT_DNN(heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
            EXPECT_DNN(heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device));
            EXPECT_DNN(heuristic.set<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                                                             {CUDNN_HEUR_MODE_B}));
            EXPECT_DNN(heuristic.finalize());
        } else {
            EXPECT_DNN(plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device));
            plan_engine(plan, graph, 0);
        }
    }
}

TEST(DnnExecute, ConvolvesAsTheDescriptorSays) {
    const Handle handle;
    const Stream stream;
    EXPECT_DNN(cudnnSetStream(handle, stream));
    for (const bool flipped : {false, true}) {
        Tensors tensors;
        Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        {
            Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
            describe_convolution(graph, flipped ? CUDNN_CONVOLUTION : CUDNN_CROSS_CORRELATION, 0.5f, 2.0f);
            EXPECT_DNN(graph.finalize());
            plan_engine(plan, graph, 0);
        }
        EXPECT_EQ(plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64), 0);
        tensors.describe_in(pack);
        EXPECT_DNN(cudnnBackendExecute(handle, plan, pack));
        EXPECT_CUDA(cudaStreamSynchronize(stream));
        const auto have = tensors.result(),
                   want = reference(tensors.x, tensors.w, tensors.y, flipped, 0.5f, 2.0f);
        for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(have[i], want[i], 1e-5f) << i;
    }
}

TEST(DnnExecute, RefusesWhatIsNotReady) {
    const Handle handle;
    Tensors tensors;
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR),
        pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR), partial(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    describe_convolution(graph, CUDNN_CROSS_CORRELATION, 1, 0);
    EXPECT_DNN(graph.finalize());
    tensors.describe_in(pack);
    EXPECT_EQ(cudnnBackendExecute(handle, plan, pack), CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    EXPECT_EQ(cudnnBackendExecute(handle, pack, plan), CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
    EXPECT_EQ(cudnnBackendExecute(nullptr, plan, pack), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    plan_engine(plan, graph, 0);
    EXPECT_DNN(partial.set<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, {1}));
    EXPECT_DNN(
        partial.set<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, {tensors.dx.data()}));
    EXPECT_DNN(partial.finalize());
    EXPECT_EQ(cudnnBackendExecute(handle, plan, partial), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    EXPECT_EQ(tensors.result(), tensors.y);
}

TEST(DnnExecute, IsAnnouncedUnderAKernelsName) {
    std::string name;
    CUpti_SubscriberHandle subscriber = nullptr;
    ASSERT_EQ(cuptiSubscribe(
                  &subscriber,
                  [](void* names, CUpti_CallbackDomain, CUpti_CallbackId, const void* data) {
                      const auto* call = static_cast<const CUpti_CallbackData*>(data);
                      if (call->symbolName != nullptr) *static_cast<std::string*>(names) = call->symbolName;
                  },
                  &name),
              CUPTI_SUCCESS);
    EXPECT_EQ(cuptiEnableDomain(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API), CUPTI_SUCCESS);
    const Handle handle;
    Tensors tensors;
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR),
        pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    describe_convolution(graph, CUDNN_CROSS_CORRELATION, 1, 0);
    EXPECT_DNN(graph.finalize());
    plan_engine(plan, graph, 0);
    tensors.describe_in(pack);
    EXPECT_DNN(cudnnBackendExecute(handle, plan, pack));
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_EQ(name, "softcuda_simt_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nchwkcrs_nchw_kernel_cudnn");
    EXPECT_EQ(cuptiUnsubscribe(subscriber), CUPTI_SUCCESS);
}

}  // namespace
