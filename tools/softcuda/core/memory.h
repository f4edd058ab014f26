// Device memory and what is known of host memory.
#pragma once
#include <cuda_runtime_api.h>
#include <cstddef>
#include <cstdint>

namespace softcuda {

constexpr std::size_t total_memory = std::size_t{16} << 30;

enum class Kind { unregistered, host, managed, device };

struct Extent {
    Kind kind = Kind::unregistered;
    std::uintptr_t begin = 0;
    std::size_t size = 0;       // as asked for
    unsigned flags = 0;         // of cudaHostAlloc, cudaHostRegister, cudaMallocManaged
    unsigned long long id = 0;  // unique in the process
};

bool reserve_device_memory() noexcept;  // once, at initialisation
std::uintptr_t device_begin() noexcept;
std::uintptr_t device_end() noexcept;
std::ptrdiff_t device_offset() noexcept;

// Device memory: cudaErrorMemoryAllocation when the device is full, cudaErrorInvalidValue for a pointer that
// is no allocation's begin.
cudaError_t allocate_device(void** pointer, std::size_t size);
cudaError_t free_device(void* pointer);
std::size_t free_memory() noexcept;

// Host memory that the device knows. `owned`: allocated here, freed by forget_host.
cudaError_t allocate_host(void** pointer, std::size_t size, Kind kind, unsigned flags);
cudaError_t register_host(void* pointer, std::size_t size, unsigned flags);
cudaError_t forget_host(void* pointer, bool owned);

// The allocation around `pointer`, or kind unregistered. A device address outside every live allocation has
// kind device and size 0.
Extent find_extent(const void* pointer);

// Whether [pointer, pointer + size) lies within one live allocation, where pointer is a device address; true
// for others.
bool range_is_live(const void* pointer, std::size_t size);

}  // namespace softcuda
