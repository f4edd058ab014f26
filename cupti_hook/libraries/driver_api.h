// The CUDA driver's functions that FuMi calls, found at run time in the libcuda.so.1 that the process has
// loaded.
#pragma once
#include <cuda.h>

namespace fumi::libraries {

struct DriverApi {
    decltype(&::cuDriverGetVersion) driver_get_version = nullptr;
    decltype(&::cuCtxGetCurrent) ctx_get_current = nullptr;
    decltype(&::cuCtxGetDevice) ctx_get_device = nullptr;
    decltype(&::cuDeviceGetAttribute) device_get_attribute = nullptr;
    decltype(&::cuDeviceGetName) device_get_name = nullptr;
    decltype(&::cuGetErrorName) get_error_name = nullptr;
    decltype(&::cuStreamIsCapturing) stream_is_capturing = nullptr;
    decltype(&::cuStreamSynchronize) stream_synchronize = nullptr;
    decltype(&::cuThreadExchangeStreamCaptureMode) exchange_capture_mode = nullptr;
    decltype(&::cuMemAlloc_v2) mem_alloc = nullptr;
    decltype(&::cuMemHostRegister_v2) mem_host_register = nullptr;
    decltype(&::cuMemHostGetDevicePointer_v2) mem_host_get_device_pointer = nullptr;
    decltype(&::cuMemcpyDtoDAsync_v2) memcpy_dtod_async = nullptr;
    decltype(&::cuMemcpy2DAsync_v2) memcpy_2d_async = nullptr;
    decltype(&::cuMemcpyHtoDAsync_v2) memcpy_htod_async = nullptr;
    decltype(&::cuLibraryLoadData) library_load_data = nullptr;
    decltype(&::cuLibraryGetKernel) library_get_kernel = nullptr;
    decltype(&::cuLaunchKernel) launch_kernel = nullptr;
    // Not every driver has these; nullptr then.
    decltype(&::cuStreamGetCaptureInfo_v3) stream_get_capture_info = nullptr;
    decltype(&::cuKernelGetFunction) kernel_get_function = nullptr;
    decltype(&::cuCtxSetCurrent) ctx_set_current = nullptr;
    decltype(&::cuStreamQuery) stream_query = nullptr;
    decltype(&::cuEventCreate) event_create = nullptr;
    decltype(&::cuEventRecord) event_record = nullptr;
    decltype(&::cuEventElapsedTime_v2) event_elapsed_time = nullptr;
    const char* missing = nullptr;  // the first function that the driver lacks

    // All that a check needs is there.
    bool complete() const noexcept { return missing == nullptr; }
    // Device time can be measured.
    bool has_events() const noexcept {
        return event_create != nullptr && event_record != nullptr && event_elapsed_time != nullptr;
    }
};

// nullptr while no driver is in the process. Cheap after the first success.
const DriverApi* driver_api() noexcept;

}  // namespace fumi::libraries
