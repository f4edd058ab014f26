// What FuMi makes of cuDNN's descriptors: the real library's, which need no device.
#include <atomic>
#include <cstddef>

#include "cupti_hook/libraries/call_text.h"
#include "cupti_hook/libraries/cudnn_plan.h"
#include "cupti_hook/rerun/dnn_problem.h"
#include "tests/hook/dnn_graphs.h"

namespace fumi::test {

extern std::atomic<std::size_t> allocations;  // counted_new.cpp

namespace {

using libraries::DnnOperation;
using libraries::DnnPlan;
using libraries::DnnRole;

struct Texts {
    std::string shape, dtypes, compute, epilogue, reason;
};
Texts texts(const DnnPlan& plan) {
    libraries::Call call;
    call.library = libraries::Library::cudnn;
    call.function = "cudnnBackendExecute";
    call.decoded = true;
    call.dnn = &plan.call;
    call.not_checkable = plan.not_checkable;
    return {shape_text(call), dtypes_text(call), compute_type_text(call), epilogue_text(call),
            reason_text(call)};
}

struct ConvolutionCase {
    cudnnBackendDescriptorType_t type = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    int first_attribute =
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA;  // alpha, beta, conv, w, x, y from here
    bool channels_last = false;
    float beta = 0;
};

// 8x6x32x31, filters 16x3x3x2 in two groups.
DnnPlan parse(const ConvolutionCase& chosen) {
    const std::vector<std::int64_t> sx{8, 6, 32, 31}, sw{16, 3, 3, 2}, sy{8, 16, 16, 30};
    Backend operation(chosen.type);
    {
        // Gone before the graph is parsed, as in torch.
        const Tensor x(1, sx, packed(sx, chosen.channels_last)), w(2, sw, packed(sw, chosen.channels_last)),
            y(3, sy, packed(sy, chosen.channels_last));
        const Convolution convolution({2, 1}, {1, 0}, {1, 1});
        const auto name = [&](int offset) {
            return static_cast<cudnnBackendAttributeName_t>(chosen.first_attribute + offset);
        };
        operation.set(name(2), convolution);
        operation.set(name(0), CUDNN_TYPE_FLOAT, 1.5F).set(name(1), CUDNN_TYPE_FLOAT, chosen.beta);
        switch (chosen.type) {
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
                operation.set(name(3), w).set(name(4), x).set(name(5), y);
                break;
            default:
                operation.set(name(3), w).set(name(4), x).set(name(5), y);
        }
        operation.finalize();
    }
    const Graph graph({&operation});
    return libraries::parse_graph(*libraries::backend::find(graph.get()));
}

TEST(DnnConvolution, ForwardIsDecodedThoughItsDescriptorsAreGone) {
    const DnnPlan plan = parse({});
    EXPECT_EQ(plan.not_checkable, nullptr);
    EXPECT_EQ(plan.call.operation, DnnOperation::convolution_forward);
    EXPECT_EQ(plan.call.alpha, 1.5);
    const Texts said = texts(plan);
    EXPECT_EQ(said.shape, "convolution_forward x=8x6x32x31 w=16x3x3x2 s=2x1 p=1x0 d=1 g=2 NCHW k=18");
    EXPECT_EQ(said.dtypes, "fp32,fp32,fp32");
    EXPECT_EQ(said.compute, "32F");
    ASSERT_NE(plan.call.find(DnnRole::y), nullptr);
    EXPECT_EQ(plan.call.find(DnnRole::y)->size[3], 30);
}

TEST(DnnConvolution, TheContractIsThatOfTheAlgorithmWhereItIsKnown) {
    libraries::DnnCall call;
    call.operation = DnnOperation::convolution_forward;
    call.compute_type = DataType::f32;
    call.math_type = CUDNN_FMA_MATH;
    const auto name = [&] { return rerun::contract_of(call, 90, true).base.name; };
    const auto noted = [&](std::initializer_list<cudnnBackendNumericalNote_t> notes) {
        call.engine = {};
        call.engine.notes_known = true;
        for (const cudnnBackendNumericalNote_t note : notes) call.engine.numerical_notes |= 1U << note;
        return name();
    };
    EXPECT_EQ(noted({}), "fp32 FMA, implicit GEMM");
    EXPECT_EQ(noted({CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4}),
              "fp32 FMA, Winograd F(2, 3)");
    EXPECT_EQ(noted({CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6}),
              "fp32 FMA, Winograd F(4, 3)");
    EXPECT_EQ(noted({CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13}),
              "fp32 FMA, Winograd F(11, 3)");
    EXPECT_EQ(noted({CUDNN_NUMERICAL_NOTE_FFT}), "fp32 FMA, FFT");
    // The functions of before the graph API name it themselves.
    call.engine = {};
    const std::pair<int, const char*> named[] = {
        {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, "fp32 FMA, implicit GEMM"},
        {CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, "fp32 FMA, direct"},
        {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED, "fp32 FMA, Winograd F(4, 3)"},
        {CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING, "fp32 FMA, FFT"},
        {-1, "fp32 FMA, algorithm not known, the widest bound of Winograd and FFT"}};
    for (const auto& [algorithm, says] : named) {
        call.algorithm = algorithm;
        EXPECT_EQ(name(), says);
    }
}

TEST(DnnConvolution, BothGradientsAreDecoded) {
    const DnnPlan data = parse({CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, true, 0.5F});
    EXPECT_EQ(texts(data).shape,
              "convolution_backward_data x=8x6x32x31 w=16x3x3x2 s=2x1 p=1x0 d=1 g=2 NHWC k=48");
    EXPECT_EQ(data.call.beta, 0.5);
    EXPECT_NE(data.call.find(DnnRole::dx), nullptr);
    const DnnPlan filter = parse({CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA});
    EXPECT_EQ(filter.call.operation, DnnOperation::convolution_backward_filter);
    EXPECT_EQ(filter.call.convolution.groups, 2);
    EXPECT_NE(filter.call.find(DnnRole::dw), nullptr);
}

// conv, + 0.25 z, + bias, relu: what torch.cudnn_convolution_add_relu makes.
class Fused : public ::testing::Test {
  protected:
    const std::vector<std::int64_t> size_{2, 4, 8, 8}, filter_{4, 4, 3, 3};
    Tensor x_{1, size_, packed(size_)}, w_{2, filter_, packed(filter_)}, z_{3, size_, packed(size_)},
        bias_{4, {1, 4, 1, 1}, {4, 1, 1, 1}}, y_{5, size_, packed(size_)};
    Convolution convolution_{{1, 1}, {1, 1}, {1, 1}};

    void set(Backend& operation, const Backend& result) const {
        operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution_)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x_)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w_)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, result)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1.0F)
            .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 0.0F)
            .finalize();
    }
    Tensor between(std::int64_t uid) const { return {uid, size_, packed(size_), CUDNN_DATA_FLOAT, true}; }
};

TEST_F(Fused, TheTailOfAConvolutionIsDecoded) {
    const Tensor after_conv = between(10), after_z = between(11), after_bias = between(12);
    Backend operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(operation, after_conv);
    const Pointwise residual(CUDNN_POINTWISE_ADD, after_conv, &z_, after_z, 0.25F),
        bias(CUDNN_POINTWISE_ADD, after_z, &bias_, after_bias),
        relu(CUDNN_POINTWISE_RELU_FWD, after_bias, nullptr, y_);
    const Graph graph({&operation, &residual.operation, &bias.operation, &relu.operation});
    const DnnPlan plan = libraries::parse_graph(*libraries::backend::find(graph.get()));
    EXPECT_EQ(plan.not_checkable, nullptr);
    EXPECT_EQ(texts(plan).epilogue, "ADD_BIAS_RELU");
    EXPECT_EQ(plan.call.convolution.z_scale, 0.25);
    EXPECT_EQ(plan.call.tensor_count, 5);
}

TEST_F(Fused, AnUnknownTailIsNamedAsTheReason) {
    const Tensor after_conv = between(10);
    Backend operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(operation, after_conv);
    const Pointwise gelu(CUDNN_POINTWISE_GELU_FWD, after_conv, nullptr, y_);
    const Graph graph({&operation, &gelu.operation});
    const DnnPlan plan = libraries::parse_graph(*libraries::backend::find(graph.get()));
    EXPECT_EQ(texts(plan).reason, "no reference for a graph of convolution_forward, pointwise:104");
}

TEST_F(Fused, AConvolutionWhoseResultReachesMemoryIsCheckedWhateverFollows) {
    const Tensor result(6, size_, packed(size_));
    Backend operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(operation, result);
    const Pointwise gelu(CUDNN_POINTWISE_GELU_FWD, result, nullptr, y_);
    const Graph graph({&operation, &gelu.operation});
    const DnnPlan plan = libraries::parse_graph(*libraries::backend::find(graph.get()));
    EXPECT_EQ(plan.not_checkable, nullptr);
    EXPECT_EQ(texts(plan).epilogue, "MORE");
}

TEST(DnnDescriptors, NothingIsKeptOfWhatIsDestroyed) {
    const std::size_t before = libraries::backend::remembered();
    (void)parse({});
    EXPECT_EQ(libraries::backend::remembered(), before);
}

// A pack made, filled, read and destroyed; returns how often memory was asked for.
std::size_t execute_once(cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack,
                         const void* const* pointers, libraries::Call& call) {
    const std::int64_t uids[] = {3, 1, 2};
    const std::size_t before = allocations;
    libraries::backend::created(pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    libraries::backend::set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, uids);
    libraries::backend::set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
    libraries::decode_execution(call, nullptr, plan, pack);
    libraries::backend::destroyed(pack);
    return allocations - before;
}

TEST(DnnPlans, ACallAsksForNoMemoryOnceTheFirstIsMade) {
    int places[2] = {}, data[3] = {};
    const cudnnBackendDescriptor_t plan = &places[0], pack = &places[1];
    const void* const pointers[] = {&data[2], &data[0], &data[1]};
    libraries::backend::created(plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    libraries::backend::attach(plan, std::make_shared<DnnPlan>(parse({})));
    libraries::Call call;
    EXPECT_GT(execute_once(plan, pack, pointers, call), 0U);
    // Without a handle cuDNN itself asks for memory, to say what is wrong.
    std::size_t of_cudnn = allocations;
    cudaStream_t stream = nullptr;
    EXPECT_NE(cudnnGetStream(nullptr, &stream), CUDNN_STATUS_SUCCESS);
    of_cudnn = allocations - of_cudnn;
    EXPECT_EQ(execute_once(plan, pack, pointers, call), of_cudnn);
    ASSERT_NE(call.dnn, nullptr);
    EXPECT_EQ(call.dnn->find(DnnRole::x)->data, &data[0]);
    EXPECT_EQ(call.dnn->find(DnnRole::w)->data, &data[1]);
    EXPECT_EQ(call.dnn->find(DnnRole::y)->data, &data[2]);
    libraries::backend::destroyed(plan);
    libraries::Call late;
    libraries::decode_execution(late, nullptr, plan, nullptr);
    EXPECT_NE(late.not_checkable, nullptr);
    EXPECT_EQ(late.dnn, nullptr);
}

TEST(DnnDescriptors, AnOperationMadeBeforeFuMiIsAReason) {
    const Tensor x(1, {1, 1, 4, 4}, {16, 16, 4, 1});
    Backend graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    cudnnBackendDescriptor_t unseen = nullptr;
    libraries::backend::set(graph.get(), CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                            &unseen);
    EXPECT_NE(libraries::parse_graph(*libraries::backend::find(graph.get())).not_checkable, nullptr);
}

}  // namespace
}  // namespace fumi::test
