// The arguments of a cuBLAS matrix product as its entry points pass them, and their checks.
#pragma once
#include "tools/softcuda/blas/handle.h"

namespace softcuda::blas {

struct Stored {  // a column-major matrix as an argument list has it
    const void* data = nullptr;
    cudaDataType type = CUDA_R_32F;
    std::int64_t ld = 0, stride = 0;
};

struct GemmCall {
    const char* function = "";
    cublasOperation_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
    std::int64_t m = 0, n = 0, k = 0;
    const void* alpha = nullptr;
    Stored a, b;
    const void* beta = nullptr;
    Stored c;
    std::int64_t batch = 1;
    bool pointer_array = false;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    bool typed = true;  // the entry point fixes the types (Sgemm...): there is no combination to refuse
};

cublasStatus_t gemm(cublasHandle_t handle, const GemmCall& call) noexcept;

// The scale type (of alpha and beta) that a compute type goes with.
cudaDataType scale_type_of(cublasComputeType_t compute, cudaDataType input) noexcept;

}  // namespace softcuda::blas
