// A Gemm run with its planted fault: decides where the fault shows, runs, and logs.
#pragma once
#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/gemm.h"
#include "tools/softcuda/blas/product.h"

namespace softcuda::blas {

struct Planted {
    SumFault sum;
    std::int64_t bias_row = -1;
};
void run_planted(const Gemm& gemm, const Planted& planted);  // the product, with these deviations

// Why the plan cannot be planted in this product at all, or null; and what it means for the product's sum.
const char* obstacle(const Gemm& gemm, const faults::Plan& plan) noexcept;
Planted planted_in_sum(const Gemm& gemm, const faults::Plan& plan, faults::Where& where);

void run_faulty(const Gemm& gemm, const faults::Plan& plan);

// Results of any other kind of call (solvers, vector updates): plants the plan's output fault, or logs that
// it cannot be. `stale` has what the outputs held before, one dense column-major matrix for each view.
void plant_in_results(const faults::Plan& plan, std::span<const faults::View> views);

}  // namespace softcuda::blas
