#include "tests/softcuda/core/support.h"

namespace {

TEST(Events, AreReadyUntilRecorded) {
    const Event event;
    EXPECT_CUDA(cudaEventQuery(event));
    EXPECT_CUDA(cudaEventSynchronize(event));
}

TEST(Events, CompleteAfterTheWorkBeforeThem) {
    const Stream stream;
    const Event event;
    Gate gate;
    gate.close(stream);
    EXPECT_CUDA(cudaEventRecord(event, stream));
    EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
    gate.open();
    EXPECT_CUDA(cudaEventSynchronize(event));
    EXPECT_CUDA(cudaEventQuery(event));
    cudaGetLastError();
}

TEST(Events, OrderStreams) {
    for (int round = 0; round < 20; ++round) {
        const Stream first;
        const Stream second;
        const Event event(cudaEventDisableTiming);
        const Device<unsigned char> device(1);
        EXPECT_CUDA(cudaMemsetAsync(device.data(), 1, 1, first));
        EXPECT_CUDA(cudaEventRecord(event, first));
        EXPECT_CUDA(cudaStreamWaitEvent(second, event, 0));
        EXPECT_CUDA(cudaMemsetAsync(device.data(), 2, 1, second));
        EXPECT_CUDA(cudaStreamSynchronize(second));
        EXPECT_EQ(device.read()[0], 2);
    }
}

TEST(Events, WaitTakesTheRecordOfItsTime) {
    const Stream first;
    const Stream second;
    const Event event;
    Gate gate;
    EXPECT_CUDA(cudaEventRecord(event, first));
    EXPECT_CUDA(cudaStreamWaitEvent(second, event, 0));
    gate.close(first);
    EXPECT_CUDA(cudaEventRecord(event, first));
    EXPECT_CUDA(cudaStreamSynchronize(second));  // hangs if it waits for the second record
    gate.open();
    EXPECT_CUDA(cudaEventSynchronize(event));
}

TEST(Events, MeasureTimeBetweenCompletions) {
    const Stream stream;
    const Event begin;
    const Event end;
    float milliseconds = 0;
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidResourceHandle);
    EXPECT_CUDA(cudaEventRecord(begin, stream));
    EXPECT_CUDA(cudaLaunchHostFunc(
        stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }, nullptr));
    EXPECT_CUDA(cudaEventRecord(end, stream));
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
    EXPECT_CUDA(cudaEventSynchronize(end));
    EXPECT_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    EXPECT_GE(milliseconds, 19.0F);
    const Event timeless(cudaEventDisableTiming);
    EXPECT_CUDA(cudaEventRecord(timeless, stream));
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, timeless), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
}

// Counts how often a program that forgets to wait for the other stream sees the old value.
TEST(EventsDeathTest, AdversarialScheduleShowsAMissingWait) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    setenv("SOFTCUDA_SCHEDULE", "adversarial", 1);
    EXPECT_EXIT(
        {
            const Stream producer;
            const Stream consumer;
            const Device<unsigned char> device(1);
            unsigned char* seen = nullptr;
            cudaMallocHost(reinterpret_cast<void**>(&seen), 1);
            int stale = 0;
            for (unsigned char round = 1; round <= 50; ++round) {
                cudaMemsetAsync(device.data(), round, 1, producer);
                // Long enough for the forgotten order to come about by itself on a plain schedule.
                std::this_thread::sleep_for(std::chrono::microseconds(300));
                cudaMemcpyAsync(seen, device.data(), 1, cudaMemcpyDeviceToHost, consumer);
                cudaStreamSynchronize(consumer);
                if (*seen != round) ++stale;
                cudaDeviceSynchronize();
            }
            std::_Exit(stale >= 3 ? 42 : 1);
        },
        testing::ExitedWithCode(42), "");
    unsetenv("SOFTCUDA_SCHEDULE");
}

}  // namespace
