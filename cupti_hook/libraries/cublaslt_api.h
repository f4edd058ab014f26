// The Get functions of cuBLASLt by which a call is decoded.
#pragma once
#include <cublasLt.h>

namespace fumi::libraries {

struct CublasLtApi {
    decltype(&::cublasLtMatmulDescGetAttribute) matmul_desc_get = nullptr;
    decltype(&::cublasLtMatmulDescSetAttribute) matmul_desc_set = nullptr;
    decltype(&::cublasLtMatrixLayoutGetAttribute) matrix_layout_get = nullptr;
    decltype(&::cublasLtMatmulAlgoConfigGetAttribute) algo_config_get = nullptr;
    decltype(&::cublasLtGetVersion) get_version = nullptr;
};

// nullptr while cuBLASLt is not in the process, or lacks one of the above.
const CublasLtApi* cublaslt_api() noexcept;

inline constexpr const char* cublaslt_soname = "libcublasLt.so.1[2-9]";

}  // namespace fumi::libraries
