// A library as CUDA_INJECTION64_PATH names one: says that it was started, and uses CUDA from within.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>

extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
    const auto count_devices =
        reinterpret_cast<cudaError_t (*)(int*)>(dlsym(RTLD_DEFAULT, "cudaGetDeviceCount"));
    int count = 0;
    if (count_devices != nullptr) count_devices(&count);
    (void)std::fprintf(stderr, "injected, devices: %d; ", count);
    return 1;
}
