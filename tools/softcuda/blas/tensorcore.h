// A model of the tensor cores' arithmetic. A group of kb exact products and the accumulator are aligned to
// the largest exponent among them, truncated to F bits after the point, added, and the sum is truncated into
// the accumulator. Source of the rule and of its constants: MMA-Sim, bit-accurate reference models of
// NVIDIA's matrix units.
#pragma once
#include <cstdint>

#include "tools/softcuda/blas/gemm.h"

namespace softcuda::blas::tensorcore {

enum class Chip : std::uint8_t { a100, h100, b200 };
Chip chip() noexcept;  // SOFTCUDA_TENSORCORE=a100|h100|b200, default h100; read once

struct Model {
    int group = 16;                  // kb: products fused in one step
    int fraction_bits = 25;          // F: bits kept after the point of the largest exponent
    int result_bits = 23;            // mantissa bits of the accumulator, the leading one not counted
    bool half_accumulator = false;   // rounded to fp16, nearest even, after each step
    std::int64_t promote_every = 0;  // products after which the sum moves into an fp32 register; 0: never
    // Exponents of the smallest normal inputs: subnormal ones are not normalised before they are aligned.
    int min_exponent_a = -126, min_exponent_b = -126;
};
Model model(Chip chip, Arithmetic arithmetic, cudaDataType a, cudaDataType b) noexcept;

// C (m x n, column-major, leading dimension m) = A B for A row-major m x k and B row-major k x n: the layouts
// that let the columns of one row of C be computed side by side.
void multiply(const Model& model, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
              const float* b, float* c);

}  // namespace softcuda::blas::tensorcore
