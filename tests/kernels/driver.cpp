#include "tests/kernels/driver.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/check_launch.h"
#include "kernels/host_bodies.h"

namespace fumi::test {
namespace {

void check(CUresult result, const char* call) {
    if (result != CUDA_SUCCESS)
        throw std::runtime_error(std::string(call) + " failed with error " + std::to_string(result));
}

// Where each block of the workload's memory lies on the device.
class Translation {
  public:
    Translation(Driver& driver, const Workload& workload) : driver_(driver) {
        for (const auto& block : workload.memory()) add({block.data(), block.size() * sizeof(std::uint64_t)});
    }
    Translation(Driver& driver, const std::vector<HostBytes>& memory) : driver_(driver) {
        for (const HostBytes& block : memory) add(block);
    }
    template <class T>
    const T* operator()(const T* pointer) const {
        const auto address = reinterpret_cast<std::uintptr_t>(pointer);
        for (const Block& block : blocks_) {
            if (address < block.begin || address >= block.begin + block.bytes) continue;
            return reinterpret_cast<const T*>(block.device + (address - block.begin));
        }
        return pointer;
    }
    void view(MatrixView& view, std::int64_t batch) const {
        if (view.batch_pointers != nullptr) {
            std::vector<const void*> list(view.batch_pointers, view.batch_pointers + batch);
            for (const void*& pointer : list) pointer = (*this)(static_cast<const char*>(pointer));
            view.batch_pointers = (*this)(view.batch_pointers);
            driver_.copy_in(reinterpret_cast<CUdeviceptr>(view.batch_pointers), list.data(),
                            list.size() * sizeof(void*));
        }
        view.data = (*this)(static_cast<const char*>(view.data));
    }

  private:
    void add(const HostBytes& block) {
        if (block.bytes == 0) return;
        blocks_.push_back(
            {reinterpret_cast<std::uintptr_t>(block.data), block.bytes, driver_.allocate(block.bytes)});
        driver_.copy_in(blocks_.back().device, block.data, block.bytes);
    }
    struct Block {
        std::uintptr_t begin;
        std::size_t bytes;
        CUdeviceptr device;
    };
    Driver& driver_;
    std::vector<Block> blocks_;
};

}  // namespace

template <class F>
F Driver::entry(const char* name) {
    void* symbol = dlsym(library_, name);
    if (symbol == nullptr) throw std::runtime_error(std::string("the driver has no ") + name);
    return reinterpret_cast<F>(symbol);
}
// cuda.h maps some names to versioned ones (cuMemAlloc is cuMemAlloc_v2), by a macro that the name must pass
// through.
#define FUMI_TEXT(name) #name
#define FUMI_NAME(name) FUMI_TEXT(name)
#define DRIVER(call, ...) check(entry<decltype(&(call))>(FUMI_NAME(call))(__VA_ARGS__), FUMI_NAME(call))

Driver::Driver() {
    library_ = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (library_ == nullptr)
        throw std::runtime_error("no libcuda.so.1: neither a GPU's driver nor the software device");
    DRIVER(cuInit, 0);
    CUdevice device = 0;
    DRIVER(cuDeviceGet, &device, 0);
    char text[256] = "";
    DRIVER(cuDeviceGetName, text, sizeof text, device);
    name_ = text;
    CUcontext context = nullptr;
    DRIVER(cuDevicePrimaryCtxRetain, &context, device);
    DRIVER(cuCtxSetCurrent, context);
    if (void* registrar = dlsym(RTLD_DEFAULT, "softcudaRegisterKernel")) {
        software_ = true;
        if (!register_host_bodies(reinterpret_cast<softcudaRegisterKernel_t>(registrar))) {
            throw std::runtime_error("a kernel's name is taken already");
        }
    }
    for (const DeviceImage& image : device_images())
        DRIVER(cuLibraryLoadData, &code_.emplace_back(), image.data, nullptr, nullptr, 0, nullptr, nullptr,
               0);
}

CUdeviceptr Driver::allocate(std::size_t bytes) {
    CUdeviceptr pointer = 0;
    DRIVER(cuMemAlloc, &pointer, bytes);
    device_.push_back(pointer);
    return pointer;
}

void Driver::copy_in(CUdeviceptr to, const void* from, std::size_t bytes) {
    DRIVER(cuMemcpyHtoD, to, from, bytes);
}

void* Driver::allocate_pinned(std::size_t bytes) {
    void* pointer = nullptr;
    DRIVER(cuMemHostAlloc, &pointer, bytes, CU_MEMHOSTALLOC_DEVICEMAP);
    pinned_.push_back(pointer);
    std::memset(pointer, 0, bytes);
    return pointer;
}

CUfunction Driver::function(const char* kernel) {
    CUfunction& found = functions_[kernel];
    if (found == nullptr) {
        const std::span<const CheckKernel> known = check_kernels();
        const auto place = std::find_if(known.begin(), known.end(), [&](const CheckKernel& k) {
            return std::strcmp(k.name, kernel) == 0;
        });
        if (place == known.end()) throw std::runtime_error(std::string("no kernel ") + kernel);
        CUkernel handle = nullptr;
        DRIVER(cuLibraryGetKernel, &handle, code_[static_cast<std::size_t>(place->image)], kernel);
        DRIVER(cuKernelGetFunction, &found, handle);
    }
    return found;
}

void Driver::launch(const char* kernel, unsigned blocks, unsigned threads, void* params) {
    void* arguments[] = {params};
    DRIVER(cuLaunchKernel, function(kernel), blocks, 1, 1, threads, 1, 1, 0, nullptr, arguments, nullptr);
}

void Driver::synchronize() {
    DRIVER(cuStreamSynchronize, nullptr);
}

void Driver::release() {
    for (const CUdeviceptr pointer : device_) DRIVER(cuMemFree, pointer);
    for (void* pointer : pinned_) DRIVER(cuMemFreeHost, pointer);
    device_.clear();
    pinned_.clear();
}

void copy_to_device(Driver& driver, const std::vector<HostBytes>& memory, void* problem,
                    std::size_t problem_bytes) {
    const Translation translate(driver, memory);
    for (std::size_t at = 0; at + sizeof(const char*) <= problem_bytes; at += sizeof(const char*)) {
        const char* pointer = nullptr;
        std::memcpy(&pointer, static_cast<char*>(problem) + at, sizeof pointer);
        pointer = translate(pointer);
        std::memcpy(static_cast<char*>(problem) + at, &pointer, sizeof pointer);
    }
}

GemmProblem on_device(Driver& driver, const Workload& workload) {
    const Translation translate(driver, workload);
    GemmProblem p = workload.problem;
    for (MatrixView* view : {&p.a, &p.b, &p.c, &p.d, &p.aux}) translate.view(*view, p.batch);
    for (ScalarValue* scalar : {&p.alpha, &p.beta})
        scalar->device = translate(static_cast<const char*>(scalar->device));
    for (Scale* scale : {&p.scale_a, &p.scale_b, &p.scale_c, &p.scale_d})
        scale->device = translate(scale->device);
    p.bias = translate(static_cast<const char*>(p.bias));
    return p;
}

ErrorStats run_on_device(Driver& driver, const GemmProblem& problem, const Contract& contract,
                         const Coverage& coverage) {
    const GemmCheckPlan plan = plan_gemm_check(problem, coverage, 1 << 20);
    if (plan.kernel == nullptr) throw std::runtime_error(plan.reason);
    auto* scratch = reinterpret_cast<void*>(driver.allocate(plan.scratch_bytes));
    auto* slot = static_cast<ResultSlot*>(driver.allocate_pinned(sizeof(ResultSlot)));
    GemmCheckParams params = make_check_params(problem, contract, coverage, scratch);
    MergeParams merge = make_merge_params(plan, scratch, slot, 42, MergeMode::once);
    driver.launch(plan.kernel, plan.blocks, kCheckThreads, &params);
    driver.launch(kMergeKernel, 1, kMergeThreads, &merge);
    driver.synchronize();
    if (slot->sequence != 42) throw std::runtime_error("the result never reached its slot");
    return slot->stats;
}

}  // namespace fumi::test
