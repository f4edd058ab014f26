// Handles of FuMi's own, one for each handle of the program, for calling cuBLAS a second time: the program's
// handle, and the workspace behind it, stay untouched.
#pragma once
#include <cublas_api.h>

#include <cstddef>
#include <mutex>

namespace fumi::libraries {

// The workspace that the program gave its handle (cublasSetWorkspace, undone by cublasSetStream): its size in
// bytes, 0 for the library's own. Hooks of these functions keep count of it.
std::size_t workspace_of(cublasHandle_t handle) noexcept;

// Whether cuBLAS may give other bits each time (CUBLAS_ATOMICS_ALLOWED).
bool atomics_allowed(cublasHandle_t handle) noexcept;

// A handle with the settings of the program's, on its stream, locked for the life of this object.
class TwinHandle {
  public:
    // `workspace`: workspace_of(handle) bytes of FuMi's, 256-byte aligned; unused where that is 0. `context`
    // tells apart handles that have the same address one after the other.
    TwinHandle(cublasHandle_t handle, const void* context, void* workspace) noexcept;
    cublasHandle_t get() const noexcept { return twin_; }
    const char* reason() const noexcept {
        return reason_;
    }  // static: why there is none; nullptr where there is

  private:
    std::unique_lock<std::mutex> lock_;
    cublasHandle_t twin_ = nullptr;
    const char* reason_ = nullptr;
};

}  // namespace fumi::libraries
