// cublasLtMatmul and the entry points that choose its algorithm.
#include <cstring>

#include "tools/softcuda/blas/lt.h"
#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {
namespace {

// The matrix after op(), in either storage order.
Matrix matrix_of(const void* data, const LtLayout& layout, std::int32_t operation) noexcept {
    Matrix matrix =
        column_major(data, layout.type, layout.ld, static_cast<cublasOperation_t>(operation), layout.stride);
    if (layout.order == CUBLASLT_ORDER_ROW) std::swap(matrix.row_stride, matrix.col_stride);
    matrix.pointer_array = layout.batch_mode == CUBLASLT_BATCH_MODE_POINTER_ARRAY;
    return matrix;
}

cudaDataType bias_type_of(const LtMatmul& matmul) noexcept {
    if (matmul.bias_type >= 0) return static_cast<cudaDataType>(matmul.bias_type);
    if (is_fp8(matmul.a.type)) return matmul.d.type == CUDA_R_16F ? CUDA_R_16F : CUDA_R_16BF;
    if (matmul.d.type == CUDA_R_8I) return static_cast<cudaDataType>(matmul.scale_type);
    return matmul.d.type;
}

Activation activation_of(std::uint32_t epilogue) noexcept {
    if ((epilogue & CUBLASLT_EPILOGUE_RELU) != 0) return Activation::relu;
    if ((epilogue & CUBLASLT_EPILOGUE_GELU) != 0) return Activation::gelu;
    if ((epilogue & 8u) != 0) return Activation::drelu;
    if ((epilogue & 64u) != 0) return Activation::dgelu;
    return Activation::none;
}

Epilogue epilogue_of(const LtMatmul& matmul) noexcept {
    Epilogue epilogue;
    epilogue.activation = activation_of(matmul.epilogue);
    epilogue.bias_type = bias_type_of(matmul);
    epilogue.bias_batch_stride = matmul.bias_stride;
    if ((matmul.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) epilogue.bias = matmul.bias;
    if ((matmul.epilogue & 16u) != 0) epilogue.bias_gradient = BiasGradient::from_d;
    if (matmul.epilogue == CUBLASLT_EPILOGUE_BGRADA) epilogue.bias_gradient = BiasGradient::from_a;
    if (matmul.epilogue == CUBLASLT_EPILOGUE_BGRADB) epilogue.bias_gradient = BiasGradient::from_b;
    if (epilogue.bias_gradient != BiasGradient::none) epilogue.bias_gradient_out = matmul.bias;
    if ((matmul.epilogue & 128u) != 0) {
        epilogue.aux = matmul.aux;
        epilogue.aux_type = matmul.aux_type >= 0 ? static_cast<cudaDataType>(matmul.aux_type) : matmul.d.type;
        epilogue.aux_ld = matmul.aux_ld;
        epilogue.aux_batch_stride = matmul.aux_stride;
        epilogue.aux_scale = static_cast<const float*>(matmul.aux_scale);
        epilogue.aux_amax = static_cast<float*>(matmul.aux_amax);
    }
    return epilogue;
}

void set_scalars(const LtMatmul& matmul, const void* alpha, const void* beta, Gemm& gemm) noexcept {
    const auto type = static_cast<cudaDataType>(matmul.scale_type);
    const auto vector = [&](const void* pointer) {
        Scalar scalar = device_scalar(pointer, type);
        scalar.row_stride = 1;
        scalar.batch_stride = matmul.alpha_stride;
        return scalar;
    };
    static constexpr double zero[2] = {};
    switch (matmul.pointer_mode) {
        case CUBLASLT_POINTER_MODE_DEVICE:
            gemm.alpha = device_scalar(alpha, type);
            gemm.beta = device_scalar(beta, type);
            return;
        case CUBLASLT_POINTER_MODE_DEVICE_VECTOR:
            gemm.alpha = vector(alpha);
            gemm.beta = vector(beta);
            return;
        case CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_ZERO:
            gemm.alpha = vector(alpha);
            gemm.beta = host_scalar(zero, type);
            return;
        case CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST:
            gemm.alpha = vector(alpha);
            gemm.beta = host_scalar(beta, type);
            return;
        default:
            gemm.alpha = host_scalar(alpha, type);
            gemm.beta = host_scalar(beta, type);
    }
}

Arithmetic arithmetic_of(const LtMatmul& matmul) noexcept {
    const auto arithmetic =
        arithmetic_for(static_cast<cublasComputeType_t>(matmul.compute), matmul.a.type, CUBLAS_DEFAULT_MATH);
    return arithmetic == Arithmetic::tensor_fp8 && matmul.fast_accumulation != 0 ? Arithmetic::tensor_fp8_fast
                                                                                 : arithmetic;
}

void set_scales(const LtMatmul& matmul, Gemm& gemm) noexcept {
    if (!is_fp8(matmul.a.type)) return;
    gemm.scale_a = {static_cast<const float*>(matmul.scale_a),
                    matmul.scale_mode_a == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F};
    gemm.scale_b = {static_cast<const float*>(matmul.scale_b),
                    matmul.scale_mode_b == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F};
    if (is_fp8(matmul.c.type)) gemm.scale_c = static_cast<const float*>(matmul.scale_c);
    if (is_fp8(matmul.d.type)) {
        gemm.scale_d = static_cast<const float*>(matmul.scale_d);
        gemm.amax_d = static_cast<float*>(matmul.amax_d);
    }
}

struct Buffers {
    const void *alpha, *a, *b, *beta, *c;
    void* d;
};

bool present(const LtMatmul& matmul, const Buffers& buffers) noexcept {
    const bool beta_needed = matmul.pointer_mode != CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_ZERO;
    return buffers.alpha != nullptr && (buffers.beta != nullptr || !beta_needed) && buffers.d != nullptr &&
           ((buffers.a != nullptr && buffers.b != nullptr) || matmul.a.rows == 0 || matmul.a.cols == 0);
}

cublasStatus_t multiply(const LtMatmul& matmul, const Buffers& buffers, cudaStream_t stream) noexcept {
    if (matmul.d.rows == 0 || matmul.d.cols == 0 || matmul.d.batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (!present(matmul, buffers)) return CUBLAS_STATUS_INVALID_VALUE;
    const bool ta = matmul.transa != CUBLAS_OP_N;
    Gemm gemm;
    gemm.function = "cublasLtMatmul";
    gemm.m = static_cast<std::int64_t>(matmul.d.rows);
    gemm.n = static_cast<std::int64_t>(matmul.d.cols);
    gemm.k = static_cast<std::int64_t>(ta ? matmul.a.rows : matmul.a.cols);
    gemm.batch = matmul.d.batch;
    gemm.a = matrix_of(buffers.a, matmul.a, matmul.transa);
    gemm.b = matrix_of(buffers.b, matmul.b, matmul.transb);
    gemm.c = matrix_of(buffers.c, matmul.c, CUBLAS_OP_N);
    gemm.d = matrix_of(buffers.d, matmul.d, CUBLAS_OP_N);
    if (buffers.c == nullptr) gemm.c = gemm.d;  // read only where beta is not zero; then in place
    set_scalars(matmul, buffers.alpha, buffers.beta, gemm);
    gemm.arithmetic = arithmetic_of(matmul);
    set_scales(matmul, gemm);
    gemm.epilogue = epilogue_of(matmul);
    return status_of(launch(stream, std::move(gemm)));
}

}  // namespace
}  // namespace softcuda::blas

using namespace softcuda::blas;

namespace {
cublasStatus_t read_and_check(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                              cublasLtMatrixLayout_t d, LtMatmul& matmul) noexcept {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (operation == nullptr || a == nullptr || b == nullptr || c == nullptr || d == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = read(operation, a, b, c, d, matmul);
    return status != CUBLAS_STATUS_SUCCESS ? status : check(matmul);
}

// One algorithm serves every product; its id is stored where the library's own AlgoConfigGetAttribute looks
// for it.
constexpr int only_algorithm = 66;

cublasLtMatmulAlgo_t algorithm() noexcept {
    cublasLtMatmulAlgo_t algo{};
    algo.data[0] = only_algorithm;
    return algo;
}
}  // namespace

SOFTCUDA_EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              const void* alpha, const void* a,
                                              cublasLtMatrixLayout_t layout_a, const void* b,
                                              cublasLtMatrixLayout_t layout_b, const void* beta,
                                              const void* c, cublasLtMatrixLayout_t layout_c, void* d,
                                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t*,
                                              void*, size_t, cudaStream_t stream) {
    LtMatmul matmul;
    const cublasStatus_t status =
        read_and_check(handle, operation, layout_a, layout_b, layout_c, layout_d, matmul);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return multiply(matmul, {alpha, a, b, beta, c, d}, stream);
}

SOFTCUDA_EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t,
    int requested, cublasLtMatmulHeuristicResult_t results[], int* returned) {
    if (returned != nullptr) *returned = 0;
    LtMatmul matmul;
    const cublasStatus_t status = read_and_check(handle, operation, a, b, c, d, matmul);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (requested <= 0 || results == nullptr || returned == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    results[0] = {};
    results[0].algo = algorithm();
    results[0].state = CUBLAS_STATUS_SUCCESS;
    results[0].wavesCount = 1.0f;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle,
                                                       cublasLtMatmulDesc_t operation,
                                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                       const cublasLtMatmulAlgo_t* algo,
                                                       cublasLtMatmulHeuristicResult_t* result) {
    if (algo == nullptr || result == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    LtMatmul matmul;
    const cublasStatus_t status = read_and_check(handle, operation, a, b, c, d, matmul);
    const cublasLtMatmulAlgo_t checked = *algo;  // may lie inside *result
    *result = {};
    result->algo = checked;
    result->state = status;
    result->wavesCount = 1.0f;
    return status;
}

SOFTCUDA_EXPORT cublasStatus_t cublasLtMatmulAlgoGetIds(cublasLtHandle_t handle, cublasComputeType_t,
                                                        cudaDataType_t, cudaDataType_t, cudaDataType_t,
                                                        cudaDataType_t, cudaDataType_t, int requested,
                                                        int ids[], int* returned) {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (requested <= 0 || ids == nullptr || returned == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    ids[0] = only_algorithm;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
}

SOFTCUDA_EXPORT cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t handle, cublasComputeType_t,
                                                      cudaDataType_t, cudaDataType_t, cudaDataType_t,
                                                      cudaDataType_t, cudaDataType_t, int id,
                                                      cublasLtMatmulAlgo_t* algo) {
    if (!valid(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (algo == nullptr || id != only_algorithm) return CUBLAS_STATUS_INVALID_VALUE;
    *algo = algorithm();
    return CUBLAS_STATUS_SUCCESS;
}
