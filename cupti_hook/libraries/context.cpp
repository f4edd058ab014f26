// The functions by which a program ends a context, and with it all memory that FuMi has there.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <atomic>

#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/observer.h"

namespace fumi::libraries {

namespace {

template <class Tag, class Signature>
struct Ending;

template <class Tag, class Status, class... Args>
struct Ending<Tag, Status(Args...)> {
    static inline constinit std::atomic<void*> original{nullptr};
    static Status call(Args... args) noexcept {
        const interpose::Guard guard;
        auto* function = reinterpret_cast<Status (*)(Args...)>(original.load(std::memory_order_acquire));
        if (function == nullptr) return Tag::unavailable;
        Observer* const told = guard ? observer() : nullptr;
        if (told != nullptr) told->context_ended();
        return function(args...);
    }
    static interpose::Hook hook(const char* soname) noexcept {
        return {Tag::name, nullptr, soname, reinterpret_cast<void*>(&call), &original};
    }
};

struct DeviceReset {
    static constexpr const char* name = "cudaDeviceReset";
    static constexpr cudaError_t unavailable = cudaErrorInitializationError;
};
struct PrimaryReset {
    static constexpr const char* name = "cuDevicePrimaryCtxReset_v2";
    static constexpr CUresult unavailable = CUDA_ERROR_NOT_INITIALIZED;
};
struct ContextDestroy {
    static constexpr const char* name = "cuCtxDestroy_v2";
    static constexpr CUresult unavailable = CUDA_ERROR_NOT_INITIALIZED;
};

const interpose::Hook hooks[] = {
    Ending<DeviceReset, decltype(::cudaDeviceReset)>::hook("libcudart.so.1[2-9]"),
    Ending<PrimaryReset, decltype(::cuDevicePrimaryCtxReset_v2)>::hook("libcuda.so.1"),
    Ending<ContextDestroy, decltype(::cuCtxDestroy_v2)>::hook("libcuda.so.1"),
};

}  // namespace

std::span<const interpose::Hook> context_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
