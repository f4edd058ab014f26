// Built as a library under the name of one that the hook leaves alone, so that nothing which calls cuBLAS can
// be hooked.
#include "tests/hook/programs/device.h"

extern "C" __attribute__((visibility("default"))) void hidden_call() {
    cublasHandle_t handle;
    BLAS(cublasCreate(&handle));
    {
        const Buffer<float> a(16 * 16), b(16 * 16), c(16 * 16);
        const float alpha = 1, beta = 0;
        BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 16, 16, &alpha, a, 16, b, 16, &beta, c, 16));
        CUDA(cudaDeviceSynchronize());
    }
    BLAS(cublasDestroy(handle));
}
