// The primary context, and kernels as the driver API knows them.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>

namespace softcuda {

// The driver's code for a runtime error: most numbers are shared.
CUresult driver_code(cudaError_t status) noexcept;

CUcontext primary_context() noexcept;

// The driver function that cuGetProcAddress gives for a base name ("cuMemAlloc" is cuMemAlloc_v2), null for
// none.
void* driver_entry(const char* name) noexcept;

// The address of this library's function of that name; null where it has none.
void* own_symbol(const char* name) noexcept;

}  // namespace softcuda
