// cublasLtMatmul with every epilogue that has a reference, one that has none, row-major and tiled orders, and
// an output that is not the input C. Prints a hash of each output.
#include <cstring>

#include "tests/hook/programs/device.h"

namespace {

cublasLtHandle_t handle;

struct Matmul {
    int m = 64, n = 32, k = 48;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    cublasLtOrder_t order_d = CUBLASLT_ORDER_COL;
    float beta = 0;
    bool separate_c = false;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
};

cublasLtMatrixLayout_t layout(cudaDataType type, int rows, int cols, int ld,
                              cublasLtOrder_t order = CUBLASLT_ORDER_COL) {
    cublasLtMatrixLayout_t made;
    BLAS(cublasLtMatrixLayoutCreate(&made, type, rows, cols, ld));
    BLAS(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order));
    return made;
}

template <class T>
void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which, const T& value) {
    BLAS(cublasLtMatmulDescSetAttribute(desc, which, &value, sizeof value));
}

template <class T>
void run(const char* name, cudaDataType type, const Matmul& x) {
    const Buffer<T> a(x.k * x.m, 1), b(x.k * x.n, 2), c(x.m * x.n, 3), d(x.m * x.n, 4), bias(x.m, 5),
        aux(x.m * x.n, 6);
    cublasLtMatmulDesc_t desc;
    BLAS(cublasLtMatmulDescCreate(&desc, x.compute, CUDA_R_32F));
    const cublasOperation_t transpose = CUBLAS_OP_T;
    set(desc, CUBLASLT_MATMUL_DESC_TRANSA, transpose);
    set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, x.epilogue);
    if ((x.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.get());
    if ((x.epilogue & 128) != 0) {
        set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.get());
        set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD,
            static_cast<std::int64_t>(x.epilogue & 32 ? x.m : 128));
    }
    const auto la = layout(type, x.k, x.m, x.k), lb = layout(type, x.k, x.n, x.k);
    const auto ld = layout(type, x.m, x.n, x.order_d == CUBLASLT_ORDER_COL ? x.m : x.n, x.order_d);
    const float alpha = 1;
    const cublasStatus_t status =
        cublasLtMatmul(handle, desc, &alpha, a, la, b, lb, &x.beta, x.separate_c ? c : d, ld, d, ld, nullptr,
                       nullptr, 0, nullptr);
    std::printf("%s %d %016llx\n", name, static_cast<int>(status), static_cast<unsigned long long>(d.hash()));
    for (const auto made : {la, lb, ld}) BLAS(cublasLtMatrixLayoutDestroy(made));
    BLAS(cublasLtMatmulDescDestroy(desc));
}

void integers() {
    const Buffer<std::int8_t> a(64 * 64, 1), b(64 * 32, 2);
    const Buffer<float> d(64 * 32, 4);
    cublasLtMatmulDesc_t desc;
    BLAS(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32I, CUDA_R_32I));
    const cublasOperation_t transpose = CUBLAS_OP_T;
    set(desc, CUBLASLT_MATMUL_DESC_TRANSA, transpose);
    const auto la = layout(CUDA_R_8I, 64, 64, 64), lb = layout(CUDA_R_8I, 64, 32, 64),
               ld = layout(CUDA_R_32I, 64, 32, 64);
    const std::int32_t alpha = 1, beta = 0;
    BLAS(cublasLtMatmul(handle, desc, &alpha, a, la, b, lb, &beta, d, ld, d, ld, nullptr, nullptr, 0,
                        nullptr));
    std::printf("integers %016llx\n", static_cast<unsigned long long>(d.hash()));
    for (const auto made : {la, lb, ld}) BLAS(cublasLtMatrixLayoutDestroy(made));
    BLAS(cublasLtMatmulDescDestroy(desc));
}

}  // namespace

int main() {
    BLAS(cublasLtCreate(&handle));
    run<float>("DEFAULT", CUDA_R_32F, {});
    run<float>("BIAS", CUDA_R_32F, {.epilogue = CUBLASLT_EPILOGUE_BIAS});
    run<float>("RELU", CUDA_R_32F, {.epilogue = CUBLASLT_EPILOGUE_RELU});
    run<float>("RELU_BIAS", CUDA_R_32F, {.epilogue = CUBLASLT_EPILOGUE_RELU_BIAS});
    run<__half>("GELU", CUDA_R_16F, {.epilogue = CUBLASLT_EPILOGUE_GELU});
    run<__half>("GELU_BIAS", CUDA_R_16F, {.epilogue = CUBLASLT_EPILOGUE_GELU_BIAS});
    run<__nv_bfloat16>("GELU_AUX_BIAS", CUDA_R_16BF, {.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS});
    run<__half>("RELU_AUX_BIAS", CUDA_R_16F, {.epilogue = CUBLASLT_EPILOGUE_RELU_AUX_BIAS});
    run<float>("beta in place", CUDA_R_32F, {.beta = 0.5f});
    run<float>("beta", CUDA_R_32F, {.beta = 0.5f, .separate_c = true});
    run<__half>("row-major output", CUDA_R_16F, {.order_d = CUBLASLT_ORDER_ROW});
    run<float>("fast tf32", CUDA_R_32F, {.compute = CUBLAS_COMPUTE_32F_FAST_TF32});
    integers();
    // What has no reference; softcuda may refuse it too, and the call must be recorded in either case.
    run<__half>("DGELU", CUDA_R_16F, {.epilogue = CUBLASLT_EPILOGUE_DGELU});
    BLAS(cublasLtDestroy(handle));
}
