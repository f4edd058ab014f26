#include "tools/softcuda/blas/epilogue.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tools/softcuda/blas/pack.h"

namespace softcuda::blas {
namespace {

// The tanh form that cuBLASLt documents: gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
template <class T>
T gelu(T x) noexcept {
    const T root = static_cast<T>(0.79788456080286535588), cubic = static_cast<T>(0.044715);
    return static_cast<T>(0.5) * x * (1 + std::tanh(root * (x + cubic * x * x * x)));
}

template <class T>
T gelu_derivative(T x) noexcept {
    const T root = static_cast<T>(0.79788456080286535588), cubic = static_cast<T>(0.044715);
    const T t = std::tanh(root * (x + cubic * x * x * x));
    return static_cast<T>(0.5) * (1 + t) +
           static_cast<T>(0.5) * x * (1 - t * t) * root * (1 + 3 * cubic * x * x);
}

float read_scale(const float* pointer) noexcept {
    return pointer == nullptr ? 1.0f : *view(pointer);
}

// Values of any of our types, at a pointer of the program's.
template <class T>
T value_at(const void* pointer, cudaDataType type, std::int64_t i) noexcept {
    T result{};
    visit_type(type, [&](auto tag) {  // a program may hand a scalar at any address
        std::memcpy(&tag, static_cast<const char*>(pointer) + i * static_cast<std::int64_t>(sizeof tag),
                    sizeof tag);
        result = widened<T>(tag);
    });
    return result;
}
template <class T>
void put(void* pointer, cudaDataType type, std::int64_t i, T x) noexcept {
    visit_type(type, [&](auto tag) {
        tag = store<decltype(tag)>(x);
        std::memcpy(static_cast<char*>(pointer) + i * static_cast<std::int64_t>(sizeof tag), &tag,
                    sizeof tag);
    });
}

// One batch entry's pass over the columns of D; `column` holds m values on their way from sum to result.
template <class T>
class Finisher {
  public:
    Finisher(const Gemm& gemm, std::int64_t index, std::int64_t dropped_bias_row)
        : gemm_(gemm),
          index_(index),
          c_(batch_entry(gemm.c, index)),
          d_(batch_entry(gemm.d, index)),
          alpha_(gemm.m),
          beta_(gemm.m),
          bias_(gemm.m),
          column_(gemm.m),
          gradient_(gemm.m) {
        const float scale = gemm.scale_a.vector ? 1.0f : read_scale(gemm.scale_a.data);
        const float* rows = gemm.scale_a.vector ? view(gemm.scale_a.data) : nullptr;
        has_beta_ = !is_zero(gemm.beta);
        const T scale_c = widened<T>(read_scale(gemm.scale_c));
        for (std::int64_t i = 0; i < gemm.m; ++i) {
            alpha_[i] = scalar_value<T>(gemm.alpha, i, index) * widened<T>(rows != nullptr ? rows[i] : scale);
            beta_[i] = scalar_value<T>(gemm.beta, i, index) * scale_c;
            bias_[i] = gemm.epilogue.bias == nullptr || i == dropped_bias_row
                           ? T{}
                           : value_at<T>(view(gemm.epilogue.bias), gemm.epilogue.bias_type,
                                         i + index * gemm.epilogue.bias_batch_stride);
            gradient_[i] = T{};
        }
    }

    void run(const T* acc) noexcept {
        for (std::int64_t j = 0; j < gemm_.n; ++j) {
            combine(acc == nullptr ? nullptr : acc + j * gemm_.m, j);
            if constexpr (!is_complex_v<T>) {
                activate(j);
                scale_output();
            }
            store_column(j);
        }
        finish_extras();
    }

  private:
    void combine(const T* acc, std::int64_t j) noexcept {
        const float scale_b =
            gemm_.scale_b.vector ? view(gemm_.scale_b.data)[j] : read_scale(gemm_.scale_b.data);
        const T scale = widened<T>(scale_b);
        for (std::int64_t i = 0; i < gemm_.m; ++i)
            column_[i] = acc == nullptr ? T{} : alpha_[i] * (scale_b == 1.0f ? acc[i] : scale * acc[i]);
        if (has_beta_) add_c(j);
        if (gemm_.epilogue.bias != nullptr)
            for (std::int64_t i = 0; i < gemm_.m; ++i) column_[i] += bias_[i];
    }

    void add_c(std::int64_t j) noexcept {
        visit_type(gemm_.c.type, [&](auto tag) {
            const auto* c = reinterpret_cast<const decltype(tag)*>(c_) + j * gemm_.c.col_stride;
            for (std::int64_t i = 0; i < gemm_.m; ++i)
                column_[i] += beta_[i] * widened<T>(c[i * gemm_.c.row_stride]);
        });
    }

    void activate(std::int64_t j) noexcept {
        const Epilogue& epilogue = gemm_.epilogue;
        switch (epilogue.activation) {
            case Activation::none:
                break;
            case Activation::relu:
                if (epilogue.aux != nullptr) store_mask(j);
                for (T& x : column_) x = x < 0 ? T{} : x;
                break;
            case Activation::gelu:
                if (epilogue.aux != nullptr) store_aux(j);
                for (T& x : column_) x = gelu(x);
                break;
            case Activation::drelu:
                for (std::int64_t i = 0; i < gemm_.m; ++i)
                    if ((mask_column(j)[i / 8] >> (i % 8) & 1) == 0) column_[i] = T{};
                break;
            case Activation::dgelu:
                for (std::int64_t i = 0; i < gemm_.m; ++i)
                    column_[i] *= gelu_derivative(
                        value_at<T>(view(epilogue.aux), epilogue.aux_type, aux_offset(j) + i));
                break;
        }
        if (epilogue.bias_gradient == BiasGradient::from_d)
            for (std::int64_t i = 0; i < gemm_.m; ++i) gradient_[i] += column_[i];
    }

    std::int64_t aux_offset(std::int64_t j) const noexcept {
        return index_ * gemm_.epilogue.aux_batch_stride + j * gemm_.epilogue.aux_ld;
    }
    // One bit for each element; leading dimension and batch stride count bits.
    unsigned char* mask_column(std::int64_t j) const noexcept {
        return static_cast<unsigned char*>(view(gemm_.epilogue.aux)) + aux_offset(j) / 8;
    }
    void store_mask(std::int64_t j) noexcept {
        unsigned char* bits = mask_column(j);
        for (std::int64_t i = 0; i < gemm_.m; ++i) {
            const auto bit = static_cast<unsigned char>(1u << (i % 8));
            bits[i / 8] = static_cast<unsigned char>(column_[i] > 0 ? bits[i / 8] | bit : bits[i / 8] & ~bit);
        }
    }
    void store_aux(std::int64_t j) noexcept {
        const T scale = widened<T>(read_scale(gemm_.epilogue.aux_scale));
        for (std::int64_t i = 0; i < gemm_.m; ++i) {
            aux_amax_ = std::max(aux_amax_, static_cast<float>(std::fabs(column_[i])));
            put(view(gemm_.epilogue.aux), gemm_.epilogue.aux_type, aux_offset(j) + i, column_[i] * scale);
        }
    }

    void scale_output() noexcept {
        const T scale = widened<T>(read_scale(gemm_.scale_d));
        for (T& x : column_) {
            if (gemm_.amax_d != nullptr) amax_ = std::max(amax_, static_cast<float>(std::fabs(x)));
            if (gemm_.scale_d != nullptr) x *= scale;
        }
    }

    void store_column(std::int64_t j) noexcept {
        visit_type(gemm_.d.type, [&](auto tag) {
            using E = decltype(tag);
            auto* d = reinterpret_cast<E*>(d_) + j * gemm_.d.col_stride;
            for (std::int64_t i = 0; i < gemm_.m; ++i) d[i * gemm_.d.row_stride] = store<E>(column_[i]);
        });
    }

    void finish_extras() noexcept {
        const Epilogue& epilogue = gemm_.epilogue;
        if constexpr (!is_complex_v<T>) {
            if (epilogue.bias_gradient == BiasGradient::from_d)
                for (std::int64_t i = 0; i < gemm_.m; ++i)
                    put(view(epilogue.bias_gradient_out), epilogue.bias_type,
                        i + index_ * epilogue.bias_batch_stride, gradient_[i]);
            // One maximum for the whole batch.
            if (gemm_.amax_d != nullptr)
                *view(gemm_.amax_d) = index_ == 0 ? amax_ : std::max(amax_, *view(gemm_.amax_d));
            if (epilogue.aux_amax != nullptr)
                *view(epilogue.aux_amax) =
                    index_ == 0 ? aux_amax_ : std::max(aux_amax_, *view(epilogue.aux_amax));
        }
    }

    const Gemm& gemm_;
    std::int64_t index_;
    char *c_, *d_;
    bool has_beta_ = false;
    Buffer<T> alpha_, beta_, bias_, column_, gradient_;
    float amax_ = 0, aux_amax_ = 0;
};

// Sums of the rows of op(A) or of the columns of op(B): the gradient of a bias that was added in the forward
// pass.
template <class T>
void sum_of_operand(const Gemm& gemm, std::int64_t index) {
    const bool a = gemm.epilogue.bias_gradient == BiasGradient::from_a;
    const std::int64_t count = a ? gemm.m : gemm.n;
    Buffer<T> values(count * gemm.k);
    if (a)
        pack(gemm.a, index, gemm.m, gemm.k, values.data(), gemm.k, 1);
    else
        pack(gemm.b, index, gemm.k, gemm.n, values.data(), 1, gemm.k);
    for (std::int64_t i = 0; i < count; ++i) {
        T sum{};
        for (std::int64_t l = 0; l < gemm.k; ++l) sum += values[i * gemm.k + l];
        put(view(gemm.epilogue.bias_gradient_out), gemm.epilogue.bias_type,
            i + index * gemm.epilogue.bias_batch_stride, sum);
    }
}

}  // namespace

template <class T>
T scalar_value(const Scalar& scalar, std::int64_t row, std::int64_t index) noexcept {
    if (scalar.device == nullptr) return value_at<T>(scalar.value, scalar.type, 0);
    return value_at<T>(view(scalar.device), scalar.type,
                       row * scalar.row_stride + index * scalar.batch_stride);
}

bool is_zero(const Scalar& scalar) noexcept {
    return scalar.row_stride == 0 && scalar.batch_stride == 0 &&
           scalar_value<std::complex<double>>(scalar, 0, 0) == std::complex<double>{};
}

template <class T>
void finish(const Gemm& gemm, std::int64_t index, const T* acc, std::int64_t dropped_bias_row) {
    Finisher<T>(gemm, index, dropped_bias_row).run(acc);
    if (gemm.epilogue.bias_gradient == BiasGradient::from_a ||
        gemm.epilogue.bias_gradient == BiasGradient::from_b)
        sum_of_operand<T>(gemm, index);
}

template void finish(const Gemm&, std::int64_t, const float*, std::int64_t);
template void finish(const Gemm&, std::int64_t, const double*, std::int64_t);
template void finish(const Gemm&, std::int64_t, const std::complex<float>*, std::int64_t);
template void finish(const Gemm&, std::int64_t, const std::complex<double>*, std::int64_t);
template float scalar_value(const Scalar&, std::int64_t, std::int64_t) noexcept;
template double scalar_value(const Scalar&, std::int64_t, std::int64_t) noexcept;
template std::complex<float> scalar_value(const Scalar&, std::int64_t, std::int64_t) noexcept;
template std::complex<double> scalar_value(const Scalar&, std::int64_t, std::int64_t) noexcept;

}  // namespace softcuda::blas
