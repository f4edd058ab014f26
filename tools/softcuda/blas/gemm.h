// One matrix product in the most general form that the entry points can ask for, and its execution by a
// worker thread:
//
//     D[b] = epilogue( alpha * scale_a * scale_b * op(A[b]) op(B[b]) + beta * scale_c * C[b] )      b = 0 ..
//     batch - 1
//
// op(A) is m x k, op(B) k x n, C and D m x n. All pointers are the program's own (device) addresses and are
// read only when the work runs; a Gemm may run many times (graph replays).
#pragma once
#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstdint>
#include <memory>

namespace softcuda::faults {
struct Plan;
}

namespace softcuda::blas {

struct Matrix {
    const void* data = nullptr;
    bool pointer_array = false;  // data is a device array of one pointer per batch entry
    cudaDataType type = CUDA_R_32F;
    std::int64_t row_stride = 1, col_stride = 1, batch_stride = 0;  // in elements, of the matrix after op()
    bool conjugate = false;
};

// alpha, beta: the host's value, copied at call time, or where to read it on the device. A stride of 1 makes
// it a vector with one value for each row of D.
struct Scalar {
    cudaDataType type = CUDA_R_32F;
    unsigned char value[16] = {};
    const void* device = nullptr;
    std::int64_t row_stride = 0, batch_stride = 0;
};
Scalar host_scalar(const void* value, cudaDataType type) noexcept;
Scalar device_scalar(const void* pointer, cudaDataType type) noexcept;

// How products are formed and summed. Under ieee numerics everything but f64 and s32 runs as f32.
enum class Arithmetic : std::uint8_t {
    f32,              // fp32 multiply-add
    f64,              // fp64 multiply-add
    s32,              // int8 products, int32 sums, wrapping
    tensor_low,       // bf16 or fp16 inputs on tensor cores, fp32 accumulator
    tensor_tf32,      // fp32 inputs truncated to 10 mantissa bits
    tensor_from_f16,  // fp32 inputs rounded to fp16
    tensor_from_bf16,
    tensor_f16,  // fp16 inputs and accumulator
    tensor_fp8,  // promoted to fp32 every 128 products
    tensor_fp8_fast,
};

enum class Activation : std::uint8_t { none, relu, gelu, drelu, dgelu };
enum class BiasGradient : std::uint8_t { none, from_a, from_b, from_d };

struct Epilogue {
    Activation activation = Activation::none;
    const void* bias = nullptr;  // one value for each row of D
    cudaDataType bias_type = CUDA_R_32F;
    std::int64_t bias_batch_stride = 0;
    BiasGradient bias_gradient = BiasGradient::none;
    void* bias_gradient_out = nullptr;  // of bias_type
    // What the activation's backward pass needs: a bit mask (relu) or the value before the activation (gelu),
    // column-major.
    void* aux = nullptr;
    cudaDataType aux_type = CUDA_R_32F;
    std::int64_t aux_ld = 0, aux_batch_stride = 0;
    const float* aux_scale = nullptr;
    float* aux_amax = nullptr;
};

struct Scale {
    const float* data = nullptr;
    bool vector = false;  // one value for each row of A (each column of B), else one for the matrix
};

struct Gemm {
    const char* function = "";  // the library's entry point
    const char* kind = "gemm";  // what the kernel is called: gemm, gemv, dot
    std::int64_t m = 0, n = 0, k = 0, batch = 1;
    Matrix a, b, c, d;
    Scalar alpha, beta;
    Arithmetic arithmetic = Arithmetic::f32;
    Scale scale_a, scale_b;
    const float *scale_c = nullptr, *scale_d = nullptr;
    float* amax_d = nullptr;
    Epilogue epilogue;
    std::shared_ptr<const faults::Plan> fault;
};

// Puts the product on the stream under the name of the kernel that it stands for. Plants the fault that is
// due.
cudaError_t launch(cudaStream_t stream, Gemm gemm) noexcept;

// The work itself, on the calling thread.
void run(const Gemm& gemm);

}  // namespace softcuda::blas
