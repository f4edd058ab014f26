// Vectors and small dense matrices of the program's, for the entry points that are no matrix products.
#pragma once
#include <complex>

#include "tools/softcuda/blas/enqueue.h"
#include "tools/softcuda/blas/pack.h"

namespace softcuda::blas {

template <class T>
struct StandardOf {
    using type = T;
};
template <>
struct StandardOf<cuComplex> {
    using type = std::complex<float>;
};
template <>
struct StandardOf<cuDoubleComplex> {
    using type = std::complex<double>;
};
template <class T>
using Standard = typename StandardOf<T>::type;  // what T is computed in

template <class T>
struct RealOf {
    using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
    using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;

template <class T>
T conjugated(T x) noexcept {
    if constexpr (is_complex_v<T>)
        return std::conj(x);
    else
        return x;
}

// Element i of a BLAS vector: a negative increment walks from the far end.
template <class T>
class Vector {
  public:
    Vector(const T* data, std::int64_t n, std::int64_t increment) noexcept
        : first_(reinterpret_cast<Standard<T>*>(view(const_cast<T*>(data))) +
                 (increment < 0 ? (1 - n) * increment : 0)),
          increment_(increment) {}
    Standard<T>& operator[](std::int64_t i) const noexcept { return first_[i * increment_]; }

  private:
    Standard<T>* first_;
    std::int64_t increment_;
};

// The first element's address as the program has it, and the vector as a column.
inline Matrix vector_column(const void* data, cudaDataType type, std::int64_t n,
                            std::int64_t increment) noexcept {
    Matrix matrix;
    const std::int64_t offset = increment < 0 ? (1 - n) * increment : 0;
    matrix.data = static_cast<const char*>(data) + offset * static_cast<std::int64_t>(size_of(type));
    matrix.type = type;
    matrix.row_stride = increment;
    matrix.col_stride = std::max<std::int64_t>(1, std::abs(increment) * std::max<std::int64_t>(n, 1));
    return matrix;
}

template <class T>
faults::View vector_view(T* data, std::int64_t n, std::int64_t increment) noexcept {
    const Vector<T> vector(data, n, increment);
    return {&vector[0], type_of<T>, n, 1, increment, 1};
}

// A column-major matrix where it lies.
template <class S>
class InPlace {
  public:
    InPlace(S* data, std::int64_t ld) noexcept : data_(data), ld_(ld) {}
    S& operator()(std::int64_t i, std::int64_t j) const noexcept { return data_[i + j * ld_]; }
    S* column(std::int64_t j) const noexcept { return data_ + j * ld_; }
    std::int64_t ld() const noexcept { return ld_; }

  private:
    S* data_;
    std::int64_t ld_;
};

// Entry `index` of a device array of device pointers.
template <class T>
InPlace<Standard<T>> entry_of(const T* const* array, std::int64_t index, std::int64_t ld) noexcept {
    return {reinterpret_cast<Standard<T>*>(view(const_cast<T*>(view(array)[index]))), ld};
}

template <class T>
std::vector<faults::View> views_of_entries(const T* const* array, std::int64_t batch, std::int64_t rows,
                                           std::int64_t cols, std::int64_t ld) {
    std::vector<faults::View> views;
    views.reserve(static_cast<std::size_t>(batch));
    for (std::int64_t i = 0; i < batch; ++i)
        views.push_back({entry_of(array, i, ld).column(0), type_of<T>, rows, cols, 1, ld});
    return views;
}

}  // namespace softcuda::blas
