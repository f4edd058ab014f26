#include "tools/softcuda/dnn/handle.h"

namespace softcuda::dnn {

bool valid(cudnnHandle_t handle) noexcept {
    return handle != nullptr && handle->magic == cudnnContext::alive;
}

cudnnStatus_t status_of(cudaError_t error) noexcept {
    switch (error) {
        case cudaSuccess:
            return CUDNN_STATUS_SUCCESS;
        case cudaErrorMemoryAllocation:
            return CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
        default:
            return CUDNN_STATUS_EXECUTION_FAILED_CUDART;
    }
}

}  // namespace softcuda::dnn

using softcuda::dnn::guarded;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *handle = new (std::nothrow) cudnnContext;
    return *handle == nullptr ? CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED : CUDNN_STATUS_SUCCESS;
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    return guarded(handle, [&] {
        handle->magic = 0;
        delete handle;
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    return guarded(handle, [&] {
        handle->stream = stream;
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
    return guarded(handle, [&] {
        if (stream == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
        *stream = handle->stream;
        return CUDNN_STATUS_SUCCESS;
    });
}
