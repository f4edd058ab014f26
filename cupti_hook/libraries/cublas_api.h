// The Get functions of cuBLAS by which a call is decoded.
#pragma once
#include <cublas_api.h>

namespace fumi::libraries {

struct CublasApi {
    decltype(&::cublasGetStream_v2) get_stream = nullptr;
    decltype(&::cublasGetPointerMode_v2) get_pointer_mode = nullptr;
    decltype(&::cublasGetMathMode) get_math_mode = nullptr;
    decltype(&::cublasGetProperty) get_property = nullptr;
};

// nullptr while cuBLAS is not in the process, or lacks one of the above.
const CublasApi* cublas_api() noexcept;

// SONAME of the cuBLAS that the wrappers speak to, as a glob for interpose::Hook::library.
inline constexpr const char* cublas_soname = "libcublas.so.1[2-9]";

}  // namespace fumi::libraries
