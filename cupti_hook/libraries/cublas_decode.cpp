#include "cupti_hook/libraries/cublas_decode.h"

#include <cstring>

#include "cupti_hook/libraries/cublas_api.h"
#include "kernels/contract.h"

namespace fumi::libraries {

namespace {

template <class T>
T load(const void* where) noexcept {
    T value;
    std::memcpy(&value, where, sizeof value);
    return value;
}

bool scalars_on_device(cublasHandle_t handle) noexcept {
    cublasPointerMode_t mode = CUBLAS_POINTER_MODE_HOST;
    cublas_api()->get_pointer_mode(handle, &mode);
    return mode == CUBLAS_POINTER_MODE_DEVICE;
}

char letter(cublasOperation_t op) noexcept {
    return op == CUBLAS_OP_N ? 'N' : op == CUBLAS_OP_T ? 'T' : 'C';
}

// Where element 0 of a BLAS vector of `count` elements lies: at the far end for a negative increment.
const void* first_element(const void* data, std::int64_t count, std::int64_t increment,
                          DataType type) noexcept {
    if (increment >= 0 || count <= 0 || data == nullptr) return data;
    return static_cast<const char*>(data) - (count - 1) * increment * element_bytes(type);
}

void point(MatrixView& view, const void* data, bool pointer_array) noexcept {
    if (pointer_array)
        view.batch_pointers = static_cast<const void* const*>(data);
    else
        view.data = data;
}

void set_operand(MatrixView& view, const GemmArguments& arguments, const void* data, cublasOperation_t op,
                 std::int64_t ld, std::int64_t stride, DataType type) noexcept {
    point(view, data, arguments.pointer_arrays);
    view.row_stride = op == CUBLAS_OP_N ? 1 : ld;
    view.col_stride = op == CUBLAS_OP_N ? ld : 1;
    view.batch_stride = stride;
    view.type = type;
    view.conjugate = op == CUBLAS_OP_C && is_complex(type);
}

}  // namespace

cublasComputeType_t default_compute_type(DataType type) noexcept {
    switch (type) {
        case DataType::f64:
        case DataType::c64:
            return CUBLAS_COMPUTE_64F;
        case DataType::f16:
            return CUBLAS_COMPUTE_16F;
        default:
            return CUBLAS_COMPUTE_32F;
    }
}

DataType scalar_type(std::int32_t compute_type, DataType matrix) noexcept {
    switch (compute_type) {
        case CUBLAS_COMPUTE_16F:
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return DataType::f16;
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return is_complex(matrix) ? DataType::c64 : DataType::f64;
        case CUBLAS_COMPUTE_32I:
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return DataType::i32;
        default:
            return is_complex(matrix) ? DataType::c32 : DataType::f32;
    }
}

ScalarValue read_scalar(const void* where, DataType type, bool on_device) noexcept {
    ScalarValue scalar;
    scalar.type = type;
    if (where == nullptr) return scalar;
    if (on_device) {
        scalar.device = where;
        return scalar;
    }
    switch (type) {
        case DataType::f64:
            scalar.re = load<double>(where);
            break;
        case DataType::c64:
            scalar.re = load<cuDoubleComplex>(where).x;
            scalar.im = load<cuDoubleComplex>(where).y;
            break;
        case DataType::c32:
            scalar.re = load<cuComplex>(where).x;
            scalar.im = load<cuComplex>(where).y;
            break;
        case DataType::f16:
            scalar.re = __half2float(load<__half>(where));
            break;
        case DataType::bf16:
            scalar.re = __bfloat162float(load<__nv_bfloat16>(where));
            break;
        case DataType::i32:
            scalar.re = load<std::int32_t>(where);
            break;
        default:
            scalar.re = load<float>(where);
            break;
    }
    return scalar;
}

std::int32_t effective_compute_type(const Call& call) noexcept {
    const bool single = call.compute_type == CUBLAS_COMPUTE_32F &&
                        (call.problem.a.type == DataType::f32 || call.problem.a.type == DataType::c32);
    // The low bits name a mode, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION is a flag beside it.
    const int mode = call.math_mode & 0xf;
    if (mode == CUBLAS_PEDANTIC_MATH) {
        switch (call.compute_type) {
            case CUBLAS_COMPUTE_16F:
                return CUBLAS_COMPUTE_16F_PEDANTIC;
            case CUBLAS_COMPUTE_32F:
                return CUBLAS_COMPUTE_32F_PEDANTIC;
            case CUBLAS_COMPUTE_64F:
                return CUBLAS_COMPUTE_64F_PEDANTIC;
            default:
                return call.compute_type;
        }
    }
    if (single && mode == CUBLAS_TF32_TENSOR_OP_MATH) return CUBLAS_COMPUTE_32F_FAST_TF32;
    if (single && mode == CUBLAS_TENSOR_OP_MATH) return CUBLAS_COMPUTE_32F_FAST_16F;
    if (single && (mode & CUBLAS_FP32_EMULATED_BF16X9_MATH) != 0) return CUBLAS_COMPUTE_32F_EMULATED_16BFX9;
    if (call.compute_type == CUBLAS_COMPUTE_64F && (mode & CUBLAS_FP64_EMULATED_FIXEDPOINT_MATH) != 0)
        return CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT;
    return call.compute_type;
}

bool decode_handle(Call& call, cublasHandle_t handle) noexcept {
    call.library = Library::cublas;
    call.handle = handle;
    const CublasApi* api = cublas_api();
    cudaStream_t stream = nullptr;
    cublasMath_t mode = CUBLAS_DEFAULT_MATH;
    if (api == nullptr || api->get_stream(handle, &stream) != CUBLAS_STATUS_SUCCESS) {
        call.not_checkable = "the handle's stream cannot be asked for";
        return false;
    }
    if (api->get_math_mode(handle, &mode) != CUBLAS_STATUS_SUCCESS) mode = CUBLAS_DEFAULT_MATH;
    call.stream = stream;
    call.math_mode = static_cast<std::int32_t>(mode);
    return true;
}

void decode_gemm(Call& call, cublasHandle_t handle, const GemmArguments& g) noexcept {
    if (!decode_handle(call, handle)) return;
    const bool on_device = scalars_on_device(handle);
    GemmProblem& p = call.problem;
    p.m = g.m;
    p.n = g.n;
    p.k = g.k;
    p.batch = g.batch;
    set_operand(p.a, g, g.a, g.op_a, g.lda, g.stride_a, g.type_a);
    set_operand(p.b, g, g.b, g.op_b, g.ldb, g.stride_b, g.type_b);
    set_operand(p.d, g, g.c, CUBLAS_OP_N, g.ldc, g.stride_c, g.type_c);
    p.c = p.d;
    p.alpha = read_scalar(g.alpha, g.type_scalar, on_device);
    p.beta = read_scalar(g.beta, g.type_scalar, on_device);
    call.op_a = letter(g.op_a);
    call.op_b = letter(g.op_b);
    call.compute_type = g.compute_type;
    call.algorithm.id = g.algorithm;
    call.places = {.handle = 0, .a = 2, .b = 3, .c = 5, .d = 5};
    call.decoded = true;
}

void decode_gemv(Call& call, cublasHandle_t handle, const GemvArguments& g) noexcept {
    if (!decode_handle(call, handle)) return;
    const bool on_device = scalars_on_device(handle);
    const bool plain = g.op == CUBLAS_OP_N;
    GemmProblem& p = call.problem;
    p.m = plain ? g.m : g.n;
    p.k = plain ? g.n : g.m;
    p.n = 1;
    p.batch = g.batch;
    point(p.a, g.a, g.pointer_arrays);
    p.a.row_stride = plain ? 1 : g.lda;
    p.a.col_stride = plain ? g.lda : 1;
    p.a.batch_stride = g.stride_a;
    p.a.type = g.type_a;
    p.a.conjugate = g.op == CUBLAS_OP_C && is_complex(g.type_a);
    point(p.b, g.x, g.pointer_arrays);
    p.b.row_stride = g.incx;
    p.b.batch_stride = g.stride_x;
    p.b.type = g.type_a;
    point(p.d, g.y, g.pointer_arrays);
    p.d.row_stride = g.incy;
    p.d.batch_stride = g.stride_y;
    p.d.type = g.type_y;
    if (!g.pointer_arrays) {
        p.b.data = first_element(g.x, p.k, g.incx, g.type_a);
        p.d.data = first_element(g.y, p.m, g.incy, g.type_y);
    } else if (g.incx < 0 || g.incy < 0) {
        call.not_checkable = "negative increments behind arrays of pointers";
    }
    p.c = p.d;
    p.alpha = read_scalar(g.alpha, g.type_scalar, on_device);
    p.beta = read_scalar(g.beta, g.type_scalar, on_device);
    call.op_a = letter(g.op);
    call.compute_type = default_compute_type(g.type_scalar);
    call.places = {.handle = 0, .a = 2, .b = 3, .c = 5, .d = 5};
    call.decoded = true;
}

void decode_dot(Call& call, cublasHandle_t handle, const DotArguments& d) noexcept {
    if (!decode_handle(call, handle)) return;
    GemmProblem& p = call.problem;
    p.m = p.n = p.batch = 1;
    p.k = d.n;
    p.a.data = first_element(d.x, d.n, d.incx, d.type_x);
    p.a.row_stride = 1;
    p.a.col_stride = d.incx;
    p.a.type = d.type_x;
    p.a.conjugate = d.conjugate;
    p.b.data = first_element(d.y, d.n, d.incy, d.type_y);
    p.b.row_stride = d.incy;
    p.b.col_stride = 1;
    p.b.type = d.type_y;
    p.d.data = d.result;
    p.d.row_stride = p.d.col_stride = 1;
    p.d.type = d.type_result;
    p.beta.re = 0;
    call.op_a = d.conjugate ? 'C' : 'T';
    call.output_on_host = !scalars_on_device(handle);
    call.compute_type = d.compute_type;
    call.places = {.handle = 0, .a = 1, .b = 2, .d = 3};
    call.decoded = true;
}

}  // namespace fumi::libraries
