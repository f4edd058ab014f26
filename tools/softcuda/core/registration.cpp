#include "tools/softcuda/core/registration.h"

#include <cxxabi.h>

#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "tools/softcuda/core/copy.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"

namespace softcuda {
namespace {

struct Variable {
    std::string name;
    size_t size = 0;
    void* device = nullptr;  // allocated when first asked for
};

struct Registry {
    std::mutex mutex;
    std::unordered_map<const void*, const char*> stubs;  // libtorch_cuda registers tens of thousands
    std::unordered_map<const void*, Variable> variables;
    std::unordered_map<std::string, Kernel*> kernels;
    std::unordered_set<const void*> handles;
};

Registry& registry() {
    static auto* all = new Registry;  // filled by other libraries' constructors, read until the end
    return *all;
}

}  // namespace

const Kernel* find_kernel(const std::string& name) {
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    const auto found = all.kernels.find(name);
    return found == all.kernels.end() ? nullptr : found->second;
}

const Kernel* kernel_of_handle(const void* handle) {
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    return all.handles.count(handle) != 0 ? static_cast<const Kernel*>(handle) : nullptr;
}

std::string name_of_stub(const void* stub) {
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    const auto found = all.stubs.find(stub);
    return found == all.stubs.end() ? std::string{} : std::string{found->second};
}

cudaError_t refuse_launch(const std::string& name) {
    int status = 0;
    char* readable = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
    warn_once(name.c_str(),
              "the kernel %s has no host body; its launch fails with cudaErrorInvalidDeviceFunction",
              name.empty()  ? "behind an unknown stub"
              : status == 0 ? readable
                            : name.c_str());
    std::free(readable);
    return cudaErrorInvalidDeviceFunction;
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

int softcudaRegisterKernel(const char* name, SoftcudaKernelBody body, const uint32_t* sizes, uint32_t count) {
    if (name == nullptr || body == nullptr || (sizes == nullptr && count != 0)) return -1;
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    auto [place, fresh] = all.kernels.emplace(name, nullptr);
    if (!fresh) return -1;
    auto* kernel = new Kernel{name, body, {}};
    if (count != 0) kernel->sizes.assign(sizes, sizes + count);
    place->second = kernel;
    all.handles.insert(kernel);
    return 0;
}

// NVIDIA's compiler calls these from constructors; their forms are in crt/host_runtime.h.
void** __cudaRegisterFatBinary(void*) {
    static void* handle = nullptr;  // one for all: nothing is kept per binary
    return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) {
    return 1;
}

void __cudaRegisterFunction(void**, const char* stub, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    all.stubs[stub] = name;  // a constant of the registering library
}

void __cudaRegisterVar(void**, char* variable, char*, const char* name, int, size_t size, int, int) {
    Registry& all = registry();
    const std::scoped_lock lock(all.mutex);
    all.variables[variable] = {name, size, nullptr};
}

void __cudaRegisterManagedVar(void**, void** variable, char*, const char* name, int, size_t, int, int) {
    (void)variable;
    report_missing("cudart", "__managed__ variables");
    (void)name;
}

cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
    return entry([&] {
        Registry& all = registry();
        const std::scoped_lock lock(all.mutex);
        const auto found = all.variables.find(symbol);
        if (found == all.variables.end() || address == nullptr) return cudaErrorInvalidSymbol;
        Variable& variable = found->second;
        if (variable.device == nullptr) {
            const cudaError_t status = allocate_device(&variable.device, variable.size);
            if (status != cudaSuccess) return status;
        }
        *address = variable.device;
        return cudaSuccess;
    });
}

cudaError_t cudaGetSymbolSize(size_t* size, const void* symbol) {
    return entry([&] {
        Registry& all = registry();
        const std::scoped_lock lock(all.mutex);
        const auto found = all.variables.find(symbol);
        if (found == all.variables.end() || size == nullptr) return cudaErrorInvalidSymbol;
        *size = found->second.size;
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* source, size_t count, size_t offset,
                               cudaMemcpyKind kind) {
    void* address = nullptr;
    const cudaError_t status = cudaGetSymbolAddress(&address, symbol);
    return status != cudaSuccess ? status
                                 : cudaMemcpy(static_cast<char*>(address) + offset, source, count, kind);
}

cudaError_t cudaMemcpyFromSymbol(void* target, const void* symbol, size_t count, size_t offset,
                                 cudaMemcpyKind kind) {
    void* address = nullptr;
    const cudaError_t status = cudaGetSymbolAddress(&address, symbol);
    return status != cudaSuccess ? status
                                 : cudaMemcpy(target, static_cast<char*>(address) + offset, count, kind);
}

}  // extern "C"
