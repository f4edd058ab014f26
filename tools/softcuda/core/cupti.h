// What CUPTI subscribers are told.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

namespace softcuda {

enum class ApiCall { launch_kernel, launch_kernel_ex, graph_launch };

// Tells the subscriber of one driver call: enters in the constructor, leaves in the destructor. On the
// calling thread, with no lock held; costs one load where nobody listens.
class Announcement {
  public:
    Announcement(ApiCall call, const char* symbol, cudaStream_t stream, const void* object) noexcept;
    ~Announcement();
    Announcement(const Announcement&) = delete;
    Announcement& operator=(const Announcement&) = delete;

    cudaError_t result(cudaError_t status) noexcept {
        status_ = status;
        return status;
    }

  private:
    void tell(int site) noexcept;

    bool told_ = false;
    ApiCall call_;
    const char* symbol_;
    cudaStream_t stream_;
    const void* object_;
    cudaError_t status_ = cudaSuccess;
    std::uint32_t correlation_ = 0;
    std::uint64_t data_ = 0;
};

}  // namespace softcuda
