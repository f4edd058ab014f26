// op(A) op(B) of one batch entry, before alpha, beta and the epilogue. Faults of the inputs and of the sum
// happen here.
#pragma once
#include "tools/softcuda/blas/gemm.h"
#include "tools/softcuda/blas/pack.h"

namespace softcuda::blas {

// acc (column-major, m x n). T is float, double, complex<float>, complex<double>; int32 sums are returned as
// double. `lost_k` is left out of the sum where it is not negative; `fault_run` distinguishes runs of a
// nondeterministic fault.
struct SumFault {
    const faults::Plan* plan = nullptr;
    std::int64_t lost_k = -1;
    std::uint64_t run = 0;
};
template <class T>
void product(const Gemm& gemm, std::int64_t index, const SumFault& fault, T* acc);

// Would the inputs change if the plan's rounding were applied to them? False for bf16 data rounded to bf16,
// for example.
bool rounding_applies(const Gemm& gemm, const faults::Plan& plan) noexcept;

}  // namespace softcuda::blas
