#include "cupti_hook/rerun/check_kernels.h"

#include <cstring>
#include <new>

#include "cupti_hook/message.h"
#include "cupti_hook/rerun/capture.h"

namespace fumi::rerun {

bool CheckKernels::load(const libraries::DriverApi& driver, CUcontext context) noexcept try {
    if (state_.load(std::memory_order_acquire) == State::ready &&
        last_warm_.load(std::memory_order_relaxed) == context)
        return true;
    const std::lock_guard lock(mutex_);
    const RelaxedCapture relaxed(driver);
    if (state_.load(std::memory_order_relaxed) == State::untried)
        state_.store(load_once(driver) ? State::ready : State::failed, std::memory_order_release);
    if (state_.load(std::memory_order_relaxed) != State::ready) return false;
    if (warm_.insert(context).second && driver.kernel_get_function != nullptr) {
        for (const CUfunction kernel : functions_) {
            CUfunction function = nullptr;
            if (kernel != nullptr) driver.kernel_get_function(&function, reinterpret_cast<CUkernel>(kernel));
        }
    }
    last_warm_.store(context, std::memory_order_relaxed);
    return true;
} catch (const std::bad_alloc&) {
    return false;
}

bool CheckKernels::load_once(const libraries::DriverApi& driver) noexcept {
    const auto images = device_images();
    const auto kernels = check_kernels();
    if (kernels.size() > most_kernels) return false;
    for (std::size_t image = 0; image < images.size(); ++image) {
        CUlibrary library = nullptr;
        CUresult status =
            driver.library_load_data(&library, images[image].data, nullptr, nullptr, 0, nullptr, nullptr, 0);
        const char* what = "the check kernels cannot be loaded";
        for (std::size_t i = 0; i < kernels.size() && status == CUDA_SUCCESS; ++i) {
            if (kernels[i].image != static_cast<int>(image)) continue;
            CUkernel kernel = nullptr;
            what = kernels[i].name;
            status = driver.library_get_kernel(&kernel, library, kernels[i].name);
            functions_[i] = reinterpret_cast<CUfunction>(kernel);  // cuLaunchKernel takes either
        }
        if (status == CUDA_SUCCESS) continue;
        const char* name = "unknown error";
        driver.get_error_name(status, &name);
        say_once("dnn check setup", "%s (%s): cuDNN calls are traced but not checked", what, name);
        return false;
    }
    return true;
}

CUfunction CheckKernels::find(const char* name) const noexcept {
    const auto kernels = check_kernels();
    for (std::size_t i = 0; i < kernels.size(); ++i)
        if (kernels[i].name == name) return functions_[i];
    for (std::size_t i = 0; i < kernels.size(); ++i)
        if (std::strcmp(kernels[i].name, name) == 0) return functions_[i];
    return nullptr;
}

CUresult CheckKernels::launch(const libraries::DriverApi& driver, CUstream stream,
                              CheckPlan& plan) const noexcept {
    for (int i = 0; i < plan.count; ++i) {
        CheckLaunch& one = plan.launches[i];
        void* arguments[] = {one.params};
        const CUresult status = driver.launch_kernel(find(one.kernel), one.blocks, 1, 1, one.threads, 1, 1, 0,
                                                     stream, arguments, nullptr);
        if (status != CUDA_SUCCESS) return status;
    }
    return CUDA_SUCCESS;
}

}  // namespace fumi::rerun
