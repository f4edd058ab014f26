#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/softcuda/core/support.h"

namespace {

// Forks, runs `body` in the child and returns its exit status.
template <class Body>
int in_child(Body&& body) {
    const pid_t child = fork();
    if (child == 0) std::_Exit(body());
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class ProcessDeathTest : public testing::Test {
  protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ProcessDeathTest, ForkedChildIsToldSo) {
    const Stream stream;
    Gate gate;
    gate.close(stream);
    EXPECT_EQ(in_child([&] {
                  void* pointer = nullptr;
                  const bool refused = cudaMalloc(&pointer, 1) == cudaErrorInitializationError &&
                                       cudaStreamSynchronize(stream) == cudaErrorInitializationError &&
                                       cudaDeviceSynchronize() == cudaErrorInitializationError;
                  return refused ? 42 : 1;
              }),
              42);
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(stream));
}

TEST_F(ProcessDeathTest, ForkBeforeFirstUseIsFine) {
    EXPECT_EXIT(
        {
            const int status = in_child([] {
                const Device<char> device(1);
                return device.data() != nullptr && cudaDeviceSynchronize() == cudaSuccess ? 42 : 1;
            });
            std::_Exit(status);
        },
        testing::ExitedWithCode(42), "");
}

TEST_F(ProcessDeathTest, ExitWithWorkPendingNeitherHangsNorCrashes) {
    EXPECT_EXIT(
        {
            cudaStream_t stream = nullptr;
            cudaStreamCreate(&stream);
            for (int item = 0; item < 1000; ++item) {
                cudaLaunchHostFunc(
                    stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); },
                    nullptr);
            }
            std::exit(42);
        },
        testing::ExitedWithCode(42), "");
}

TEST_F(ProcessDeathTest, InjectedLibraryIsStartedOnceInsideTheFirstCall) {
    setenv("CUDA_INJECTION64_PATH", SOFTCUDA_TEST_INJECTED, 1);
    EXPECT_EXIT(
        {
            std::fprintf(stderr, "first call; ");
            int count = 0;
            cudaGetDeviceCount(&count);
            cudaDeviceSynchronize();
            std::fprintf(stderr, "back\n");
            std::_Exit(42);
        },
        testing::ExitedWithCode(42), "^first call; injected, devices: 1; back\n$");
    setenv("CUDA_INJECTION64_PATH", "/nowhere/libnothing.so", 1);
    EXPECT_EXIT(
        {
            int count = 0;
            cudaGetDeviceCount(&count);
            std::_Exit(count == 1 ? 42 : 1);
        },
        testing::ExitedWithCode(42),
        "^softcuda: CUDA_INJECTION64_PATH cannot be loaded: /nowhere/libnothing.so[^\n]*\n$");
    unsetenv("CUDA_INJECTION64_PATH");
}

TEST_F(ProcessDeathTest, CapabilityCanBeChosen) {
    setenv("SOFTCUDA_CAPABILITY", "80", 1);
    EXPECT_EXIT(
        {
            cudaDeviceProp properties{};
            cudaGetDeviceProperties(&properties, 0);
            std::_Exit(properties.major == 8 && properties.minor == 0 ? 42 : 1);
        },
        testing::ExitedWithCode(42), "");
    unsetenv("SOFTCUDA_CAPABILITY");
}

TEST_F(ProcessDeathTest, FaultOnTheDeviceStays) {
    EXPECT_EXIT(
        {
            const Stream stream;
            cudaLaunchHostFunc(
                stream, [](void*) { throw 1; }, nullptr);
            const bool first = cudaStreamSynchronize(stream) == cudaErrorLaunchFailure;
            void* pointer = nullptr;
            cudaGetLastError();
            const bool later = cudaMemsetAsync(pointer, 0, 0, stream) == cudaSuccess &&
                               cudaLaunchHostFunc(
                                   stream, [](void*) {}, nullptr) == cudaErrorLaunchFailure &&
                               cudaGetLastError() == cudaErrorLaunchFailure;
            std::_Exit(first && later ? 42 : 1);
        },
        testing::ExitedWithCode(42), "failed");
}

}  // namespace
