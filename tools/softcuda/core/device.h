// What the parts of the software CUDA device (core, blas, torch redirect) offer one another. Knows nothing of
// FuMi.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace softcuda {

// Device memory has two addresses: the one that the program sees, which the host cannot touch (PROT_NONE),
// and the device's own view of the same pages. host_view maps the first to the second; any other pointer
// (pinned, managed or plain host memory) comes back unchanged. The two differ by one constant for all of
// device memory.
void* host_view(const void* pointer) noexcept;
template <class T>
T* view(T* pointer) noexcept {
    return static_cast<T*>(host_view(const_cast<const void*>(static_cast<const volatile void*>(pointer))));
}
bool is_device_memory(const void* pointer) noexcept;

// Puts `run` on the stream as one kernel launch: it is executed by a worker thread after everything enqueued
// before it on that stream (legacy-default-stream rules included), or recorded where the stream is being
// captured and run at each graph launch. `kernel` is announced to CUPTI subscribers as the launch's symbol
// name. Returns what cudaLaunchKernel would: errors of a bad stream, of a sticky fault, of capture. `run` may
// be called any number of times (graph replays): it must own all it needs, copied by value.
cudaError_t launch(cudaStream_t stream, const char* kernel, std::function<void()> run) noexcept;

// The same without a kernel name for CUPTI: copies, fills and the like.
cudaError_t enqueue(cudaStream_t stream, const char* what, std::function<void()> run) noexcept;

bool is_capturing(cudaStream_t stream) noexcept;
cudaError_t synchronize(
    cudaStream_t stream) noexcept;  // as cudaStreamSynchronize, for parts inside the device

// Says once per process that `entry` of `library` is not there (stderr, "softcuda: ...").
void report_missing(const char* library, const char* entry) noexcept;

// Once-only messages of the device on stderr.
void warn_once(const char* key, const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));

// Choices from the environment, read once at first use.
enum class Numerics { ieee, tensorcore };
struct Settings {
    Numerics numerics;  // SOFTCUDA_NUMERICS=ieee|tensorcore
    bool compute_null;  // SOFTCUDA_COMPUTE=null: library calls skip their arithmetic
    bool adversarial;   // SOFTCUDA_SCHEDULE=adversarial
    int capability;     // SOFTCUDA_CAPABILITY=90: what the device says it is, default 90
};
const Settings& settings() noexcept;

}  // namespace softcuda
