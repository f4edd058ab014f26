// The driver API: memory.
#include "tools/softcuda/core/copy.h"
#include "tools/softcuda/core/driver.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"

using namespace softcuda;

namespace {

void* pointer(CUdeviceptr address) {
    return reinterpret_cast<void*>(address);
}  // NOLINT(performance-no-int-to-ptr)

CUresult fill(CUdeviceptr target, unsigned value, size_t unit, size_t count, CUstream stream) {
    return driver_code(
        entry([&] { return fill_on_stream(pointer(target), 0, value, unit, count, 1, stream); }));
}

CUresult copy(void* target, const void* source, size_t count, cudaMemcpyKind kind, CUstream stream,
              bool wait) {
    return driver_code(entry([&] {
        return copy_on_stream({target, count, source, count, count, 1}, kind, stream, wait);
    }));
}

CUresult attribute(void* value, CUpointer_attribute which, CUdeviceptr address) {
    const Extent extent = find_extent(pointer(address));
    const bool known = extent.size != 0;
    switch (which) {
        case CU_POINTER_ATTRIBUTE_CONTEXT:
            *static_cast<CUcontext*>(value) = known ? primary_context() : nullptr;
            break;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
            *static_cast<unsigned*>(value) = !known                      ? 0U
                                             : extent.kind == Kind::host ? unsigned{CU_MEMORYTYPE_HOST}
                                                                         : unsigned{CU_MEMORYTYPE_DEVICE};
            break;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
            *static_cast<CUdeviceptr*>(value) = known ? address : 0;
            break;
        case CU_POINTER_ATTRIBUTE_HOST_POINTER:
            *static_cast<void**>(value) = known && extent.kind != Kind::device ? pointer(address) : nullptr;
            if (extent.kind == Kind::device) return CUDA_ERROR_INVALID_VALUE;
            break;
        case CU_POINTER_ATTRIBUTE_BUFFER_ID:
            *static_cast<unsigned long long*>(value) = extent.id;
            break;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED:
            *static_cast<unsigned*>(value) = extent.kind == Kind::managed ? 1 : 0;
            break;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
            *static_cast<int*>(value) = known ? 0 : cudaInvalidDeviceId;
            break;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
            *static_cast<CUdeviceptr*>(value) = extent.begin;
            break;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
            *static_cast<size_t*>(value) = extent.size;
            break;
        default:
            return CUDA_ERROR_NOT_SUPPORTED;
    }
    return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
    if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    void* made = nullptr;
    const cudaError_t status = cudaMalloc(&made, size);
    *address = reinterpret_cast<CUdeviceptr>(made);
    return driver_code(status);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    return driver_code(cudaFree(pointer(address)));
}

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t size, CUstream stream) {
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    void* made = nullptr;
    const cudaError_t status = cudaMallocAsync(&made, size, stream);
    *address = reinterpret_cast<CUdeviceptr>(made);
    return driver_code(status);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    return driver_code(cudaFreeAsync(pointer(address), stream));
}

CUresult cuMemAllocManaged(CUdeviceptr* address, size_t size, unsigned flags) {
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    void* made = nullptr;
    const cudaError_t status = cudaMallocManaged(&made, size, flags);
    *address = reinterpret_cast<CUdeviceptr>(made);
    return driver_code(status);
}

CUresult cuMemHostAlloc(void** host, size_t size, unsigned flags) {
    return driver_code(cudaHostAlloc(host, size, flags));
}
CUresult cuMemAllocHost_v2(void** host, size_t size) {
    return driver_code(cudaMallocHost(host, size));
}
CUresult cuMemFreeHost(void* host) {
    return driver_code(cudaFreeHost(host));
}
CUresult cuMemHostRegister_v2(void* host, size_t size, unsigned flags) {
    return driver_code(cudaHostRegister(host, size, flags));
}
CUresult cuMemHostUnregister(void* host) {
    return driver_code(cudaHostUnregister(host));
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* host, unsigned flags) {
    void* device = nullptr;
    const cudaError_t status = cudaHostGetDevicePointer(&device, host, flags);
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *address = reinterpret_cast<CUdeviceptr>(device);
    return driver_code(status);
}

CUresult cuMemGetInfo_v2(size_t* available, size_t* total) {
    return driver_code(cudaMemGetInfo(available, total));
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* begin, size_t* size, CUdeviceptr address) {
    const Extent extent = find_extent(pointer(address));
    if (extent.size == 0) return CUDA_ERROR_NOT_FOUND;
    if (begin != nullptr) *begin = extent.begin;
    if (size != nullptr) *size = extent.size;
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute which, CUdeviceptr address) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUresult ready = driver_code(enter());
    return ready != CUDA_SUCCESS ? ready : attribute(value, which, address);
}

// Unlike the single form, says "nothing" for an unknown pointer and succeeds.
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* which, void** values,
                                CUdeviceptr address) {
    if (which == nullptr || values == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult ready = driver_code(enter()); ready != CUDA_SUCCESS) return ready;
    for (unsigned index = 0; index < count; ++index) {
        const CUresult result = attribute(values[index], which[index], address);
        if (result == CUDA_ERROR_NOT_SUPPORTED) return result;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemcpy(CUdeviceptr target, CUdeviceptr source, size_t count) {
    return copy(pointer(target), pointer(source), count, cudaMemcpyDefault, nullptr, true);
}
CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t count, CUstream stream) {
    return copy(pointer(target), pointer(source), count, cudaMemcpyDefault, stream, false);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void* source, size_t count) {
    return copy(pointer(target), source, count, cudaMemcpyHostToDevice, nullptr, true);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t count, CUstream stream) {
    return copy(pointer(target), source, count, cudaMemcpyHostToDevice, stream, false);
}
CUresult cuMemcpyDtoH_v2(void* target, CUdeviceptr source, size_t count) {
    return copy(target, pointer(source), count, cudaMemcpyDeviceToHost, nullptr, true);
}
CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t count, CUstream stream) {
    return copy(target, pointer(source), count, cudaMemcpyDeviceToHost, stream, false);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr target, CUdeviceptr source, size_t count) {
    return copy(pointer(target), pointer(source), count, cudaMemcpyDeviceToDevice, nullptr, true);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t count, CUstream stream) {
    return copy(pointer(target), pointer(source), count, cudaMemcpyDeviceToDevice, stream, false);
}
// Within the device; the other kinds belong to whoever needs them.
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* request, CUstream stream) {
    if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUDA_MEMCPY2D& r = *request;
    if (r.srcMemoryType != CU_MEMORYTYPE_DEVICE || r.dstMemoryType != CU_MEMORYTYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    auto* target = static_cast<char*>(pointer(r.dstDevice)) + r.dstY * r.dstPitch + r.dstXInBytes;
    const auto* source = static_cast<const char*>(pointer(r.srcDevice)) + r.srcY * r.srcPitch + r.srcXInBytes;
    return driver_code(entry([&] {
        return copy_on_stream({target, r.dstPitch, source, r.srcPitch, r.WidthInBytes, r.Height},
                              cudaMemcpyDeviceToDevice, stream, false);
    }));
}

CUresult cuMemsetD8_v2(CUdeviceptr target, unsigned char value, size_t count) {
    return fill(target, value, 1, count, nullptr);
}
CUresult cuMemsetD16_v2(CUdeviceptr target, unsigned short value, size_t count) {
    return fill(target, value, 2, count, nullptr);
}
CUresult cuMemsetD32_v2(CUdeviceptr target, unsigned value, size_t count) {
    return fill(target, value, 4, count, nullptr);
}
CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t count, CUstream stream) {
    return fill(target, value, 1, count, stream);
}
CUresult cuMemsetD16Async(CUdeviceptr target, unsigned short value, size_t count, CUstream stream) {
    return fill(target, value, 2, count, stream);
}
CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, CUstream stream) {
    return fill(target, value, 4, count, stream);
}

}  // extern "C"
