// One call of every function family that the hook decodes, in a fixed order. Prints a hash of each output, so
// that runs with and without the hook can be compared bit for bit.
#include "tests/hook/programs/device.h"

namespace {

cublasHandle_t handle;

template <class T>
void show(const char* name, const Buffer<T>& output) {
    std::printf("%s %016llx\n", name, static_cast<unsigned long long>(output.hash()));
}

template <class T, class Function>
void gemm(const char* name, Function function, T alpha, T beta) {
    const Buffer<T> a(64 * 48, 1), b(48 * 32, 2), c(64 * 32, 3);
    BLAS(function(handle, CUBLAS_OP_N, CUBLAS_OP_T, 64, 32, 48, &alpha, a, 64, b, 32, &beta, c, 64));
    show(name, c);
}

template <class T, class Function>
void strided(const char* name, Function function, T alpha, T beta) {
    const Buffer<T> a(3 * 16 * 24, 1), b(3 * 24 * 8, 2), c(3 * 16 * 8, 3);
    BLAS(function(handle, CUBLAS_OP_T, CUBLAS_OP_N, 16, 8, 24, &alpha, a, 24, 16 * 24, b, 24, 24 * 8, &beta,
                  c, 16, 16 * 8, 3));
    show(name, c);
}

template <class T>
class Pointers {
  public:
    Pointers(const Buffer<T>& buffer, std::size_t stride, int count) {
        std::vector<T*> host;
        for (int i = 0; i < count; ++i) host.push_back(buffer.get() + i * stride);
        CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T*)));
        CUDA(cudaMemcpy(data_, host.data(), count * sizeof(T*), cudaMemcpyHostToDevice));
    }
    ~Pointers() { cudaFree(data_); }
    T** get() const { return data_; }

  private:
    T** data_ = nullptr;
};

template <class T, class Function>
void batched(const char* name, Function function, T alpha, T beta) {
    const Buffer<T> a(2 * 16 * 24, 1), b(2 * 24 * 8, 2), c(2 * 16 * 8, 3);
    const Pointers<T> pa(a, 16 * 24, 2), pb(b, 24 * 8, 2), pc(c, 16 * 8, 2);
    BLAS(function(handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 8, 24, &alpha, pa.get(), 16, pb.get(), 24, &beta,
                  pc.get(), 16, 2));
    show(name, c);
}

template <class T, class Function>
void gemv(const char* name, Function function, T alpha, T beta) {
    const Buffer<T> a(40 * 24, 1), x(24, 2), y(2 * 40, 3);
    BLAS(function(handle, CUBLAS_OP_N, 40, 24, &alpha, a, 40, x, 1, &beta, y, 2));
    show(name, y);
}

template <class T, class Function>
void dot(const char* name, Function function) {
    const Buffer<T> x(100, 1), y(100, 2), result(1, 3);
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE));
    BLAS(function(handle, 100, x, 1, y, 1, result));
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
    show(name, result);
}

void gemm_ex() {
    const float alpha = 1.5f, beta = 0.5f;
    const Buffer<__half> a(64 * 48, 1), b(48 * 32, 2), c(64 * 32, 3);
    BLAS(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, 64, 32, 48, &alpha, a, CUDA_R_16F, 48, b, CUDA_R_16F,
                      48, &beta, c, CUDA_R_16F, 64, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    show("cublasGemmEx", c);
    const Buffer<__nv_bfloat16> x(3 * 16 * 24, 1), y(3 * 24 * 8, 2), z(3 * 16 * 8, 3);
    const float zero = 0;
    BLAS(cublasGemmStridedBatchedEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 8, 24, &alpha, x, CUDA_R_16BF, 16,
                                    16 * 24, y, CUDA_R_16BF, 24, 24 * 8, &zero, z, CUDA_R_16BF, 16, 16 * 8, 3,
                                    CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    show("cublasGemmStridedBatchedEx", z);
    const Pointers<__nv_bfloat16> px(x, 16 * 24, 3), py(y, 24 * 8, 3), pz(z, 16 * 8, 3);
    BLAS(cublasGemmBatchedEx(
        handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 8, 24, &alpha, reinterpret_cast<void**>(px.get()), CUDA_R_16BF,
        16, reinterpret_cast<void**>(py.get()), CUDA_R_16BF, 24, &zero, reinterpret_cast<void**>(pz.get()),
        CUDA_R_16BF, 16, 3, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    show("cublasGemmBatchedEx", z);
    const Buffer<float> out(64 * 32, 4);
    BLAS(cublasSgemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, 64, 32, 48, &alpha, a, CUDA_R_16F, 48, b, CUDA_R_16F,
                       48, &beta, out, CUDA_R_32F, 64));
    show("cublasSgemmEx", out);
}

void dot_ex() {
    const Buffer<__half> x(100, 1), y(100, 2), result(1, 3);
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE));
    BLAS(cublasDotEx(handle, 100, x, CUDA_R_16F, 1, y, CUDA_R_16F, 1, result, CUDA_R_16F, CUDA_R_32F));
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
    show("cublasDotEx", result);
}

// A result in host memory: the call returns when it is there.
void dot_to_host() {
    const Buffer<float> x(100, 1), y(100, 2);
    float result = 0;
    BLAS(cublasSdot(handle, 100, x, -1, y, 1, &result));
    std::printf("host dot %a\n", static_cast<double>(result));
}

void device_scalars() {
    const Buffer<float> a(64 * 48, 1), b(48 * 32, 2), c(64 * 32, 3), scalars(2, 5);
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE));
    BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 64, 32, 48, scalars, a, 64, b, 48, scalars.get() + 1,
                     c, 64));
    BLAS(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
    show("device scalars", c);
}

void trsm() {
    const Buffer<float> a(16 * 16, 1), b(16 * 8, 2);
    const float alpha = 1;
    BLAS(cublasStrsm(handle, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_UNIT, 16, 8,
                     &alpha, a, 16, b, 16));
    CUDA(cudaDeviceSynchronize());
}

}  // namespace

int main() {
    BLAS(cublasCreate(&handle));
    // CUDA starts here at the latest: an unoptimised build reads the address of the first function before
    // gemm() allocates.
    CUDA(cudaFree(nullptr));
    const cuComplex one{1, 0.5f}, half_c{0.5f, 0};
    const cuDoubleComplex one_z{1, 0.5}, half_z{0.5, 0};
    gemm<float>("cublasSgemm", cublasSgemm, 1.5f, 0.5f);
    gemm<double>("cublasDgemm", cublasDgemm, 1.5, 0.5);
    gemm<cuComplex>("cublasCgemm", cublasCgemm, one, half_c);
    gemm<cuDoubleComplex>("cublasZgemm", cublasZgemm, one_z, half_z);
    gemm<float>("cublasSgemm_64", cublasSgemm_v2_64, 1.0f, 0.0f);
    strided<float>("cublasSgemmStridedBatched", cublasSgemmStridedBatched, 1.0f, 0.5f);
    strided<double>("cublasDgemmStridedBatched", cublasDgemmStridedBatched, 1.0, 0.0);
    strided<cuComplex>("cublasCgemmStridedBatched", cublasCgemmStridedBatched, one, half_c);
    strided<cuDoubleComplex>("cublasZgemmStridedBatched", cublasZgemmStridedBatched, one_z, half_z);
    batched<float>("cublasSgemmBatched", cublasSgemmBatched, 1.0f, 0.0f);
    batched<double>("cublasDgemmBatched", cublasDgemmBatched, 1.0, 0.5);
    gemm_ex();
    gemv<float>("cublasSgemv", cublasSgemv, 1.0f, 0.5f);
    gemv<double>("cublasDgemv", cublasDgemv, 1.0, 0.0);
    gemv<cuComplex>("cublasCgemv", cublasCgemv, one, half_c);
    gemv<cuDoubleComplex>("cublasZgemv", cublasZgemv, one_z, half_z);
    dot<float>("cublasSdot", cublasSdot);
    dot<double>("cublasDdot", cublasDdot);
    dot<cuComplex>("cublasCdotu", cublasCdotu);
    dot<cuComplex>("cublasCdotc", cublasCdotc);
    dot<cuDoubleComplex>("cublasZdotc", cublasZdotc);
    dot_ex();
    dot_to_host();
    device_scalars();
    trsm();
    BLAS(cublasDestroy(handle));
}
