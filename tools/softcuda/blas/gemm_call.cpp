#include "tools/softcuda/blas/gemm_call.h"

#include <algorithm>
#include <array>

#include "tools/softcuda/blas/number.h"

namespace softcuda::blas {
namespace {

bool any_of(cudaDataType type, std::initializer_list<cudaDataType> types) noexcept {
    return std::find(types.begin(), types.end(), type) != types.end();
}

// The table of cublasGemmEx in cuBLAS's documentation: compute type, type of A and B, type of C.
bool is_supported(cublasComputeType_t compute, cudaDataType ab, cudaDataType c) noexcept {
    switch (compute) {
        case CUBLAS_COMPUTE_16F:
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return ab == CUDA_R_16F && c == CUDA_R_16F;
        case CUBLAS_COMPUTE_32I:
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return ab == CUDA_R_8I && c == CUDA_R_32I;
        case CUBLAS_COMPUTE_32F:
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            if (c == CUDA_R_32F) return any_of(ab, {CUDA_R_8I, CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F});
            return ab == c && any_of(ab, {CUDA_R_16BF, CUDA_R_16F, CUDA_C_32F});
        case CUBLAS_COMPUTE_32F_FAST_16F:
        case CUBLAS_COMPUTE_32F_FAST_16BF:
        case CUBLAS_COMPUTE_32F_FAST_TF32:
        case CUBLAS_COMPUTE_32F_EMULATED_16BFX9:
            return ab == c && any_of(ab, {CUDA_R_32F, CUDA_C_32F});
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return ab == c && any_of(ab, {CUDA_R_64F, CUDA_C_64F});
        default:
            return false;
    }
}

// int8 products need leading dimensions and pointers that are multiples of four bytes.
bool integers_aligned(const GemmCall& call) noexcept {
    const auto aligned = [](const Stored& x) {
        return x.ld % 4 == 0 && reinterpret_cast<std::uintptr_t>(x.data) % 4 == 0;
    };
    return call.a.type != CUDA_R_8I || (aligned(call.a) && aligned(call.b));
}

cublasStatus_t check(const GemmCall& call) noexcept {
    if (!valid(call.transa) || !valid(call.transb)) return CUBLAS_STATUS_INVALID_VALUE;
    if (call.m < 0 || call.n < 0 || call.k < 0 || call.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    const std::int64_t rows_a = call.transa == CUBLAS_OP_N ? call.m : call.k;
    const std::int64_t rows_b = call.transb == CUBLAS_OP_N ? call.k : call.n;
    if (call.a.ld < std::max<std::int64_t>(1, rows_a) || call.b.ld < std::max<std::int64_t>(1, rows_b) ||
        call.c.ld < std::max<std::int64_t>(1, call.m))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!call.typed && (call.a.type != call.b.type || !is_supported(call.compute, call.a.type, call.c.type)))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (call.m == 0 || call.n == 0 || call.batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (call.alpha == nullptr || call.beta == nullptr || call.c.data == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (call.k > 0 && (call.a.data == nullptr || call.b.data == nullptr)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!integers_aligned(call)) return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cudaDataType scale_type_of(cublasComputeType_t compute, cudaDataType input) noexcept {
    switch (compute) {
        case CUBLAS_COMPUTE_16F:
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return CUDA_R_16F;
        case CUBLAS_COMPUTE_32I:
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return CUDA_R_32I;
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return is_complex(input) ? CUDA_C_64F : CUDA_R_64F;
        default:
            return is_complex(input) ? CUDA_C_32F : CUDA_R_32F;
    }
}

cublasStatus_t gemm(cublasHandle_t handle, const GemmCall& call) noexcept {
    return guarded(handle, [&] {
        const cublasStatus_t status = check(call);
        if (status != CUBLAS_STATUS_SUCCESS || call.m == 0 || call.n == 0 || call.batch == 0) return status;
        Gemm gemm;
        gemm.function = call.function;
        gemm.m = call.m;
        gemm.n = call.n;
        gemm.k = call.k;
        gemm.batch = call.batch;
        gemm.a = column_major(call.a.data, call.a.type, call.a.ld, call.transa, call.a.stride);
        gemm.b = column_major(call.b.data, call.b.type, call.b.ld, call.transb, call.b.stride);
        gemm.c = column_major(call.c.data, call.c.type, call.c.ld, CUBLAS_OP_N, call.c.stride);
        gemm.a.pointer_array = gemm.b.pointer_array = gemm.c.pointer_array = call.pointer_array;
        gemm.d = gemm.c;
        const cudaDataType scale = scale_type_of(call.compute, call.a.type);
        gemm.alpha = scalar_of(handle, call.alpha, scale);
        gemm.beta = scalar_of(handle, call.beta, scale);
        gemm.arithmetic = arithmetic_for(call.compute, call.a.type, handle->math_mode);
        return status_of(launch(handle->stream, std::move(gemm)));
    });
}

}  // namespace softcuda::blas
