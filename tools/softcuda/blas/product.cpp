#include "tools/softcuda/blas/product.h"

#include <cblas.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/tensorcore.h"

namespace softcuda::blas {
namespace {

// A dense operand and how it lies: element (i, j) is at i * row_step + j * col_step, one of them 1.
template <class T>
struct Operand {
    Buffer<T> data;
    std::int64_t rows, cols, row_step, col_step;
    T& at(std::int64_t i, std::int64_t j) noexcept { return data[i * row_step + j * col_step]; }
};

template <class T>
Operand<T> packed(const Matrix& matrix, std::int64_t index, std::int64_t rows, std::int64_t cols,
                  bool row_major) {
    Operand<T> operand{Buffer<T>(rows * cols), rows, cols, row_major ? cols : 1, row_major ? 1 : rows};
    pack(matrix, index, rows, cols, operand.data.data(), operand.row_step, operand.col_step);
    return operand;
}

float truncate_to_tf32(float x) noexcept {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffffe000u);
}
float round_to_tf32(float x) noexcept {
    if (!std::isfinite(x)) return x;
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u);
}

template <class T, class Round>
void round_all(Buffer<T>& values, Round round) noexcept {
    for (T& x : values) {
        if constexpr (is_complex_v<T>) {
            using Real = typename T::value_type;
            x = {static_cast<Real>(round(static_cast<float>(x.real()))),
                 static_cast<Real>(round(static_cast<float>(x.imag())))};
        } else {
            x = static_cast<T>(round(static_cast<float>(x)));
        }
    }
}

float bfloat16_rounded(float x) noexcept {
    return to_float(to_bfloat16(x));
}
float half_rounded(float x) noexcept {
    return to_float(to_half(x));
}

template <class T>
void plant_in_inputs(const SumFault& fault, Operand<T>& a, Operand<T>& b) noexcept {
    if (fault.plan == nullptr) return;
    for (Buffer<T>* values : {&a.data, &b.data}) {
        if (fault.plan->kind == faults::Kind::round_inputs_bf16) round_all(*values, bfloat16_rounded);
        if (fault.plan->kind == faults::Kind::round_inputs_tf32) round_all(*values, round_to_tf32);
    }
    if (fault.lost_k >= 0)
        for (std::int64_t i = 0; i < a.rows; ++i) a.at(i, fault.lost_k) = T{};
}

void multiply(const Operand<float>& a, const Operand<float>& b, int lda, int ldb, CBLAS_TRANSPOSE ta,
              CBLAS_TRANSPOSE tb, float* c) {
    cblas_sgemm(CblasColMajor, ta, tb, static_cast<int>(a.rows), static_cast<int>(b.cols),
                static_cast<int>(a.cols), 1.0f, a.data.data(), lda, b.data.data(), ldb, 0.0f, c,
                static_cast<int>(a.rows));
}
void multiply(const Operand<double>& a, const Operand<double>& b, int lda, int ldb, CBLAS_TRANSPOSE ta,
              CBLAS_TRANSPOSE tb, double* c) {
    cblas_dgemm(CblasColMajor, ta, tb, static_cast<int>(a.rows), static_cast<int>(b.cols),
                static_cast<int>(a.cols), 1.0, a.data.data(), lda, b.data.data(), ldb, 0.0, c,
                static_cast<int>(a.rows));
}
void multiply(const Operand<std::complex<float>>& a, const Operand<std::complex<float>>& b, int lda, int ldb,
              CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, std::complex<float>* c) {
    const std::complex<float> one{1}, zero{};
    cblas_cgemm(CblasColMajor, ta, tb, static_cast<int>(a.rows), static_cast<int>(b.cols),
                static_cast<int>(a.cols), &one, a.data.data(), lda, b.data.data(), ldb, &zero, c,
                static_cast<int>(a.rows));
}
void multiply(const Operand<std::complex<double>>& a, const Operand<std::complex<double>>& b, int lda,
              int ldb, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, std::complex<double>* c) {
    const std::complex<double> one{1}, zero{};
    cblas_zgemm(CblasColMajor, ta, tb, static_cast<int>(a.rows), static_cast<int>(b.cols),
                static_cast<int>(a.cols), &one, a.data.data(), lda, b.data.data(), ldb, &zero, c,
                static_cast<int>(a.rows));
}

// c = a b in the IEEE arithmetic of T.
template <class T>
void multiply_ieee(const Operand<T>& a, const Operand<T>& b, T* c) {
    const bool ta = a.col_step == 1 && a.row_step != 1, tb = b.col_step == 1 && b.row_step != 1;
    const auto leading = [](const Operand<T>& x, bool transposed) {
        return static_cast<int>(std::max<std::int64_t>(1, transposed ? x.row_step : x.rows));
    };
    multiply(a, b, leading(a, ta), leading(b, tb), ta ? CblasTrans : CblasNoTrans,
             tb ? CblasTrans : CblasNoTrans, c);
}

bool on_tensor_cores(const Gemm& gemm) noexcept {
    return settings().numerics == Numerics::tensorcore && gemm.arithmetic >= Arithmetic::tensor_low;
}

void convert_for_tensor_cores(Arithmetic arithmetic, Buffer<float>& values) noexcept {
    if (arithmetic == Arithmetic::tensor_tf32) round_all(values, truncate_to_tf32);
    if (arithmetic == Arithmetic::tensor_from_f16) round_all(values, half_rounded);
    if (arithmetic == Arithmetic::tensor_from_bf16) round_all(values, bfloat16_rounded);
}

// a row-major, b row-major.
void multiply_tensor(const Gemm& gemm, Operand<float>& a, Operand<float>& b, float* c) {
    convert_for_tensor_cores(gemm.arithmetic, a.data);
    convert_for_tensor_cores(gemm.arithmetic, b.data);
    const auto model = tensorcore::model(tensorcore::chip(), gemm.arithmetic, gemm.a.type, gemm.b.type);
    tensorcore::multiply(model, a.rows, b.cols, a.cols, a.data.data(), b.data.data(), c);
}

// Complex products on tensor cores are real ones of twice the depth: [re -im] [re; im] and [re im] [im; re].
void multiply_tensor(const Gemm& gemm, Operand<std::complex<float>>& a, Operand<std::complex<float>>& b,
                     std::complex<float>* c) {
    const std::int64_t m = a.rows, n = b.cols, k = a.cols;
    Buffer<float> part(m * n);
    for (const bool imaginary : {false, true}) {
        Operand<float> left{Buffer<float>(m * k * 2), m, 2 * k, 2 * k, 1};
        Operand<float> right{Buffer<float>(2 * k * n), 2 * k, n, n, 1};
        for (std::int64_t i = 0; i < m; ++i)
            for (std::int64_t l = 0; l < k; ++l) {
                left.at(i, 2 * l) = a.at(i, l).real();
                left.at(i, 2 * l + 1) = imaginary ? a.at(i, l).imag() : -a.at(i, l).imag();
            }
        for (std::int64_t l = 0; l < k; ++l)
            for (std::int64_t j = 0; j < n; ++j) {
                const auto x = b.at(l, j);
                right.at(2 * l, j) = imaginary ? x.imag() : x.real();
                right.at(2 * l + 1, j) = imaginary ? x.real() : x.imag();
            }
        multiply_tensor(gemm, left, right, part.data());
        for (std::int64_t i = 0; i < m * n; ++i) imaginary ? c[i].imag(part[i]) : c[i].real(part[i]);
    }
}
template <class T>
void multiply_tensor(const Gemm&, Operand<T>&, Operand<T>&, T*) noexcept {}  // fp64: none here

template <class T, class Round>
T rounded(T x, Round round) noexcept {
    if constexpr (is_complex_v<T>) {
        using Real = typename T::value_type;
        return {static_cast<Real>(round(static_cast<float>(x.real()))),
                static_cast<Real>(round(static_cast<float>(x.imag())))};
    } else {
        return static_cast<T>(round(static_cast<float>(x)));
    }
}

// The sum in pieces, in the order of `order`, each piece's result added in a format that is too small.
template <class T, class Round>
void multiply_in_pieces(Operand<T>& a, Operand<T>& b, const std::vector<std::int64_t>& order,
                        std::int64_t piece, Round round, T* c) {
    const std::int64_t m = a.rows, n = b.cols, k = a.cols;
    Buffer<T> partial(m * n);
    std::fill(c, c + m * n, T{});
    for (std::int64_t first = 0; first < k; first += piece) {
        const std::int64_t depth = std::min(piece, k - first);
        Operand<T> left{Buffer<T>(m * depth), m, depth, 1, m}, right{Buffer<T>(depth * n), depth, n, n, 1};
        for (std::int64_t l = 0; l < depth; ++l) {
            for (std::int64_t i = 0; i < m; ++i) left.at(i, l) = a.at(i, order[first + l]);
            for (std::int64_t j = 0; j < n; ++j) right.at(l, j) = b.at(order[first + l], j);
        }
        multiply_ieee(left, right, partial.data());
        for (std::int64_t i = 0; i < m * n; ++i) c[i] = rounded(c[i] + rounded(partial[i], round), round);
    }
}

template <class T>
bool plant_in_sum(const SumFault& fault, Operand<T>& a, Operand<T>& b, T* c) {
    if (fault.plan == nullptr) return false;
    std::vector<std::int64_t> order(a.cols);
    std::iota(order.begin(), order.end(), 0);
    if (fault.plan->kind == faults::Kind::fp16_accumulate) {
        multiply_in_pieces(a, b, order, 16, half_rounded, c);
        return true;
    }
    if (fault.plan->kind != faults::Kind::nondeterministic) return false;
    faults::Random random(*fault.plan, fault.run);
    for (std::int64_t l = a.cols - 1; l > 0; --l) std::swap(order[l], order[random.below(l + 1)]);
    const std::int64_t parts =
        std::clamp<std::int64_t>(fault.plan->parts.value_or(8), 1, std::max<std::int64_t>(a.cols, 1));
    multiply_in_pieces(a, b, order, (a.cols + parts - 1) / parts, bfloat16_rounded, c);
    return true;
}

// int8 products summed in int32, which wraps.
void multiply_integers(const Gemm& gemm, std::int64_t index, const SumFault& fault, double* acc) {
    Buffer<std::int32_t> a(gemm.m * gemm.k), b(gemm.k * gemm.n), row(gemm.n);
    pack(gemm.a, index, gemm.m, gemm.k, a.data(), gemm.k, 1);
    pack(gemm.b, index, gemm.k, gemm.n, b.data(), gemm.n, 1);
    for (std::int64_t i = 0; i < gemm.m; ++i) {
        std::fill(row.begin(), row.end(), 0);
        for (std::int64_t l = 0; l < gemm.k; ++l) {
            if (l == fault.lost_k) continue;
            const auto x = static_cast<std::uint32_t>(a[i * gemm.k + l]);
            for (std::int64_t j = 0; j < gemm.n; ++j)
                row[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(row[j]) +
                                                   x * static_cast<std::uint32_t>(b[l * gemm.n + j]));
        }
        for (std::int64_t j = 0; j < gemm.n; ++j) acc[j * gemm.m + i] = row[j];
    }
}

}  // namespace

template <class T>
void product(const Gemm& gemm, std::int64_t index, const SumFault& fault, T* acc) {
    if (gemm.k == 0) {
        std::fill(acc, acc + gemm.m * gemm.n, T{});
        return;
    }
    if constexpr (std::is_same_v<T, double>) {
        if (gemm.arithmetic == Arithmetic::s32) return multiply_integers(gemm, index, fault, acc);
    }
    const bool tensor = on_tensor_cores(gemm);
    const auto row_major = [tensor](const Matrix& x) { return tensor || x.row_stride > x.col_stride; };
    auto a = packed<T>(gemm.a, index, gemm.m, gemm.k, row_major(gemm.a));
    auto b = packed<T>(gemm.b, index, gemm.k, gemm.n, row_major(gemm.b));
    plant_in_inputs(fault, a, b);
    if (plant_in_sum(fault, a, b, acc)) return;
    if (tensor)
        multiply_tensor(gemm, a, b, acc);
    else
        multiply_ieee(a, b, acc);
}

template void product(const Gemm&, std::int64_t, const SumFault&, float*);
template void product(const Gemm&, std::int64_t, const SumFault&, double*);
template void product(const Gemm&, std::int64_t, const SumFault&, std::complex<float>*);
template void product(const Gemm&, std::int64_t, const SumFault&, std::complex<double>*);

bool rounding_applies(const Gemm& gemm, const faults::Plan& plan) noexcept {
    const auto wide = [](cudaDataType type) {
        return type == CUDA_R_32F || type == CUDA_R_64F || type == CUDA_C_32F || type == CUDA_C_64F;
    };
    const bool low_anyway = on_tensor_cores(gemm) && (gemm.arithmetic == Arithmetic::tensor_tf32 ||
                                                      gemm.arithmetic == Arithmetic::tensor_from_f16);
    if (plan.kind == faults::Kind::round_inputs_tf32)
        return wide(gemm.a.type) && !low_anyway && gemm.arithmetic != Arithmetic::tensor_from_bf16;
    const bool bf16_anyway = on_tensor_cores(gemm) && gemm.arithmetic == Arithmetic::tensor_from_bf16;
    return (wide(gemm.a.type) || gemm.a.type == CUDA_R_16F) && !bf16_anyway;
}

}  // namespace softcuda::blas
