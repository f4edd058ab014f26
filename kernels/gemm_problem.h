// What one GEMM-like library call computes, as plain data that a kernel can take by value.
//
//     D = scale_d * act( alpha * scale_a * scale_b * op(A) op(B) + beta * scale_c * C + bias )
//
// Everything that the libraries express by transposes, leading dimensions and layout orders is expressed here
// by two strides, so that op(A)(i, k) lies at data + i * row_stride + k * col_stride. gemv is n = 1, dot is m
// = n = 1.
#pragma once
#include <cstdint>

namespace fumi {

// Numeric values are those of cudaDataType_t.
enum class DataType : std::int32_t {
    f32 = 0,
    f64 = 1,
    f16 = 2,
    i8 = 3,
    c32 = 4,
    c64 = 5,
    c16 = 6,
    u8 = 8,
    i32 = 10,
    bf16 = 14,
    e4m3 = 28,
    e5m2 = 29,
    none = -1,
};

struct MatrixView {
    const void* data = nullptr;                   // device pointer to the first matrix
    const void* const* batch_pointers = nullptr;  // device array of device pointers; replaces data where set
    std::int64_t row_stride = 0;                  // in elements
    std::int64_t col_stride = 0;                  // in elements
    std::int64_t batch_stride = 0;                // in elements
    DataType type = DataType::none;
    bool conjugate = false;
};

// alpha, beta or a scale factor: a value where the host knows it, else read on the device when the check
// runs.
struct ScalarValue {
    double re = 1.0;
    double im = 0.0;
    const void* device = nullptr;   // device pointer; the value is read from there where set
    DataType type = DataType::f32;  // type behind `device`
};

enum class ScaleKind : std::int32_t {
    none,    // no scale: factor 1
    scalar,  // one fp32 on the device
    outer,   // one fp32 per row of op(A) or per column of op(B) on the device
};

struct Scale {
    ScaleKind kind = ScaleKind::none;
    const float* device = nullptr;
};

enum class Activation : std::int32_t { none, relu, gelu_tanh };

struct GemmProblem {
    std::int64_t m = 0, n = 0, k = 0, batch = 1;
    MatrixView a;  // op(A): m x k
    MatrixView b;  // op(B): k x n
    MatrixView c;  // m x n: C as it was before the call (FuMi's own copy where the call overwrites it);
                   // unused where beta is 0
    MatrixView d;  // m x n: what the call wrote
    ScalarValue alpha, beta;
    Scale scale_a, scale_b, scale_c, scale_d;
    const void* bias = nullptr;  // device: m values, one per row of D (as cuBLASLt has it)
    DataType bias_type = DataType::none;
    std::int64_t bias_batch_stride = 0;
    Activation activation = Activation::none;
    MatrixView aux;  // pre-activation written by *_AUX epilogues; type none where absent
};

}  // namespace fumi
