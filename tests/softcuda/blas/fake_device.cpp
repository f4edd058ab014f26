// A device of the smallest kind, for testing the BLAS by itself: memory with the two addresses of device.h,
// streams that run at once. The device's address faults when it is touched, so that a forgotten view() shows.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/softcuda/blas/device_array.h"
#include "tools/softcuda/core/device.h"

namespace {

constexpr std::size_t capacity = std::size_t{1} << 28;

struct Memory {
    Memory() {
        const int file = memfd_create("fake device", 0);
        if (file < 0 || ftruncate(file, capacity) != 0) std::abort();
        device = static_cast<char*>(mmap(nullptr, capacity, PROT_NONE, MAP_SHARED, file, 0));
        host = static_cast<char*>(mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        if (device == MAP_FAILED || host == MAP_FAILED) std::abort();
        close(file);
    }
    char *device, *host;
    std::size_t used = 0;
};

Memory& memory() {
    static Memory instance;
    return instance;
}

std::string last_kernel;

}  // namespace

namespace softcuda {

void* host_view(const void* pointer) noexcept {
    const auto* bytes = static_cast<const char*>(pointer);
    if (bytes < memory().device || bytes >= memory().device + capacity) return const_cast<void*>(pointer);
    return memory().host + (bytes - memory().device);
}

cudaError_t launch(cudaStream_t, const char* kernel, std::function<void()> run) noexcept {
    last_kernel = kernel;
    run();
    return cudaSuccess;
}

cudaError_t synchronize(cudaStream_t) noexcept {
    return cudaSuccess;
}

void warn_once(const char*, const char* format, ...) noexcept {
    std::va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
}

const Settings& settings() noexcept {
    static const Settings chosen = [] {
        const char* numerics = std::getenv("SOFTCUDA_NUMERICS");
        const bool tensor = numerics != nullptr && std::strcmp(numerics, "tensorcore") == 0;
        return Settings{tensor ? Numerics::tensorcore : Numerics::ieee, false, false, 90};
    }();
    return chosen;
}

}  // namespace softcuda

namespace fake {

// Addresses are never used twice: a stale pointer of an earlier test cannot hit live memory.
void* allocate(std::size_t bytes, std::size_t misalignment) {
    const std::size_t begin = (memory().used + 255) / 256 * 256 + misalignment;
    if (begin + bytes > capacity) std::abort();
    memory().used = begin + bytes;
    return memory().device + begin;
}

const std::string& last_kernel_name() {
    return last_kernel;
}

}  // namespace fake
