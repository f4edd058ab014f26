#include "tools/softcuda/core/lifecycle.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/memory.h"

namespace softcuda {
namespace {

enum class Phase { fresh, coming_up, up, failed, forked, down };

std::atomic<Phase> phase{Phase::fresh};
std::atomic<cudaError_t> fault{cudaSuccess};

struct FirstUse {
    std::mutex mutex;
    std::condition_variable finished;
    std::thread::id thread;
};
FirstUse& first_use() {
    static auto* first = new FirstUse;
    return *first;
}

void at_exit() {
    if (phase.load() == Phase::forked) return;
    stop_workers();
    phase.store(Phase::down);
}

void in_forked_child() {
    if (phase.load() != Phase::fresh) phase.store(Phase::forked);
}

cudaError_t come_up() noexcept {
    FirstUse& first = first_use();
    {
        std::unique_lock lock(first.mutex);
        if (phase.load() == Phase::coming_up) {
            // The injected library calls CUDA from within the initialisation; others wait for its end.
            if (first.thread == std::this_thread::get_id()) return cudaSuccess;
            first.finished.wait(lock, [] { return phase.load() != Phase::coming_up; });
        }
        if (phase.load() == Phase::up) return cudaSuccess;
        if (phase.load() == Phase::failed) return cudaErrorInitializationError;
        first.thread = std::this_thread::get_id();
        phase.store(Phase::coming_up);
    }
    const bool ready = reserve_device_memory();
    // Before the injection: handlers run in reverse order, and the injected library's may still use the
    // device.
    if (ready) {
        engine();
        (void)std::atexit(at_exit);
        pthread_atfork(nullptr, nullptr, in_forked_child);
        load_injection();
    }
    const std::scoped_lock lock(first.mutex);
    phase.store(ready ? Phase::up : Phase::failed);
    first.finished.notify_all();
    return ready ? cudaSuccess : cudaErrorInitializationError;
}

cudaError_t& last_error() noexcept {
    thread_local cudaError_t error = cudaSuccess;
    return error;
}

}  // namespace

cudaError_t enter() noexcept {
    switch (phase.load(std::memory_order_acquire)) {
        case Phase::up:
            return cudaSuccess;
        case Phase::forked:
        case Phase::failed:
            return cudaErrorInitializationError;
        case Phase::down:
            return cudaErrorCudartUnloading;
        case Phase::fresh:
        case Phase::coming_up:
            break;
    }
    return come_up();
}

bool exiting() noexcept {
    return phase.load() == Phase::down;
}

cudaError_t remember(cudaError_t status) noexcept {
    if (status != cudaSuccess) last_error() = status;
    return status;
}

void set_sticky(cudaError_t status) noexcept {
    fault.store(status);
}
cudaError_t sticky() noexcept {
    return fault.load();
}

void load_injection() noexcept {
    const char* path =
        std::getenv("CUDA_INJECTION64_PATH");  // NOLINT(concurrency-mt-unsafe): as the driver does
    if (path == nullptr || *path == '\0') return;
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        warn_once("injection", "CUDA_INJECTION64_PATH cannot be loaded: %s", dlerror());
        return;
    }
    auto start = reinterpret_cast<int (*)()>(dlsym(library, "InitializeInjection"));
    if (start == nullptr) {
        warn_once("injection", "%s has no InitializeInjection", path);
        return;
    }
    start();
}

void start_torch_redirect() noexcept {
    static std::atomic<bool> finished{false};
    if (finished.load(std::memory_order_acquire) || phase.load() != Phase::up) return;
    void* torch = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    if (torch == nullptr) return;
    dlclose(torch);
    if (finished.exchange(true)) return;
    Dl_info self{};
    if (dladdr(reinterpret_cast<void*>(&start_torch_redirect), &self) == 0 || self.dli_fname == nullptr)
        return;
    char* resolved = realpath(self.dli_fname, nullptr);
    std::string path = resolved == nullptr ? self.dli_fname : resolved;
    std::free(resolved);
    path = path.substr(0, path.rfind('/') + 1) + "libsoftcuda_torch.so";
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        warn_once("torch", "PyTorch's own kernels have no bodies here: %s", dlerror());
        return;
    }
    auto start = reinterpret_cast<int (*)()>(dlsym(library, "softcuda_torch_start"));
    if (start == nullptr || start() != 0) warn_once("torch", "%s did not start", path.c_str());
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

cudaError_t cudaGetLastError() {
    const cudaError_t error = last_error();
    last_error() = cudaSuccess;
    return sticky() != cudaSuccess ? sticky() : error;
}

cudaError_t cudaPeekAtLastError() {
    return sticky() != cudaSuccess ? sticky() : last_error();
}

}  // extern "C"
