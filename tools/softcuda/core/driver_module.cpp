// The driver API: modules, libraries and kernels. Any image is accepted: what can run are kernels with a host
// body.
#include <cstring>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/driver.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/registration.h"

using namespace softcuda;

namespace {

// One handle for every module and library.
void* any_image() {
    static char image = 0;
    return &image;
}

template <class Handle>
CUresult load(Handle* handle, const void* image) {
    if (handle == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *handle = static_cast<Handle>(any_image());
    return driver_code(enter());
}

template <class Handle>
CUresult kernel(Handle* handle, const void* image, const char* name) {
    if (handle == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (image != any_image()) return CUDA_ERROR_INVALID_HANDLE;
    const Kernel* found = find_kernel(name);
    if (found == nullptr) {
        warn_once(name,
                  "the kernel %s has no host body; asking a module for it fails with CUDA_ERROR_NOT_FOUND",
                  name);
        return CUDA_ERROR_NOT_FOUND;
    }
    *handle = reinterpret_cast<Handle>(const_cast<Kernel*>(found));
    return CUDA_SUCCESS;
}

CUresult launch(CUfunction function, const Geometry& geometry, CUstream stream, void** parameters,
                void** extra, bool extended) {
    const Kernel* found = kernel_of_handle(function);
    if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (extra != nullptr) {
        report_missing("the driver", "cuLaunchKernel's argument `extra`");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return driver_code(entry([&] { return launch_kernel(*found, geometry, parameters, stream, extended); }));
}

}  // namespace

extern "C" {

CUresult cuLibraryLoadData(CUlibrary* library, const void* image, CUjit_option*, void**, unsigned,
                           CUlibraryOption*, void**, unsigned) {
    return load(library, image);
}
CUresult cuLibraryUnload(CUlibrary) {
    return CUDA_SUCCESS;
}
CUresult cuLibraryGetKernel(CUkernel* handle, CUlibrary library, const char* name) {
    return kernel(handle, library, name);
}
CUresult cuLibraryGetModule(CUmodule* module, CUlibrary library) {
    return load(module, library);
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel handle) {
    if (function == nullptr || kernel_of_handle(handle) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *function = reinterpret_cast<CUfunction>(handle);
    return CUDA_SUCCESS;
}
CUresult cuKernelGetName(const char** name, CUkernel handle) {
    const Kernel* found = kernel_of_handle(handle);
    if (found == nullptr || name == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *name = found->name.c_str();
    return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule* module, const char* path) {
    return load(module, path);
}
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    return load(module, image);
}
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned, CUjit_option*, void**) {
    return load(module, image);
}
CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
    return load(module, image);
}
CUresult cuModuleUnload(CUmodule) {
    return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    return kernel(function, module, name);
}

CUresult cuFuncGetName(const char** name, CUfunction function) {
    return cuKernelGetName(name, reinterpret_cast<CUkernel>(function));
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
    if (value == nullptr || kernel_of_handle(function) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024
             : attribute == CU_FUNC_ATTRIBUTE_NUM_REGS            ? 32
                                                                  : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute, int) {
    return kernel_of_handle(function) == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}
CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache) {
    return kernel_of_handle(function) == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int block_size,
                                                     size_t shared) {
    return driver_code(cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block_size, shared));
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void** parameters, void** extra) {
    return launch(function, {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared}, stream,
                  parameters, extra, false);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra) {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return launch(function,
                  {{config->gridDimX, config->gridDimY, config->gridDimZ},
                   {config->blockDimX, config->blockDimY, config->blockDimZ},
                   config->sharedMemBytes},
                  config->hStream, parameters, extra, true);
}

}  // extern "C"
