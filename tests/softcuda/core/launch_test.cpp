#include <cuda.h>
#include <cupti.h>

#include <string>

#include "tests/softcuda/core/support.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/softcuda.h"

extern "C" {
void** __cudaRegisterFatBinary(void*);
void __cudaRegisterFunction(void**, const char*, char*, const char*, int, uint3*, uint3*, dim3*, dim3*, int*);
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int);
}

namespace {

// out[block] += add, with one block per element.
void add_body(const SoftcudaBlock* block) {
    auto address = *static_cast<std::uintptr_t*>(block->args[0]);
    EXPECT_GE(address, block->device_begin);
    EXPECT_LT(address, block->device_end);
    auto* out = reinterpret_cast<int*>(address + block->device_offset);
    out[block->block_idx.x] += *static_cast<int*>(block->args[1]);
    static_cast<char*>(block->shared)[99] = 1;
}

char add_stub;
char unknown_stub;
char device_variable;

CUfunction add_function() {
    static const int registered = [] {
        const uint32_t sizes[] = {8, 4};
        EXPECT_EQ(softcudaRegisterKernel("_Z3addPii", add_body, sizes, 2), 0);
        EXPECT_EQ(softcudaRegisterKernel("_Z3addPii", add_body, sizes, 2), -1);
        void** binary = __cudaRegisterFatBinary(nullptr);
        __cudaRegisterFunction(binary, &add_stub, nullptr, "_Z3addPii", -1, nullptr, nullptr, nullptr,
                               nullptr, nullptr);
        __cudaRegisterFunction(binary, &unknown_stub, nullptr, "_ZN5other6kernelEf", -1, nullptr, nullptr,
                               nullptr, nullptr, nullptr);
        __cudaRegisterVar(binary, &device_variable, nullptr, "device_variable", 0, 16, 0, 0);
        return 0;
    }();
    (void)registered;
    CUlibrary library = nullptr;
    CUkernel kernel = nullptr;
    CUfunction function = nullptr;
    EXPECT_EQ(cuLibraryLoadData(&library, "image", nullptr, nullptr, 0, nullptr, nullptr, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuLibraryGetKernel(&kernel, library, "_Z3addPii"), CUDA_SUCCESS);
    EXPECT_EQ(cuKernelGetFunction(&function, kernel), CUDA_SUCCESS);
    return function;
}

TEST(Launch, RunsEveryBlockByBothApis) {
    const Device<int> out(3);
    EXPECT_CUDA(cudaMemset(out.data(), 0, out.bytes()));
    const CUfunction function = add_function();
    int* address = out.data();
    int add = 5;
    void* arguments[] = {&address, &add};
    const Stream stream;
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_EQ(cuLaunchKernel(function, 3, 1, 1, 32, 1, 1, 100, stream, arguments, nullptr), CUDA_SUCCESS);
    add = 7;  // the argument was copied
    EXPECT_CUDA(cudaLaunchKernel(&add_stub, dim3(2), dim3(1), arguments, 100, stream));
    EXPECT_EQ(out.read(), (std::vector<int>{12, 12, 5}));
    EXPECT_EQ(cuLaunchKernel(function, 3, 1, 1, 2000, 1, 1, 0, stream, arguments, nullptr),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    cudaGetLastError();
}

TEST(Launch, IsCapturedAndReplayed) {
    const Device<int> out(1);
    EXPECT_CUDA(cudaMemset(out.data(), 0, out.bytes()));
    const CUfunction function = add_function();
    const Stream stream;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    {
        int* address = out.data();
        int add = 3;
        void* arguments[] = {&address, &add};
        EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 100, stream, arguments, nullptr), CUDA_SUCCESS);
    }
    EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
    EXPECT_CUDA(cudaGraphInstantiateWithFlags(&exec, graph, 0));
    for (int replay = 0; replay < 4; ++replay) EXPECT_CUDA(cudaGraphLaunch(exec, stream));
    EXPECT_EQ(out.read()[0], 12);
    EXPECT_CUDA(cudaGraphExecDestroy(exec));
    EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Launch, NobodysKernelIsAnErrorWithItsName) {
    add_function();
    testing::internal::CaptureStderr();
    EXPECT_EQ(cudaLaunchKernel(&unknown_stub, dim3(1), dim3(1), nullptr, 0, nullptr),
              cudaErrorInvalidDeviceFunction);
    EXPECT_EQ(cudaLaunchKernel(&unknown_stub, dim3(1), dim3(1), nullptr, 0, nullptr),
              cudaErrorInvalidDeviceFunction);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDeviceFunction);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("other::kernel(float)"), std::string::npos) << said;
    EXPECT_EQ(said.find("other::kernel"), said.rfind("other::kernel")) << "said once";
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    EXPECT_EQ(cuModuleLoadData(&module, "image"), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&function, module, "nobody"), CUDA_ERROR_NOT_FOUND);
}

TEST(Launch, DeviceVariablesHaveStorage) {
    add_function();
    const int value = 9;
    int seen = 0;
    EXPECT_CUDA(cudaMemcpyToSymbol(&device_variable, &value, sizeof value, 4, cudaMemcpyHostToDevice));
    EXPECT_CUDA(cudaMemcpyFromSymbol(&seen, &device_variable, sizeof seen, 4, cudaMemcpyDeviceToHost));
    EXPECT_EQ(seen, 9);
    EXPECT_EQ(cudaMemcpyToSymbol(&device_variable, &value, 16, 4, cudaMemcpyHostToDevice),
              cudaErrorInvalidValue);
    void* address = nullptr;
    EXPECT_EQ(cudaGetSymbolAddress(&address, &seen), cudaErrorInvalidSymbol);
    cudaGetLastError();
}

TEST(Launch, InsideWorkRunsOnTheStream) {
    const Stream stream;
    std::atomic<int> ran{0};
    EXPECT_CUDA(softcuda::launch(stream, "part", [&ran] { ++ran; }));
    EXPECT_CUDA(softcuda::enqueue(stream, "copy", [&ran] { ++ran; }));
    EXPECT_CUDA(softcuda::synchronize(stream));
    EXPECT_EQ(ran, 2);
    EXPECT_FALSE(softcuda::is_capturing(stream));
}

struct Seen {
    std::vector<std::string> lines;
    std::thread::id thread;
    uint64_t kept = 0;
};

void on_call(void* user, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* raw) {
    auto& seen = *static_cast<Seen*>(user);
    const auto* data = static_cast<const CUpti_CallbackData*>(raw);
    EXPECT_EQ(domain, CUPTI_CB_DOMAIN_DRIVER_API);
    EXPECT_EQ(data->contextUid, 1U);
    const bool enters = data->callbackSite == CUPTI_API_ENTER;
    if (enters) *data->correlationData = seen.kept = data->correlationId;
    EXPECT_EQ(*data->correlationData, seen.kept);
    seen.thread = std::this_thread::get_id();
    seen.lines.push_back(std::string(enters ? "enter " : "exit ") + data->functionName + " " +
                         (data->symbolName == nullptr ? "-" : data->symbolName) + " " + std::to_string(id));
}

TEST(Cupti, SeesLaunchesAndGraphLaunches) {
    Seen seen;
    CUpti_SubscriberHandle handle = nullptr;
    ASSERT_EQ(cuptiSubscribe(&handle, on_call, &seen), CUPTI_SUCCESS);
    CUpti_SubscriberHandle second = nullptr;
    char old[128] = {};
    CUpti_SubscriberParams params{};
    params.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
    params.oldSubscriberName = old;
    params.oldSubscriberSize = sizeof old;
    EXPECT_EQ(cuptiSubscribe_v2(&second, on_call, &seen, &params),
              CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
    EXPECT_NE(std::string(old), "");
    const Stream stream;
    EXPECT_CUDA(softcuda::launch(stream, "before_enable", [] {}));
    for (const auto id : {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch}) {
        EXPECT_EQ(cuptiEnableCallback(1, handle, CUPTI_CB_DOMAIN_DRIVER_API, id), CUPTI_SUCCESS);
    }
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_CUDA(softcuda::launch(stream, "gemm_kernel", [] {}));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
    EXPECT_CUDA(cudaGraphInstantiateWithFlags(&exec, graph, 0));
    EXPECT_CUDA(cudaGraphLaunch(exec, stream));
    EXPECT_EQ(cuptiUnsubscribe(handle), CUPTI_SUCCESS);
    EXPECT_CUDA(softcuda::launch(stream, "after", [] {}));
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(seen.lines, (std::vector<std::string>{
                              "enter cuLaunchKernel gemm_kernel 307", "exit cuLaunchKernel gemm_kernel 307",
                              "enter cuGraphLaunch - 514", "exit cuGraphLaunch - 514"}));
    EXPECT_EQ(seen.thread, std::this_thread::get_id());
    EXPECT_CUDA(cudaGraphExecDestroy(exec));
    EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(CuptiDeathTest, SlotCanBeTaken) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    setenv("SOFTCUDA_CUPTI_TAKEN", "Nsight", 1);
    EXPECT_EXIT(
        {
            CUpti_SubscriberHandle handle = nullptr;
            char old[128] = {};
            CUpti_SubscriberParams params{};
            params.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
            params.oldSubscriberName = old;
            params.oldSubscriberSize = sizeof old;
            const auto result = cuptiSubscribe_v2(&handle, on_call, nullptr, &params);
            const bool right = result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
            std::_Exit(right && std::string(old) == "CUPTI for Nsight" ? 42 : 1);
        },
        testing::ExitedWithCode(42), "");
    unsetenv("SOFTCUDA_CUPTI_TAKEN");
}

}  // namespace
