// The driver API: initialisation, device, context, entry points, errors.
#include "tools/softcuda/core/driver.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"
#include "tools/softcuda/core/properties.h"

namespace softcuda {
namespace {

CUcontext& current() noexcept {
    thread_local CUcontext context = nullptr;
    return context;
}

CUresult entered() noexcept {
    return driver_code(enter());
}

}  // namespace

CUresult driver_code(cudaError_t status) noexcept {
    switch (status) {
        case cudaErrorInvalidConfiguration:
        case cudaErrorInvalidPitchValue:
        case cudaErrorInvalidMemcpyDirection:
            return CUDA_ERROR_INVALID_VALUE;
        case cudaErrorInvalidDeviceFunction:
            return CUDA_ERROR_INVALID_HANDLE;
        default:
            return static_cast<CUresult>(status);
    }
}

CUcontext primary_context() noexcept {
    static char context = 0;
    return reinterpret_cast<CUcontext>(&context);
}

void* driver_entry(const char* name) noexcept {
    const std::string base = name;
    for (const char* version : {"_v4", "_v3", "_v2", ""}) {
        if (void* found = own_symbol((base + version).c_str())) return found;
    }
    return nullptr;
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

CUresult cuInit(unsigned flags) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = entered();
    start_torch_redirect();
    return result;
}

CUresult cuDriverGetVersion(int* version) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return entered();
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return ordinal == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    (void)std::snprintf(name, static_cast<size_t>(length), "%s", device_properties().name);
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(uuid->bytes, device_properties().uuid.bytes, sizeof uuid->bytes);
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = total_memory;
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    return value != nullptr && device_attribute(attribute, value) ? entered() : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
    return driver_code(cudaDeviceGetPCIBusId(id, length, device));
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (flags != nullptr) *flags = 0;
    if (active != nullptr) *active = 1;
    return entered();
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = primary_context();
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned) {
    return device == 0 ? entered() : CUDA_ERROR_INVALID_DEVICE;
}

// The runtime makes the primary context current on every thread that uses it.
CUresult cuCtxGetCurrent(CUcontext* context) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = primary_context();
    return entered();
}

CUresult cuCtxSetCurrent(CUcontext context) {
    if (context != nullptr && context != primary_context()) return CUDA_ERROR_INVALID_CONTEXT;
    current() = context;
    return entered();
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    return cuCtxSetCurrent(context);
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    if (context != nullptr) *context = primary_context();
    return entered();
}

CUresult cuCtxGetDevice(CUdevice* device) {
    return cuDeviceGet(device, 0);
}

CUresult cuCtxGetId(CUcontext context, unsigned long long* id) {
    if (id == nullptr || (context != nullptr && context != primary_context()))
        return CUDA_ERROR_INVALID_VALUE;
    *id = 1;
    return entered();
}

CUresult cuCtxGetFlags(unsigned* flags) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = 0;
    return entered();
}

CUresult cuCtxGetApiVersion(CUcontext, unsigned* version) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = CUDA_VERSION;
    return entered();
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    return driver_code(cudaDeviceGetStreamPriorityRange(least, greatest));
}

CUresult cuCtxSynchronize() {
    return driver_code(cudaDeviceSynchronize());
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int, cuuint64_t,
                             CUdriverProcAddressQueryResult* found) {
    if (symbol == nullptr || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *function = driver_entry(symbol);
    const bool there = *function != nullptr;
    if (found != nullptr) *found = there ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return there || found != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

#undef cuGetProcAddress
CUresult cuGetProcAddress(const char* symbol, void** function, int version, cuuint64_t flags);
CUresult cuGetProcAddress(const char* symbol, void** function, int version, cuuint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}

}  // extern "C"
