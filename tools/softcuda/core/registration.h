// Kernels: what the program registers, and the host bodies that softcudaRegisterKernel gives.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tools/softcuda/softcuda.h"

namespace softcuda {

// A kernel with a host body; the address is its handle (CUfunction, CUkernel, cudaKernel_t). Never freed.
struct Kernel {
    std::string name;
    SoftcudaKernelBody body = nullptr;
    std::vector<std::uint32_t> sizes;  // of the parameters, in bytes
};

// The kernel of that name, null where nobody gave it a body.
const Kernel* find_kernel(const std::string& name);
const Kernel* kernel_of_handle(const void* handle);

// The mangled name behind a host stub; empty for an unknown stub.
std::string name_of_stub(const void* stub);

struct Geometry {
    dim3 grid, block;
    size_t shared;
};

// One launch: copies the arguments, announces the kernel, enqueues its blocks.
cudaError_t launch_kernel(const Kernel& kernel, const Geometry& geometry, void* const* arguments,
                          cudaStream_t stream, bool extended);

// The error of a launch that nobody handles, said with the kernel's name.
cudaError_t refuse_launch(const std::string& name);

}  // namespace softcuda
