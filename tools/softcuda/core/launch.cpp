// Kernel launches: by host stub, by cudaKernel_t, and from parts inside the device.
#include <algorithm>
#include <cstring>
#include <memory>

#include "tools/softcuda/core/cupti.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"
#include "tools/softcuda/core/registration.h"

namespace softcuda {
namespace {

// The arguments' bytes, each aligned as any type may want.
struct Arguments {
    std::vector<std::max_align_t> bytes;
    std::vector<void*> pointers;
};

std::shared_ptr<Arguments> copy_arguments(const Kernel& kernel, void* const* given) {
    auto copied = std::make_shared<Arguments>();
    size_t units = 0;
    for (const uint32_t size : kernel.sizes)
        units += (size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
    copied->bytes.resize(units);
    size_t unit = 0;
    for (size_t index = 0; index < kernel.sizes.size(); ++index) {
        void* place = copied->bytes.data() + unit;
        std::memcpy(place, given[index], kernel.sizes[index]);
        copied->pointers.push_back(place);
        unit += (kernel.sizes[index] + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
    }
    return copied;
}

void run_blocks(const Kernel& kernel, const Geometry& geometry, const Arguments& arguments) {
    std::vector<std::max_align_t> shared(geometry.shared / sizeof(std::max_align_t) + 1);
    SoftcudaBlock block{};
    block.grid_dim = {geometry.grid.x, geometry.grid.y, geometry.grid.z};
    block.block_dim = {geometry.block.x, geometry.block.y, geometry.block.z};
    block.args = arguments.pointers.data();
    block.shared = shared.data();
    block.device_offset = device_offset();
    block.device_begin = device_begin();
    block.device_end = device_end();
    for (unsigned z = 0; z < geometry.grid.z; ++z) {
        for (unsigned y = 0; y < geometry.grid.y; ++y) {
            for (unsigned x = 0; x < geometry.grid.x; ++x) {
                block.block_idx = {x, y, z};
                kernel.body(&block);
            }
        }
    }
}

bool valid(const Geometry& geometry) {
    const dim3& grid = geometry.grid;
    const dim3& block = geometry.block;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0)
        return false;
    if (grid.x > 0x7fffffffU || grid.y > 65535 || grid.z > 65535) return false;
    return block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
           std::uint64_t{block.x} * block.y * block.z <= 1024 && geometry.shared <= size_t{227} * 1024;
}

cudaError_t launch_as(ApiCall call, cudaStream_t handle, const char* name, const void* object,
                      std::function<void()> run) {
    Announcement announcement(call, name, handle, object);
    Engine& all = engine();
    Lock lock(all.mutex);
    const cudaError_t status =
        submit(lock, find_stream(all, handle), std::move(run), name, cudaGraphNodeTypeKernel);
    lock.unlock();
    return announcement.result(status);
}

cudaError_t launch_stub(const void* stub, const Geometry& geometry, void* const* arguments,
                        cudaStream_t stream, bool extended) {
    // A handle from cuLibraryGetKernel does where a stub is asked for.
    const Kernel* by_handle = kernel_of_handle(stub);
    const std::string name = by_handle == nullptr ? name_of_stub(stub) : by_handle->name;
    if (const Kernel* kernel = find_kernel(name))
        return launch_kernel(*kernel, geometry, arguments, stream, extended);
    return refuse_launch(name);
}

struct CallConfiguration {
    Geometry geometry;
    cudaStream_t stream;
};

std::vector<CallConfiguration>& call_configurations() {
    thread_local std::vector<CallConfiguration> pushed;
    return pushed;
}

}  // namespace

cudaError_t launch(cudaStream_t handle, const char* kernel, std::function<void()> run) noexcept {
    return entry([&] { return launch_as(ApiCall::launch_kernel, handle, kernel, nullptr, std::move(run)); });
}

cudaError_t launch_kernel(const Kernel& kernel, const Geometry& geometry, void* const* arguments,
                          cudaStream_t stream, bool extended) {
    if (!valid(geometry)) return cudaErrorInvalidConfiguration;
    if (arguments == nullptr && !kernel.sizes.empty()) return cudaErrorInvalidValue;
    const std::shared_ptr<Arguments> copied = copy_arguments(kernel, arguments);
    return launch_as(extended ? ApiCall::launch_kernel_ex : ApiCall::launch_kernel, stream,
                     kernel.name.c_str(), &kernel,
                     [&kernel, geometry, copied] { run_blocks(kernel, geometry, *copied); });
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

cudaError_t cudaLaunchKernel(const void* stub, dim3 grid, dim3 block, void** arguments, size_t shared,
                             cudaStream_t stream) {
    return entry([&] { return launch_stub(stub, {grid, block, shared}, arguments, stream, false); });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* stub, void** arguments) {
    return entry([&] {
        if (config == nullptr) return cudaErrorInvalidValue;
        return launch_stub(stub, {config->gridDim, config->blockDim, config->dynamicSmemBytes}, arguments,
                           config->stream, true);
    });
}

cudaError_t cudaLaunchCooperativeKernel(const void* stub, dim3, dim3, void**, size_t, cudaStream_t) {
    // Blocks that wait for one another cannot be run one after the other.
    return entry([&] { return refuse_launch(name_of_stub(stub)); });
}

// The compiler's stubs: a kernel's handle is its stub's own address.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* stub) {
    *kernel = static_cast<cudaKernel_t>(const_cast<void*>(stub));
    return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                               cudaStream_t stream) {
    return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                    size_t shared, cudaStream_t stream) {
    return cudaLaunchKernel(kernel, grid, block, arguments, shared,
                            stream == nullptr ? cudaStreamPerThread : stream);
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
    call_configurations().push_back({{grid, block, shared}, stream});
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
    std::vector<CallConfiguration>& pushed = call_configurations();
    if (pushed.empty()) return remember(cudaErrorMissingConfiguration);
    const CallConfiguration& last = pushed.back();
    *grid = last.geometry.grid;
    *block = last.geometry.block;
    *shared = last.geometry.shared;
    *static_cast<cudaStream_t*>(stream) = last.stream;
    pushed.pop_back();
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    return entry([&] {
        if (attributes == nullptr) return cudaErrorInvalidValue;
        std::memset(attributes, 0, sizeof *attributes);
        attributes->maxThreadsPerBlock = 1024;
        attributes->numRegs = 32;
        attributes->binaryVersion = attributes->ptxVersion = settings().capability;
        attributes->maxDynamicSharedSizeBytes = 48 * 1024;
        return cudaSuccess;
    });
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) {
    return entry([] { return cudaSuccess; });
}

cudaError_t cudaFuncGetName(const char** name, const void* stub) {
    return entry([&] {
        static thread_local std::string kept;
        kept = name_of_stub(stub);
        if (kept.empty() || name == nullptr) return cudaErrorInvalidDeviceFunction;
        *name = kept.c_str();
        return cudaSuccess;
    });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int block_size,
                                                                   size_t, unsigned) {
    return entry([&] {
        if (blocks == nullptr || block_size <= 0) return cudaErrorInvalidValue;
        *blocks = std::min(32, 2048 / block_size);
        return cudaSuccess;
    });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* stub, int block_size,
                                                          size_t shared) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, stub, block_size, shared, 0);
}

}  // extern "C"
