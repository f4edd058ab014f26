// Operands copied out of the program's buffers into aligned dense ones of the type that arithmetic is done
// in. Results then depend on values alone, never on where or how aligned the program's buffers are.
#pragma once
#include <cstdlib>
#include <memory>
#include <new>

#include "tools/softcuda/blas/gemm.h"
#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {

// Uninitialised, aligned for any vector unit.
template <class T>
class Buffer {
  public:
    explicit Buffer(std::int64_t count) : count_(count) {
        const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
        data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes)));
        if (data_ == nullptr) throw std::bad_alloc();
    }
    T* data() noexcept { return data_.get(); }
    const T* data() const noexcept { return data_.get(); }
    std::int64_t size() const noexcept { return count_; }
    T& operator[](std::int64_t i) noexcept { return data_.get()[i]; }
    const T& operator[](std::int64_t i) const noexcept { return data_.get()[i]; }
    T* begin() noexcept { return data(); }
    T* end() noexcept { return data() + count_; }

  private:
    struct Free {
        void operator()(T* p) const noexcept { std::free(p); }
    };
    std::unique_ptr<T, Free> data_;
    std::int64_t count_;
};

// Where entry `index` of the batch begins, as the device sees it.
inline char* batch_entry(const Matrix& matrix, std::int64_t index) noexcept {
    if (matrix.pointer_array)
        return static_cast<char*>(view(static_cast<void* const*>(view(matrix.data))[index]));
    const auto offset = index * matrix.batch_stride * static_cast<std::int64_t>(size_of(matrix.type));
    return static_cast<char*>(const_cast<void*>(host_view(matrix.data))) + offset;
}

template <class T, class E>
T widened(E x) noexcept {
    using Value = decltype(load(x));
    const Value value = load(x);
    if constexpr (is_complex_v<T>) {
        if constexpr (is_complex_v<Value>)
            return {static_cast<typename T::value_type>(value.real()),
                    static_cast<typename T::value_type>(value.imag())};
        else
            return {static_cast<typename T::value_type>(value), 0};
    } else if constexpr (is_complex_v<Value>) {
        return static_cast<T>(value.real());
    } else {
        return static_cast<T>(value);
    }
}

// out[i * row_step + j * col_step] = matrix[index](i, j), conjugated where the matrix says so.
template <class T>
void pack(const Matrix& matrix, std::int64_t index, std::int64_t rows, std::int64_t cols, T* out,
          std::int64_t row_step, std::int64_t col_step) noexcept {
    const char* base = batch_entry(matrix, index);
    visit_type(matrix.type, [&](auto tag) {
        using E = decltype(tag);
        const auto* in = reinterpret_cast<const E*>(base);
        // The inner loop follows whichever dimension is contiguous in memory.
        const bool down = matrix.row_stride <= matrix.col_stride;
        const std::int64_t inner = down ? rows : cols, outer = down ? cols : rows;
        const std::int64_t in_inner = down ? matrix.row_stride : matrix.col_stride;
        const std::int64_t in_outer = down ? matrix.col_stride : matrix.row_stride;
        const std::int64_t out_inner = down ? row_step : col_step, out_outer = down ? col_step : row_step;
        for (std::int64_t o = 0; o < outer; ++o) {
            const E* from = in + o * in_outer;
            T* to = out + o * out_outer;
            if (in_inner == 1 && out_inner == 1)
                for (std::int64_t i = 0; i < inner; ++i) to[i] = widened<T>(from[i]);
            else
                for (std::int64_t i = 0; i < inner; ++i) to[i * out_inner] = widened<T>(from[i * in_inner]);
        }
    });
    if constexpr (is_complex_v<T>) {
        if (matrix.conjugate)
            for (std::int64_t i = 0; i < rows * cols; ++i) out[i] = std::conj(out[i]);
    }
}

}  // namespace softcuda::blas
