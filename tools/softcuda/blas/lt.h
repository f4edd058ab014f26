// What cublasLtMatmul is asked to do, read from the library's own descriptors through its own Get functions.
#pragma once
#include "tools/softcuda/blas/handle.h"

namespace softcuda::blas {

struct LtLayout {
    cudaDataType type = CUDA_R_32F;
    std::int32_t order = CUBLASLT_ORDER_COL;
    std::uint64_t rows = 0, cols = 0;
    std::int64_t ld = 0, stride = 0;
    std::int32_t batch = 1;
    std::uint32_t batch_mode = CUBLASLT_BATCH_MODE_STRIDED;
};

struct LtMatmul {
    std::int32_t compute = CUBLAS_COMPUTE_32F, scale_type = CUDA_R_32F,
                 pointer_mode = CUBLASLT_POINTER_MODE_HOST;
    std::int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N, transc = CUBLAS_OP_N, fill_mode = 2;
    std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void* bias = nullptr;
    std::int64_t bias_stride = 0, alpha_stride = 0;
    std::int32_t bias_type = -1, aux_type = -1;
    void* aux = nullptr;
    std::int64_t aux_ld = 0, aux_stride = 0;
    const void *scale_a = nullptr, *scale_b = nullptr, *scale_c = nullptr, *scale_d = nullptr,
               *aux_scale = nullptr;
    void *amax_d = nullptr, *aux_amax = nullptr;
    std::int8_t fast_accumulation = 0;
    std::int32_t scale_mode_a = 0, scale_mode_b = 0, scale_mode_c = 0, scale_mode_d = 0;
    LtLayout a, b, c, d;
};

// Descriptors that the library cannot read give CUBLAS_STATUS_INVALID_VALUE; a missing library
// NOT_INITIALIZED.
cublasStatus_t read(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, LtMatmul& matmul) noexcept;
cublasStatus_t read(cublasLtMatrixLayout_t layout, LtLayout& result) noexcept;

// Whether the device can do it: shapes that fit together, and the documented tables of types, orders and
// epilogues.
cublasStatus_t check(const LtMatmul& matmul) noexcept;

// A function of the real libcublasLt, or null.
void* real_cublaslt(const char* name) noexcept;

}  // namespace softcuda::blas
