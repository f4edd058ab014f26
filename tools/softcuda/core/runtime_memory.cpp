// cudart: allocation, and what is known of a pointer.
#include <cstring>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"

using namespace softcuda;

namespace {

// What cudaMalloc, cudaFree and their like do first: capture may forbid them.
cudaError_t check_allowed() {
    Engine& all = engine();
    const Lock lock(all.mutex);
    return check_unsafe_call(all);
}

// cudaFree and its like wait for the device.
cudaError_t check_allowed_and_drain() {
    Engine& all = engine();
    Lock lock(all.mutex);
    if (const cudaError_t status = check_unsafe_call(all); status != cudaSuccess) return status;
    return wait_for_all(lock);
}

cudaMemoryType memory_type(Kind kind) {
    switch (kind) {
        case Kind::host:
            return cudaMemoryTypeHost;
        case Kind::managed:
            return cudaMemoryTypeManaged;
        case Kind::device:
            return cudaMemoryTypeDevice;
        case Kind::unregistered:
            break;
    }
    return cudaMemoryTypeUnregistered;
}

cudaError_t pinned(void** pointer, size_t size, unsigned flags) {
    return entry([&] {
        start_torch_redirect();
        if (const cudaError_t status = check_allowed(); status != cudaSuccess) return status;
        return allocate_host(pointer, size, Kind::host, flags);
    });
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t size) {
    return entry([&] {
        start_torch_redirect();
        if (const cudaError_t status = check_allowed(); status != cudaSuccess) return status;
        return allocate_device(pointer, size);
    });
}

cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
    if (pitch == nullptr) return remember(cudaErrorInvalidValue);
    *pitch = (width + 511) / 512 * 512;
    return cudaMalloc(pointer, *pitch * height);
}

cudaError_t cudaFree(void* pointer) {
    return entry([&] {
        start_torch_redirect();
        if (pointer == nullptr) return cudaSuccess;
        if (const cudaError_t status = check_allowed_and_drain(); status != cudaSuccess) return status;
        const Extent extent = find_extent(pointer);
        return extent.kind == Kind::managed ? forget_host(pointer, true) : free_device(pointer);
    });
}

cudaError_t cudaMallocHost(void** pointer, size_t size) {
    return pinned(pointer, size, cudaHostAllocDefault);
}
cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned flags) {
    return pinned(pointer, size, flags);
}

cudaError_t cudaFreeHost(void* pointer) {
    return entry([&] {
        if (pointer == nullptr) return cudaSuccess;
        if (const cudaError_t status = check_allowed_and_drain(); status != cudaSuccess) return status;
        return forget_host(pointer, true);
    });
}

cudaError_t cudaHostRegister(void* pointer, size_t size, unsigned flags) {
    return entry([&] {
        if (const cudaError_t status = check_allowed(); status != cudaSuccess) return status;
        return register_host(pointer, size, flags);
    });
}

cudaError_t cudaHostUnregister(void* pointer) {
    return entry([&] {
        if (const cudaError_t status = check_allowed_and_drain(); status != cudaSuccess) return status;
        return forget_host(pointer, false);
    });
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
    return entry([&] {
        if (device == nullptr || find_extent(host).kind != Kind::host) return cudaErrorInvalidValue;
        *device = host;
        return cudaSuccess;
    });
}

cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
    return entry([&] {
        const Extent extent = find_extent(host);
        if (flags == nullptr || extent.kind != Kind::host) return cudaErrorInvalidValue;
        *flags = extent.flags;
        return cudaSuccess;
    });
}

cudaError_t cudaMallocManaged(void** pointer, size_t size, unsigned flags) {
    return entry([&] {
        if (const cudaError_t status = check_allowed(); status != cudaSuccess) return status;
        return allocate_host(pointer, size, Kind::managed, flags);
    });
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
    return entry([&] {
        start_torch_redirect();
        if (available != nullptr) *available = free_memory();
        if (total != nullptr) *total = total_memory;
        return cudaSuccess;
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    return entry([&] {
        if (attributes == nullptr) return cudaErrorInvalidValue;
        const Extent extent = find_extent(pointer);
        std::memset(attributes, 0, sizeof *attributes);
        attributes->type = memory_type(extent.kind);
        if (extent.kind == Kind::device && extent.size == 0) attributes->type = cudaMemoryTypeUnregistered;
        if (attributes->type == cudaMemoryTypeUnregistered) {
            attributes->device = cudaInvalidDeviceId;
            attributes->hostPointer = const_cast<void*>(pointer);
            return cudaSuccess;
        }
        attributes->devicePointer = const_cast<void*>(pointer);
        if (extent.kind != Kind::device) attributes->hostPointer = const_cast<void*>(pointer);
        return cudaSuccess;
    });
}

// Stream-ordered allocation: the memory is there at once, and goes when the stream gets there.
cudaError_t cudaMallocAsync(void** pointer, size_t size, cudaStream_t handle) {
    return entry([&] {
        Engine& all = engine();
        {
            const Lock lock(all.mutex);
            const Stream* stream = find_stream(all, handle);
            if (stream == nullptr) return cudaErrorInvalidResourceHandle;
            if (stream->capture != nullptr) {
                report_missing("cudart", "cudaMallocAsync in a capture");
                invalidate(stream->capture);
                return cudaErrorNotSupported;
            }
        }
        return allocate_device(pointer, size);
    });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
    return entry([&] {
        if (pointer == nullptr) return cudaSuccess;
        const Extent extent = find_extent(pointer);
        if (extent.kind != Kind::device || extent.size == 0) return cudaErrorInvalidValue;
        Engine& all = engine();
        Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (stream->capture != nullptr) {
            report_missing("cudart", "cudaFreeAsync in a capture");
            invalidate(stream->capture);
            return cudaErrorNotSupported;
        }
        return submit(
            lock, stream, [pointer] { free_device(pointer); }, "free", cudaGraphNodeTypeMemFree);
    });
}

}  // extern "C"
