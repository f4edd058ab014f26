// The handle behind cudnnHandle_t, and what every entry point does with it.
#pragma once
#include <cudnn.h>

#include <cstdint>
#include <new>

#define SOFTCUDA_DNN_EXPORT extern "C" __attribute__((visibility("default")))

struct cudnnContext {
    std::uint64_t magic = alive;
    cudaStream_t stream = nullptr;

    static constexpr std::uint64_t alive = 0x736f6674636e6e00;  // what a live handle starts with
};

namespace softcuda::dnn {

bool valid(cudnnHandle_t handle) noexcept;
cudnnStatus_t status_of(cudaError_t error) noexcept;

// The body of an entry point: no exception leaves a C function.
template <class Body>
cudnnStatus_t guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    } catch (...) {
        return CUDNN_STATUS_INTERNAL_ERROR;
    }
}
// The same for a function with a handle.
template <class Body>
cudnnStatus_t guarded(cudnnHandle_t handle, Body&& body) noexcept {
    if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (!valid(handle)) return CUDNN_STATUS_NOT_INITIALIZED;
    return guarded(body);
}

}  // namespace softcuda::dnn
