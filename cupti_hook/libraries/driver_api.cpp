#include "cupti_hook/libraries/driver_api.h"

#include "cupti_hook/libraries/loaded_library.h"

namespace fumi::libraries {

namespace {

DriverApi* load() {
    const LoadedLibrary library("libcuda.so.1");
    if (!library) return nullptr;
    auto* api = new DriverApi;  // for the life of the process
    const auto find = [&](auto& function, const char* name) {
        if (!library.find(function, name) && api->missing == nullptr) api->missing = name;
    };
    find(api->driver_get_version, "cuDriverGetVersion");
    find(api->ctx_get_current, "cuCtxGetCurrent");
    find(api->ctx_get_device, "cuCtxGetDevice");
    find(api->device_get_attribute, "cuDeviceGetAttribute");
    find(api->device_get_name, "cuDeviceGetName");
    find(api->get_error_name, "cuGetErrorName");
    find(api->stream_is_capturing, "cuStreamIsCapturing");
    find(api->stream_synchronize, "cuStreamSynchronize");
    find(api->exchange_capture_mode, "cuThreadExchangeStreamCaptureMode");
    find(api->mem_alloc, "cuMemAlloc_v2");
    find(api->mem_host_register, "cuMemHostRegister_v2");
    find(api->mem_host_get_device_pointer, "cuMemHostGetDevicePointer_v2");
    find(api->memcpy_dtod_async, "cuMemcpyDtoDAsync_v2");
    find(api->memcpy_2d_async, "cuMemcpy2DAsync_v2");
    find(api->memcpy_htod_async, "cuMemcpyHtoDAsync_v2");
    find(api->library_load_data, "cuLibraryLoadData");
    find(api->library_get_kernel, "cuLibraryGetKernel");
    find(api->launch_kernel, "cuLaunchKernel");
    library.find(api->stream_get_capture_info, "cuStreamGetCaptureInfo_v3");
    library.find(api->kernel_get_function, "cuKernelGetFunction");
    library.find(api->ctx_set_current, "cuCtxSetCurrent");
    library.find(api->stream_query, "cuStreamQuery");
    library.find(api->event_create, "cuEventCreate");
    library.find(api->event_record, "cuEventRecord");
    // The newer one differs in nothing but its errors.
    if (!library.find(api->event_elapsed_time, "cuEventElapsedTime_v2"))
        library.find(api->event_elapsed_time, "cuEventElapsedTime");
    return api;
}

}  // namespace

const DriverApi* driver_api() noexcept {
    static LazyTable<DriverApi> table(load);
    return table.get();
}

}  // namespace fumi::libraries
