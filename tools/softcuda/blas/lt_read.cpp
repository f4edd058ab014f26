#include <dlfcn.h>

#include "tools/softcuda/blas/lt.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {
namespace {

using DescGet = cublasStatus_t (*)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, void*, std::size_t,
                                   std::size_t*);
using LayoutGet = cublasStatus_t (*)(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, void*,
                                     std::size_t, std::size_t*);

template <class Function>
Function real(const char* name) noexcept {
    return reinterpret_cast<Function>(real_cublaslt(name));
}

// Reads attributes one after another; remembers the first failure.
class DescReader {
  public:
    explicit DescReader(cublasLtMatmulDesc_t operation) noexcept : operation_(operation) {}
    template <class T>
    void operator()(cublasLtMatmulDescAttributes_t attribute, T& value) noexcept {
        static const auto get = real<DescGet>("cublasLtMatmulDescGetAttribute");
        if (get == nullptr)
            status = CUBLAS_STATUS_NOT_INITIALIZED;
        else if (const auto result = get(operation_, attribute, &value, sizeof value, nullptr);
                 result != CUBLAS_STATUS_SUCCESS)
            status = result;
    }
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;

  private:
    cublasLtMatmulDesc_t operation_;
};

}  // namespace

void* real_cublaslt(const char* name) noexcept {
    // The library that the program links stays loaded; a program that has none has no descriptors either.
    static void* const library = [] {
        void* loaded = dlopen("libcublasLt.so.13", RTLD_LAZY | RTLD_NOLOAD);
        if (loaded == nullptr) loaded = dlopen("libcublasLt.so.13", RTLD_LAZY);
        if (loaded == nullptr) warn_once("libcublasLt", "libcublasLt.so.13 cannot be loaded: %s", dlerror());
        return loaded;
    }();
    return library == nullptr ? nullptr : dlsym(library, name);
}

cublasStatus_t read(cublasLtMatrixLayout_t layout, LtLayout& result) noexcept {
    static const auto get = real<LayoutGet>("cublasLtMatrixLayoutGetAttribute");
    if (get == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    const auto attribute = [&](cublasLtMatrixLayoutAttribute_t name, auto& value) {
        if (const auto got = get(layout, name, &value, sizeof value, nullptr); got != CUBLAS_STATUS_SUCCESS)
            status = got;
    };
    std::uint32_t type = 0;
    attribute(CUBLASLT_MATRIX_LAYOUT_TYPE, type);
    attribute(CUBLASLT_MATRIX_LAYOUT_ORDER, result.order);
    attribute(CUBLASLT_MATRIX_LAYOUT_ROWS, result.rows);
    attribute(CUBLASLT_MATRIX_LAYOUT_COLS, result.cols);
    attribute(CUBLASLT_MATRIX_LAYOUT_LD, result.ld);
    attribute(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, result.batch);
    attribute(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, result.stride);
    attribute(CUBLASLT_MATRIX_LAYOUT_BATCH_MODE, result.batch_mode);
    result.type = static_cast<cudaDataType>(type);
    return status;
}

cublasStatus_t read(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, LtMatmul& matmul) noexcept {
    DescReader attribute(operation);
    attribute(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, matmul.compute);
    attribute(CUBLASLT_MATMUL_DESC_SCALE_TYPE, matmul.scale_type);
    attribute(CUBLASLT_MATMUL_DESC_POINTER_MODE, matmul.pointer_mode);
    attribute(CUBLASLT_MATMUL_DESC_TRANSA, matmul.transa);
    attribute(CUBLASLT_MATMUL_DESC_TRANSB, matmul.transb);
    attribute(CUBLASLT_MATMUL_DESC_TRANSC, matmul.transc);
    attribute(CUBLASLT_MATMUL_DESC_FILL_MODE, matmul.fill_mode);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE, matmul.epilogue);
    attribute(CUBLASLT_MATMUL_DESC_BIAS_POINTER, matmul.bias);
    attribute(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, matmul.bias_stride);
    attribute(CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE, matmul.alpha_stride);
    attribute(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, matmul.bias_type);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, matmul.aux);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, matmul.aux_ld);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, matmul.aux_stride);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, matmul.aux_type);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_POINTER, matmul.aux_scale);
    attribute(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER, matmul.aux_amax);
    attribute(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, matmul.scale_a);
    attribute(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, matmul.scale_b);
    attribute(CUBLASLT_MATMUL_DESC_C_SCALE_POINTER, matmul.scale_c);
    attribute(CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, matmul.scale_d);
    attribute(CUBLASLT_MATMUL_DESC_AMAX_D_POINTER, matmul.amax_d);
    attribute(CUBLASLT_MATMUL_DESC_FAST_ACCUM, matmul.fast_accumulation);
    attribute(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, matmul.scale_mode_a);
    attribute(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, matmul.scale_mode_b);
    attribute(CUBLASLT_MATMUL_DESC_C_SCALE_MODE, matmul.scale_mode_c);
    attribute(CUBLASLT_MATMUL_DESC_D_SCALE_MODE, matmul.scale_mode_d);
    cublasStatus_t status = attribute.status;
    const auto layout = [&](cublasLtMatrixLayout_t which, LtLayout& result) {
        if (status == CUBLAS_STATUS_SUCCESS) status = read(which, result);
    };
    layout(a, matmul.a);
    layout(b, matmul.b);
    layout(c, matmul.c);
    layout(d, matmul.d);
    return status;
}

}  // namespace softcuda::blas
