#include "tests/softcuda/core/support.h"

namespace {

TEST(Streams, RunBehindTheHost) {
    const Stream stream;
    Gate gate;
    gate.close(stream);
    EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_CUDA(cudaStreamQuery(stream));
    cudaGetLastError();
}

TEST(Streams, KeepTheirOrder) {
    const Stream stream;
    const Device<unsigned char> device(1);
    for (int value = 0; value < 100; ++value) EXPECT_CUDA(cudaMemsetAsync(device.data(), value, 1, stream));
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(device.read()[0], 99);
}

// With work held up on one stream, says whether the legacy stream's work waits for it.
bool legacy_waits_for(unsigned flags) {
    const Stream stream(flags);
    const Device<char> device(1);
    Gate gate;
    gate.close(stream);
    EXPECT_CUDA(cudaMemsetAsync(device.data(), 1, 1, nullptr));
    const Event event;
    EXPECT_CUDA(cudaEventRecord(event, nullptr));
    cudaError_t status = cudaErrorNotReady;
    for (int tries = 0; tries < 50 && status == cudaErrorNotReady; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        status = cudaEventQuery(event);
    }
    gate.open();
    EXPECT_CUDA(cudaDeviceSynchronize());
    cudaGetLastError();
    return status == cudaErrorNotReady;
}

TEST(Streams, LegacyStreamWaitsForBlockingStreamsAlone) {
    EXPECT_TRUE(legacy_waits_for(cudaStreamDefault));
    EXPECT_FALSE(legacy_waits_for(cudaStreamNonBlocking));
}

TEST(Streams, BlockingStreamsWaitForTheLegacyStream) {
    const Stream blocking(cudaStreamDefault);
    const Stream free;
    Gate gate;
    gate.close(nullptr);
    const Device<char>* device = nullptr;
    (void)device;
    EXPECT_CUDA(cudaLaunchHostFunc(
        blocking, [](void*) {}, nullptr));
    EXPECT_CUDA(cudaLaunchHostFunc(
        free, [](void*) {}, nullptr));
    EXPECT_CUDA(cudaStreamSynchronize(free));
    EXPECT_EQ(cudaStreamQuery(blocking), cudaErrorNotReady);
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(blocking));
    cudaGetLastError();
}

TEST(Streams, PerThreadStreamsAreTheThreadsOwn) {
    Gate gate;
    gate.close(cudaStreamPerThread);
    EXPECT_EQ(cudaStreamQuery(cudaStreamPerThread), cudaErrorNotReady);
    std::thread([] { EXPECT_CUDA(cudaStreamQuery(cudaStreamPerThread)); }).join();
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(cudaStreamPerThread));
    cudaGetLastError();
}

TEST(Streams, CallbacksGetTheirData) {
    const Stream stream;
    std::atomic<int> called{0};
    EXPECT_CUDA(cudaStreamAddCallback(
        stream,
        [](cudaStream_t, cudaError_t status, void* data) {
            EXPECT_EQ(status, cudaSuccess);
            ++*static_cast<std::atomic<int>*>(data);
        },
        &called, 0));
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(called, 1);
}

TEST(Streams, DestructionLetsWorkFinish) {
    std::atomic<int> ran{0};
    {
        const Stream stream;
        for (int item = 0; item < 10; ++item) {
            EXPECT_CUDA(cudaLaunchHostFunc(
                stream, [](void* data) { ++*static_cast<std::atomic<int>*>(data); }, &ran));
        }
    }
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_EQ(ran, 10);
}

TEST(Streams, BadHandlesAreRefused) {
    cudaStream_t gone = nullptr;
    EXPECT_CUDA(cudaStreamCreate(&gone));
    EXPECT_CUDA(cudaStreamDestroy(gone));
    EXPECT_EQ(cudaStreamQuery(gone), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
}

TEST(Streams, PrioritiesAreClamped) {
    int least = 1;
    int greatest = 1;
    EXPECT_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    EXPECT_LT(greatest, least);
    cudaStream_t stream = nullptr;
    EXPECT_CUDA(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest - 10));
    int priority = 1;
    EXPECT_CUDA(cudaStreamGetPriority(stream, &priority));
    EXPECT_EQ(priority, greatest);
    EXPECT_CUDA(cudaStreamDestroy(stream));
}

}  // namespace
