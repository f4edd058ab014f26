// Loading the kernels, pinning the ring: once a process, and what each context needs.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "cupti_hook/message.h"
#include "cupti_hook/rerun/capture.h"
#include "cupti_hook/rerun/checker.h"
#include "kernels/host_bodies.h"

namespace fumi::rerun {

const char* const Checker::kernel_names[kernel_count] = {kCheckReal,
                                                         kCheckDouble,
                                                         kCheckComplex,
                                                         kCheckDoubleComplex,
                                                         kMergeKernel,
                                                         kPrecisionKernel,
                                                         kPrecisionMergeKernel,
                                                         kernel_name::compare,
                                                         kernel_name::checksum_columns,
                                                         kernel_name::checksum_rows,
                                                         kernel_name::add_noise,
                                                         kernel_name::noise_response};

CUfunction Checker::kernel(const char* name) const noexcept {
    for (std::size_t i = 0; i < std::size(kernel_names); ++i)
        if (kernel_names[i] == name || std::strcmp(kernel_names[i], name) == 0) return kernels_[i];
    return nullptr;
}

int Checker::capability(const libraries::DriverApi& driver, int device) noexcept {
    if (device < 0 || device >= static_cast<int>(std::size(capabilities_))) return 0;
    int known = capabilities_[device].load(std::memory_order_relaxed);
    if (known != 0) return known;
    int major = 0, minor = 0;
    driver.device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    driver.device_get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    known = 10 * major + minor;
    capabilities_[device].store(known, std::memory_order_relaxed);
    return known;
}

bool Checker::set_up(const libraries::DriverApi& driver, CUcontext context) noexcept try {
    if (state_.load(std::memory_order_acquire) == State::ready &&
        last_warm_.load(std::memory_order_relaxed) == context)
        return true;
    const std::lock_guard lock(setup_mutex_);
    const RelaxedCapture relaxed(driver);
    if (state_.load(std::memory_order_relaxed) == State::untried)
        state_.store(set_up_once(driver) ? State::ready : State::failed, std::memory_order_release);
    if (state_.load(std::memory_order_relaxed) != State::ready) return false;
    if (warm_.insert(context).second && driver.kernel_get_function != nullptr) {
        // Loads the code now: a lazy load at the first launch could fall into a capture.
        for (const CUfunction kernel : kernels_) {
            CUfunction function = nullptr;
            driver.kernel_get_function(&function, reinterpret_cast<CUkernel>(kernel));
        }
    }
    last_warm_.store(context, std::memory_order_relaxed);
    return true;
} catch (const std::bad_alloc&) {
    return false;
}

bool Checker::set_up_once(const libraries::DriverApi& driver) noexcept {
    const auto failed = [&](const char* what, CUresult status) {
        const char* name = "unknown error";
        driver.get_error_name(status, &name);
        say_once("check setup", "%s (%s): calls are traced but not checked", what, name);
        return false;
    };
    // On the software device the kernels are host functions, and sums may round as IEEE has it.
    if (void* registrar = dlsym(RTLD_DEFAULT, "softcudaRegisterKernel")) {
        register_host_bodies(reinterpret_cast<softcudaRegisterKernel_t>(registrar));
        const char* numerics = std::getenv("SOFTCUDA_NUMERICS");
        ieee_ = numerics == nullptr || std::strcmp(numerics, "tensorcore") != 0;
    }
    CUlibrary library = nullptr;
    if (const CUresult status =
            driver.library_load_data(&library, fatbin(), nullptr, nullptr, 0, nullptr, nullptr, 0);
        status != CUDA_SUCCESS)
        return failed("the check kernels cannot be loaded", status);
    for (std::size_t i = 0; i < std::size(kernel_names); ++i) {
        CUkernel kernel = nullptr;
        if (const CUresult status = driver.library_get_kernel(&kernel, library, kernel_names[i]);
            status != CUDA_SUCCESS)
            return failed(kernel_names[i], status);
        kernels_[i] = reinterpret_cast<CUfunction>(kernel);  // cuLaunchKernel takes either
    }
    if (const CUresult status = driver.mem_host_register(
            ring_.slots(), ring_.slot_bytes(), CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
        status != CUDA_SUCCESS)
        return failed("host memory for results cannot be pinned", status);
    CUdeviceptr device = 0;
    if (const CUresult status = driver.mem_host_get_device_pointer(&device, ring_.slots(), 0);
        status != CUDA_SUCCESS)
        return failed("host memory for results cannot be mapped", status);
    device_slots_ = reinterpret_cast<Slot*>(device);
    return true;
}

}  // namespace fumi::rerun
