// The host bodies of the kernels, for the software device.
#pragma once
#include "kernels/error_stats.h"
#include "kernels/gemm_check.h"
#include "tools/softcuda/softcuda.h"

namespace fumi {

// `registrar` is what dlsym(RTLD_DEFAULT, "softcudaRegisterKernel") found. Call it once, before the library
// with the kernels is loaded. Returns false where a name was taken already.
bool register_host_bodies(softcudaRegisterKernel_t registrar) noexcept;

}  // namespace fumi
