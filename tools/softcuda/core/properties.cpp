#include "tools/softcuda/core/properties.h"

#include <cstdio>
#include <cstring>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/memory.h"

namespace softcuda {

cudaDeviceProp device_properties() noexcept {
    cudaDeviceProp all{};
    (void)std::snprintf(all.name, sizeof all.name, "Software CUDA device");
    std::memcpy(all.uuid.bytes, "softcuda-device0", sizeof all.uuid.bytes);
    all.totalGlobalMem = total_memory;
    all.sharedMemPerBlock = 48 * 1024;
    all.sharedMemPerBlockOptin = 227 * 1024;
    all.sharedMemPerMultiprocessor = 228 * 1024;
    all.reservedSharedMemPerBlock = 1024;
    all.regsPerBlock = 65536;
    all.regsPerMultiprocessor = 65536;
    all.warpSize = 32;
    all.memPitch = 0x7fffffff;
    all.maxThreadsPerBlock = 1024;
    all.maxThreadsPerMultiProcessor = 2048;
    all.maxBlocksPerMultiProcessor = 32;
    all.maxThreadsDim[0] = all.maxThreadsDim[1] = 1024;
    all.maxThreadsDim[2] = 64;
    all.maxGridSize[0] = 0x7fffffff;
    all.maxGridSize[1] = all.maxGridSize[2] = 65535;
    all.totalConstMem = 64 * 1024;
    all.major = settings().capability / 10;
    all.minor = settings().capability % 10;
    all.textureAlignment = 512;
    all.texturePitchAlignment = 32;
    all.multiProcessorCount = multiprocessors;
    all.canMapHostMemory = 1;
    all.concurrentKernels = 1;
    all.asyncEngineCount = 3;
    all.unifiedAddressing = 1;
    all.memoryBusWidth = 5120;
    all.l2CacheSize = 50 * 1024 * 1024;
    all.streamPrioritiesSupported = 1;
    all.globalL1CacheSupported = 1;
    all.localL1CacheSupported = 1;
    all.managedMemory = 1;
    all.concurrentManagedAccess = 1;
    all.hostRegisterSupported = 1;
    all.memoryPoolsSupported = 1;
    return all;
}

bool device_attribute(int attribute, int* value) noexcept {
    const cudaDeviceProp all = device_properties();
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = all.maxThreadsPerBlock;
            return true;
        case cudaDevAttrMaxBlockDimX:
        case cudaDevAttrMaxBlockDimY:
            *value = all.maxThreadsDim[0];
            return true;
        case cudaDevAttrMaxBlockDimZ:
            *value = all.maxThreadsDim[2];
            return true;
        case cudaDevAttrMaxGridDimX:
            *value = all.maxGridSize[0];
            return true;
        case cudaDevAttrMaxGridDimY:
        case cudaDevAttrMaxGridDimZ:
            *value = all.maxGridSize[1];
            return true;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = static_cast<int>(all.sharedMemPerBlock);
            return true;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(all.sharedMemPerBlockOptin);
            return true;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
            *value = static_cast<int>(all.sharedMemPerMultiprocessor);
            return true;
        case cudaDevAttrReservedSharedMemoryPerBlock:
            *value = static_cast<int>(all.reservedSharedMemPerBlock);
            return true;
        case cudaDevAttrTotalConstantMemory:
            *value = static_cast<int>(all.totalConstMem);
            return true;
        case cudaDevAttrWarpSize:
            *value = all.warpSize;
            return true;
        case cudaDevAttrMaxRegistersPerBlock:
            *value = all.regsPerBlock;
            return true;
        case cudaDevAttrMaxRegistersPerMultiprocessor:
            *value = all.regsPerMultiprocessor;
            return true;
        case cudaDevAttrMaxThreadsPerMultiProcessor:
            *value = all.maxThreadsPerMultiProcessor;
            return true;
        case cudaDevAttrMaxBlocksPerMultiprocessor:
            *value = all.maxBlocksPerMultiProcessor;
            return true;
        case cudaDevAttrClockRate:
            *value = 1755000;
            return true;
        case cudaDevAttrMemoryClockRate:
            *value = 2619000;
            return true;
        case cudaDevAttrGlobalMemoryBusWidth:
            *value = all.memoryBusWidth;
            return true;
        case cudaDevAttrL2CacheSize:
            *value = all.l2CacheSize;
            return true;
        case cudaDevAttrTextureAlignment:
            *value = static_cast<int>(all.textureAlignment);
            return true;
        case cudaDevAttrMultiProcessorCount:
            *value = all.multiProcessorCount;
            return true;
        case cudaDevAttrComputeCapabilityMajor:
            *value = all.major;
            return true;
        case cudaDevAttrComputeCapabilityMinor:
            *value = all.minor;
            return true;
        case cudaDevAttrAsyncEngineCount:
            *value = all.asyncEngineCount;
            return true;
        case cudaDevAttrGpuOverlap:
        case cudaDevAttrCanMapHostMemory:
        case cudaDevAttrConcurrentKernels:
        case cudaDevAttrUnifiedAddressing:
        case cudaDevAttrStreamPrioritiesSupported:
        case cudaDevAttrGlobalL1CacheSupported:
        case cudaDevAttrLocalL1CacheSupported:
        case cudaDevAttrManagedMemory:
        case cudaDevAttrConcurrentManagedAccess:
        case cudaDevAttrHostRegisterSupported:
        case cudaDevAttrMemoryPoolsSupported:
            *value = 1;
            return true;
        // Numbers that CUDA has defined and this device answers with "no".
        default:
            *value = 0;
            return attribute > 0 && attribute < cudaDevAttrMax;
    }
}

}  // namespace softcuda
