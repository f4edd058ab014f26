// cudart: the device, versions, errors, memory pools' few attributes, and what one device alone cannot do.
#include <cstdio>
#include <cstring>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/driver.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/properties.h"

using namespace softcuda;

namespace {

// The device's own pool, whose release threshold alone can be set.
cuuint64_t& release_threshold() {
    static cuuint64_t threshold = 0;
    return threshold;
}

cudaMemPool_t default_pool() {
    static char pool = 0;
    return reinterpret_cast<cudaMemPool_t>(&pool);
}

cudaError_t on_device(int device) {
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
    return entry([&] {
        start_torch_redirect();
        if (count == nullptr) return cudaErrorInvalidValue;
        *count = 1;
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int* device) {
    return entry([&] {
        if (device == nullptr) return cudaErrorInvalidValue;
        *device = 0;
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device) {
    return entry([&] {
        start_torch_redirect();
        return on_device(device);
    });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return entry([&] {
        start_torch_redirect();
        if (properties == nullptr) return cudaErrorInvalidValue;
        if (device == 0) *properties = device_properties();
        return on_device(device);
    });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    return entry([&] {
        if (device != 0) return cudaErrorInvalidDevice;
        return value != nullptr && device_attribute(attribute, value) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
    return entry([&] {
        if (id == nullptr || length < 13) return cudaErrorInvalidValue;
        (void)std::snprintf(id, static_cast<size_t>(length), "0000:00:00.0");
        return on_device(device);
    });
}

cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* id) {
    return entry([&] {
        if (device == nullptr || id == nullptr) return cudaErrorInvalidValue;
        *device = 0;
        return std::strcmp(id, "0000:00:00.0") == 0 ? cudaSuccess : cudaErrorInvalidDevice;
    });
}

cudaError_t cudaDriverGetVersion(int* version) {
    if (version == nullptr) return remember(cudaErrorInvalidValue);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    return cudaDriverGetVersion(version);
}

cudaError_t cudaSetDeviceFlags(unsigned) {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaGetDeviceFlags(unsigned* flags) {
    return entry([&] {
        if (flags == nullptr) return cudaErrorInvalidValue;
        *flags = cudaDeviceScheduleAuto;
        return cudaSuccess;
    });
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
    return entry([&] { return on_device(device); });
}

cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaCtxResetPersistingL2Cache() {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaProfilerStart() {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaProfilerStop() {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
    return entry([&] {
        if (can == nullptr) return cudaErrorInvalidValue;
        *can = 0;
        return device == 0 && peer == 0 ? cudaSuccess : cudaErrorInvalidDevice;
    });
}

cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) {
    return entry([] { return cudaErrorInvalidDevice; });
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
    return entry([&] {
        if (pool == nullptr) return cudaErrorInvalidValue;
        *pool = default_pool();
        return on_device(device);
    });
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
    return cudaDeviceGetDefaultMemPool(pool, device);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
    return entry([&] { return pool == default_pool() ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
    return entry([&] {
        if (pool != default_pool() || value == nullptr) return cudaErrorInvalidValue;
        const Lock lock(engine().mutex);
        if (attribute == cudaMemPoolAttrReleaseThreshold)
            std::memcpy(&release_threshold(), value, sizeof(cuuint64_t));
        return cudaSuccess;
    });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
    return entry([&] {
        if (pool != default_pool() || value == nullptr) return cudaErrorInvalidValue;
        if (attribute == cudaMemPoolAttrReleaseThreshold) {
            const Lock lock(engine().mutex);
            std::memcpy(value, &release_threshold(), sizeof(cuuint64_t));
            return cudaSuccess;
        }
        size_t available = 0;
        size_t total = 0;
        cudaMemGetInfo(&available, &total);
        const cuuint64_t used = total - available;
        const bool flag = attribute == cudaMemPoolReuseFollowEventDependencies ||
                          attribute == cudaMemPoolReuseAllowOpportunistic ||
                          attribute == cudaMemPoolReuseAllowInternalDependencies;
        const int off = 0;
        std::memcpy(value, flag ? static_cast<const void*>(&off) : &used, flag ? sizeof off : sizeof used);
        return cudaSuccess;
    });
}

cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc*, size_t) {
    return entry([&] { return pool == default_pool() ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long, cudaDriverEntryPointQueryResult* found) {
    return entry([&] {
        if (symbol == nullptr || function == nullptr) return cudaErrorInvalidValue;
        *function = driver_entry(symbol);
        if (found != nullptr)
            *found = *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
        return *function != nullptr || found != nullptr ? cudaSuccess : cudaErrorSymbolNotFound;
    });
}

cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* found) {
    return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_VERSION, flags, found);
}

}  // extern "C"
