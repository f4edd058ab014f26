// From the sums of one batch entry to what is stored in D: alpha, beta C, scales, bias, activation, auxiliary
// outputs.
#pragma once
#include "tools/softcuda/blas/gemm.h"

namespace softcuda::blas {

// `acc` is column-major m x n, or null where the product counts as zero. `dropped_bias_row`: the row that
// gets no bias, or -1.
template <class T>
void finish(const Gemm& gemm, std::int64_t index, const T* acc, std::int64_t dropped_bias_row);

// The value of alpha or beta for one row and batch entry.
template <class T>
T scalar_value(const Scalar& scalar, std::int64_t row, std::int64_t index) noexcept;
bool is_zero(const Scalar& scalar) noexcept;  // a host scalar of value 0, or a device scalar that now holds 0
                                              // (not a vector)

}  // namespace softcuda::blas
