// Loops over the elements of tensors of one shape.
#pragma once
#include <array>

#include "tools/softcuda/blas/pack.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

// Calls visit(places) for every element of `shape` in row-major order; places[i] is where it lies in
// tensors[i], whose sizes of 1 are repeated.
template <std::size_t N, class Visit>
void each_element(const Tensor& shape, const std::array<Tensor, N>& tensors, Visit visit) {
    std::array<std::int64_t, CUDNN_DIM_MAX> index{};
    std::array<std::int64_t, N> places{};
    const auto step = [&](std::size_t i, int dimension) {
        return tensors[i].size[dimension] == 1 ? 0 : tensors[i].stride[dimension];
    };
    for (std::int64_t left = shape.count(); left > 0; --left) {
        visit(places);
        for (int dimension = shape.rank - 1; dimension >= 0; --dimension) {
            if (++index[dimension] < shape.size[dimension]) {
                for (std::size_t i = 0; i < N; ++i) places[i] += step(i, dimension);
                break;
            }
            index[dimension] = 0;
            for (std::size_t i = 0; i < N; ++i) places[i] -= (shape.size[dimension] - 1) * step(i, dimension);
        }
    }
}

// target = alpha value + beta target; what is not wanted is not read, it may be NaN.
template <class E, class T>
void blend(E& target, T value, T alpha, T beta) noexcept {
    value *= alpha;
    if (beta != 0) value += beta * blas::widened<T>(target);
    target = blas::store<E>(value);
}

}  // namespace softcuda::dnn::legacy
