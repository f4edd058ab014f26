#include <algorithm>

#include "tools/softcuda/blas/lt.h"
#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {
namespace {

bool any_of(cudaDataType type, std::initializer_list<cudaDataType> types) noexcept {
    return std::find(types.begin(), types.end(), type) != types.end();
}

bool fp8_types_supported(const LtMatmul& matmul) noexcept {
    const cudaDataType a = matmul.a.type, b = matmul.b.type, c = matmul.c.type, d = matmul.d.type;
    if (a == CUDA_R_8F_E5M2 && b == CUDA_R_8F_E5M2) return false;
    if (matmul.compute != CUBLAS_COMPUTE_32F || matmul.scale_type != CUDA_R_32F) return false;
    if (any_of(d, {CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F})) return c == d;
    if (d == CUDA_R_8F_E5M2 && a == CUDA_R_8F_E4M3 && b == CUDA_R_8F_E4M3) return false;
    return is_fp8(d) && any_of(c, {CUDA_R_16BF, CUDA_R_16F});
}

// The tables of cublasLtMatmul in cuBLAS's documentation.
bool types_supported(const LtMatmul& matmul) noexcept {
    const cudaDataType a = matmul.a.type, b = matmul.b.type, c = matmul.c.type, d = matmul.d.type;
    if (is_fp8(a) && is_fp8(b)) return fp8_types_supported(matmul);
    if (a != b || c != d) return false;
    const auto scale = static_cast<cudaDataType>(matmul.scale_type);
    switch (matmul.compute) {
        case CUBLAS_COMPUTE_16F:
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return scale == CUDA_R_16F && a == CUDA_R_16F && d == CUDA_R_16F;
        case CUBLAS_COMPUTE_32I:
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return a == CUDA_R_8I &&
                   ((scale == CUDA_R_32I && d == CUDA_R_32I) || (scale == CUDA_R_32F && d == CUDA_R_8I));
        case CUBLAS_COMPUTE_32F:
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            if (scale == CUDA_C_32F) return a == CUDA_C_32F && d == CUDA_C_32F;
            if (scale != CUDA_R_32F) return false;
            if (d == CUDA_R_32F) return any_of(a, {CUDA_R_8I, CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F});
            return a == d && any_of(a, {CUDA_R_16BF, CUDA_R_16F});
        case CUBLAS_COMPUTE_32F_FAST_16F:
        case CUBLAS_COMPUTE_32F_FAST_16BF:
        case CUBLAS_COMPUTE_32F_FAST_TF32:
        case CUBLAS_COMPUTE_32F_EMULATED_16BFX9:
            return a == d && scale == a && any_of(a, {CUDA_R_32F, CUDA_C_32F});
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return a == d && scale == a && any_of(a, {CUDA_R_64F, CUDA_C_64F});
        default:
            return false;
    }
}

bool layout_valid(const LtLayout& layout) noexcept {
    const bool row = layout.order == CUBLASLT_ORDER_ROW;
    return layout.batch >= 0 && layout.ld >= static_cast<std::int64_t>(
                                                 std::max<std::uint64_t>(1, row ? layout.cols : layout.rows));
}

bool layout_supported(const LtLayout& layout) noexcept {
    return (layout.order == CUBLASLT_ORDER_COL || layout.order == CUBLASLT_ORDER_ROW) &&
           size_of(layout.type) != 0;
}

bool shapes_fit(const LtMatmul& matmul) noexcept {
    const bool ta = matmul.transa != CUBLAS_OP_N, tb = matmul.transb != CUBLAS_OP_N;
    const std::uint64_t m = ta ? matmul.a.cols : matmul.a.rows, k = ta ? matmul.a.rows : matmul.a.cols;
    const std::uint64_t n = tb ? matmul.b.rows : matmul.b.cols, l = tb ? matmul.b.cols : matmul.b.rows;
    const auto same = [&](const LtLayout& x) {
        return x.rows == m && x.cols == n && x.batch == matmul.a.batch;
    };
    return k == l && same(matmul.c) && same(matmul.d) && matmul.b.batch == matmul.a.batch;
}

bool epilogue_supported(const LtMatmul& matmul) noexcept {
    switch (matmul.epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
        case CUBLASLT_EPILOGUE_BIAS:
            return true;
        case CUBLASLT_EPILOGUE_RELU:
        case CUBLASLT_EPILOGUE_RELU_AUX:
        case CUBLASLT_EPILOGUE_RELU_BIAS:
        case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
        case CUBLASLT_EPILOGUE_DRELU:
        case CUBLASLT_EPILOGUE_DRELU_BGRAD:
        case CUBLASLT_EPILOGUE_GELU:
        case CUBLASLT_EPILOGUE_GELU_AUX:
        case CUBLASLT_EPILOGUE_GELU_BIAS:
        case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
        case CUBLASLT_EPILOGUE_DGELU:
        case CUBLASLT_EPILOGUE_DGELU_BGRAD:
        case CUBLASLT_EPILOGUE_BGRADA:
        case CUBLASLT_EPILOGUE_BGRADB:
            return !is_complex(matmul.d.type);
        default:
            return false;
    }
}

bool needs_aux(std::uint32_t epilogue) noexcept {
    return (epilogue & 128u) != 0;
}
bool needs_bias(std::uint32_t epilogue) noexcept {
    return (epilogue &
            (CUBLASLT_EPILOGUE_BIAS | 16u | CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB)) != 0;
}

cublasStatus_t epilogue_buffers_valid(const LtMatmul& matmul) noexcept {
    const std::uint32_t epilogue = matmul.epilogue;
    if (needs_bias(epilogue) && matmul.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (needs_aux(epilogue) &&
        (matmul.aux == nullptr || matmul.aux_ld < static_cast<std::int64_t>(matmul.d.rows)))
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool mask = needs_aux(epilogue) && (epilogue & (CUBLASLT_EPILOGUE_RELU | 8u)) != 0;
    if (mask && (matmul.aux_ld % 128 != 0 || matmul.aux_stride % 128 != 0))
        return CUBLAS_STATUS_INVALID_VALUE;
    // The layout of bias and auxiliary output is defined for column-major results.
    if (epilogue != CUBLASLT_EPILOGUE_DEFAULT && matmul.d.order != CUBLASLT_ORDER_COL)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

// fp8 kernels before Blackwell take op(A) transposed and op(B) as it is, in multiples of 16 bytes.
bool fp8_layout_supported(const LtMatmul& matmul) noexcept {
    if (!is_fp8(matmul.a.type)) return true;
    const auto aligned = [](const LtLayout& x) {
        return x.ld * static_cast<std::int64_t>(size_of(x.type)) % 16 == 0 && x.order == CUBLASLT_ORDER_COL;
    };
    if (!aligned(matmul.a) || !aligned(matmul.b) || !aligned(matmul.c) || !aligned(matmul.d)) return false;
    if (matmul.a.rows % 16 != 0 || matmul.d.rows % 16 != 0) return false;
    return settings().capability >= 100 || (matmul.transa == CUBLAS_OP_T && matmul.transb == CUBLAS_OP_N);
}

bool scales_supported(const LtMatmul& matmul) noexcept {
    const auto known = [](std::int32_t mode) {
        return mode == CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F ||
               mode == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    };
    if (!known(matmul.scale_mode_a) || !known(matmul.scale_mode_b) ||
        matmul.scale_mode_a != matmul.scale_mode_b)
        return false;
    if (matmul.scale_mode_a != 0 && !is_fp8(matmul.a.type)) return false;
    return matmul.scale_mode_c == CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F &&
           matmul.scale_mode_d == CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
}

}  // namespace

cublasStatus_t check(const LtMatmul& matmul) noexcept {
    for (const LtLayout* layout : {&matmul.a, &matmul.b, &matmul.c, &matmul.d}) {
        if (!layout_supported(*layout)) return CUBLAS_STATUS_NOT_SUPPORTED;
        if (!layout_valid(*layout)) return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (!valid(static_cast<cublasOperation_t>(matmul.transa)) ||
        !valid(static_cast<cublasOperation_t>(matmul.transb)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!shapes_fit(matmul)) return CUBLAS_STATUS_INVALID_VALUE;
    if (matmul.transc != CUBLAS_OP_N || matmul.fill_mode != CUBLAS_FILL_MODE_FULL)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!types_supported(matmul) || !epilogue_supported(matmul) || !scales_supported(matmul) ||
        !fp8_layout_supported(matmul))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (matmul.c.order != matmul.d.order) return CUBLAS_STATUS_NOT_SUPPORTED;
    return epilogue_buffers_valid(matmul);
}

}  // namespace softcuda::blas
