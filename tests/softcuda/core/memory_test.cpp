#include <sys/mman.h>

#include <cstring>
#include <numeric>

#include "tests/softcuda/core/support.h"
#include "tools/softcuda/core/device.h"

namespace {

TEST(MemoryDeathTest, HostCannotTouchDeviceMemory) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            const Device<int> device(4);
            *device.data() = 1;
        },
        "");
}

TEST(Memory, DeviceSideSeesWhatWasCopied) {
    const Device<int> device(100);
    std::vector<int> values(100);
    std::iota(values.begin(), values.end(), 0);
    EXPECT_CUDA(cudaMemcpy(device.data(), values.data(), device.bytes(), cudaMemcpyHostToDevice));
    EXPECT_EQ(softcuda::view(device.data())[42], 42);
    EXPECT_EQ(device.read(), values);
    EXPECT_TRUE(softcuda::is_device_memory(device.data()));
    EXPECT_FALSE(softcuda::is_device_memory(values.data()));
    EXPECT_EQ(softcuda::view(values.data()), values.data());
}

TEST(Memory, AddressesAreAlignedAndApart) {
    const Device<char> one(1);
    const Device<char> other(1);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.data()) % 512, 0U);
    EXPECT_NE(one.data(), other.data());
}

TEST(Memory, IsBoundedAndComesBack) {
    size_t before = 0;
    size_t total = 0;
    EXPECT_CUDA(cudaMemGetInfo(&before, &total));
    void* huge = nullptr;
    EXPECT_EQ(cudaMalloc(&huge, total + 1), cudaErrorMemoryAllocation);
    EXPECT_EQ(huge, nullptr);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_CUDA(cudaMalloc(&huge, before / 2));
    void* rest = nullptr;
    EXPECT_EQ(cudaMalloc(&rest, before / 2 + 4096), cudaErrorMemoryAllocation);
    size_t during = 0;
    EXPECT_CUDA(cudaMemGetInfo(&during, &total));
    EXPECT_EQ(during, before - before / 2);
    EXPECT_CUDA(cudaFree(huge));
    EXPECT_CUDA(cudaMemGetInfo(&during, &total));
    EXPECT_EQ(during, before);
    cudaGetLastError();
}

TEST(Memory, CopiesOutsideALiveAllocationAreRefused) {
    auto* device = static_cast<char*>(nullptr);
    char host[64] = {};
    EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&device), 32));
    EXPECT_EQ(cudaMemcpy(device, host, 33, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host, device + 1, 32, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_CUDA(cudaMemcpy(host, device + 1, 31, cudaMemcpyDeviceToHost));
    EXPECT_EQ(cudaMemsetAsync(device, 0, 33, nullptr), cudaErrorInvalidValue);
    EXPECT_CUDA(cudaFree(device));
    EXPECT_EQ(cudaMemcpy(host, device, 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFree(device), cudaErrorInvalidValue);
    cudaGetLastError();
}

TEST(Memory, CopyKindMustFitThePointers) {
    const Device<char> device(8);
    char host[8] = {};
    EXPECT_EQ(cudaMemcpy(host, device.data(), 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(device.data(), host, 8, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
    EXPECT_CUDA(cudaMemcpy(host, device.data(), 8, cudaMemcpyDefault));
    cudaGetLastError();
}

TEST(Memory, RowsAreCopiedByTheirPitches) {
    const Device<char> device(32);
    EXPECT_CUDA(cudaMemset(device.data(), '.', 32));
    const char rows[] = "abcdefgh";
    EXPECT_CUDA(cudaMemcpy2D(device.data(), 8, rows, 4, 3, 2, cudaMemcpyHostToDevice));
    const std::vector<char> seen = device.read();
    EXPECT_EQ(std::string(seen.begin(), seen.begin() + 16), "abc.....efg.....");
    EXPECT_EQ(cudaMemcpy2D(device.data(), 2, rows, 4, 3, 2, cudaMemcpyHostToDevice),
              cudaErrorInvalidPitchValue);
    cudaGetLastError();
}

TEST(Memory, PointersSayWhatTheyAre) {
    const Device<char> device(8);
    void* pinned = nullptr;
    void* managed = nullptr;
    std::vector<char> registered(100);
    int local = 0;
    EXPECT_CUDA(cudaHostAlloc(&pinned, 8, cudaHostAllocPortable));
    EXPECT_CUDA(cudaMallocManaged(&managed, 8, cudaMemAttachGlobal));
    EXPECT_CUDA(cudaHostRegister(registered.data(), 100, cudaHostRegisterDefault));
    EXPECT_EQ(cudaHostRegister(registered.data() + 4, 4, cudaHostRegisterDefault),
              cudaErrorHostMemoryAlreadyRegistered);
    const auto type = [](const void* pointer) {
        cudaPointerAttributes attributes{};
        EXPECT_CUDA(cudaPointerGetAttributes(&attributes, pointer));
        return attributes.type;
    };
    EXPECT_EQ(type(device.data() + 7), cudaMemoryTypeDevice);
    EXPECT_EQ(type(pinned), cudaMemoryTypeHost);
    EXPECT_EQ(type(registered.data() + 50), cudaMemoryTypeHost);
    EXPECT_EQ(type(managed), cudaMemoryTypeManaged);
    EXPECT_EQ(type(&local), cudaMemoryTypeUnregistered);
    EXPECT_CUDA(cudaHostUnregister(registered.data()));
    EXPECT_EQ(type(registered.data()), cudaMemoryTypeUnregistered);
    EXPECT_CUDA(cudaFreeHost(pinned));
    EXPECT_CUDA(cudaFree(managed));
    cudaGetLastError();
}

TEST(Memory, PageableSourceIsReadAtTheCall) {
    const Stream stream;
    const Device<int> device(1);
    Gate gate;
    gate.close(stream);
    int value = 5;
    EXPECT_CUDA(cudaMemcpyAsync(device.data(), &value, sizeof value, cudaMemcpyHostToDevice, stream));
    value = 6;
    gate.open();
    EXPECT_EQ(device.read()[0], 5);
}

TEST(Memory, PinnedCopiesAreAsynchronous) {
    const Stream stream;
    const Device<int> device(1);
    int* pinned = nullptr;
    EXPECT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&pinned), 2 * sizeof(int)));
    pinned[0] = 5;
    pinned[1] = 0;
    Gate gate;
    gate.close(stream);
    EXPECT_CUDA(cudaMemcpyAsync(device.data(), &pinned[0], sizeof(int), cudaMemcpyHostToDevice, stream));
    EXPECT_CUDA(cudaMemcpyAsync(&pinned[1], device.data(), sizeof(int), cudaMemcpyDeviceToHost, stream));
    EXPECT_EQ(pinned[1], 0);
    pinned[0] = 6;
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(pinned[1], 6);
    EXPECT_CUDA(cudaFreeHost(pinned));
}

TEST(Memory, StreamOrderedFreeComesAfterTheWork) {
    const Stream stream;
    char* block = nullptr;
    char seen[16] = {};
    EXPECT_CUDA(cudaMallocAsync(reinterpret_cast<void**>(&block), 16, stream));
    Gate gate;
    gate.close(stream);
    EXPECT_CUDA(cudaMemsetAsync(block, 7, 16, stream));
    EXPECT_CUDA(cudaFreeAsync(block, stream));
    EXPECT_CUDA(cudaMemcpyAsync(block, block, 0, cudaMemcpyDeviceToDevice, stream));
    gate.open();
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(cudaMemcpy(seen, block, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    cudaGetLastError();
}

}  // namespace
