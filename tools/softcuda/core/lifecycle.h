// First use, fork, exit, and what every entry point does before and after its own work.
#pragma once
#include <cuda_runtime_api.h>

#include <new>
#include <utility>

namespace softcuda {

// Brings the device up on first use (memory, injection, the torch redirect). cudaErrorInitializationError in
// a child forked after that, as on a GPU; cudaErrorCudartUnloading once the process is past its exit
// handlers.
cudaError_t enter() noexcept;

// True on the thread that is inside the first enter(), whose injected library may call CUDA.
bool exiting() noexcept;

// Starts libsoftcuda_torch.so as soon as libtorch_cuda is in the process. Cheap once that has happened.
void start_torch_redirect() noexcept;

// Loads the library that CUDA_INJECTION64_PATH names and calls its InitializeInjection.
void load_injection() noexcept;

// Sets the thread's last error, and returns it.
cudaError_t remember(cudaError_t status) noexcept;

// A fault of the device's side (a kernel body that threw): every later call returns it.
void set_sticky(cudaError_t status) noexcept;
cudaError_t sticky() noexcept;

// One entry point of cudart: `body` returns a cudaError_t.
template <class Body>
cudaError_t entry(Body&& body) noexcept {
    cudaError_t status = enter();
    if (status == cudaSuccess) {
        try {
            status = std::forward<Body>(body)();
        } catch (const std::bad_alloc&) {
            status = cudaErrorMemoryAllocation;
        } catch (...) {
            status = cudaErrorUnknown;
        }
    }
    return remember(status);
}

}  // namespace softcuda
