// What the device says it is.
#pragma once
#include <cuda_runtime_api.h>

namespace softcuda {

constexpr int multiprocessors = 132;
cudaDeviceProp device_properties() noexcept;
// cudaDeviceAttr and CUdevice_attribute share their numbers. False for one that is not known.
bool device_attribute(int attribute, int* value) noexcept;

}  // namespace softcuda
