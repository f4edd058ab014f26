#include "tools/softcuda/blas/tensorcore.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas::tensorcore {
namespace {

constexpr int lanes = 16;  // columns of one row of C computed side by side
constexpr std::uint64_t exponent_mask = 0x7ff0'0000'0000'0000u;
constexpr int zero_exponent = -126;

double power_of_two(int exponent) noexcept {
    return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// 2^e of the value's exponent, from min_exponent for subnormals. Infinities stay finite here: they reach the
// sum by their value.
double exponent_power(float x, int min_exponent) noexcept {
    if (x == 0.0f) return power_of_two(zero_exponent);
    if (!std::isfinite(x)) return power_of_two(127);
    const double power =
        std::bit_cast<double>(std::bit_cast<std::uint64_t>(std::fabs(double{x})) & exponent_mask);
    return std::max(power, power_of_two(min_exponent));
}

// Columns [j, j + lanes) of B, and the powers of two of their exponents, one row for each k.
struct Panel {
    std::vector<double> value, power;
};

Panel panel_of(const Model& model, const float* b, std::int64_t k, std::int64_t n, std::int64_t first) {
    Panel panel{std::vector<double>(k * lanes), std::vector<double>(k * lanes, power_of_two(zero_exponent))};
    const std::int64_t width = std::min<std::int64_t>(lanes, n - first);
    for (std::int64_t l = 0; l < k; ++l) {
        for (std::int64_t j = 0; j < width; ++j) {
            const float x = b[l * n + first + j];
            panel.value[l * lanes + j] = x;
            panel.power[l * lanes + j] = exponent_power(x, model.min_exponent_b);
        }
    }
    return panel;
}

[[gnu::always_inline]] inline double truncated_to(double x, std::uint64_t mask) noexcept {
    const double normal = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & mask);
    // Below the smallest normal fp32 number the last place no longer moves.
    const double subnormal = std::trunc(x * 0x1p149) * 0x1p-149;
    return std::fabs(x) < 0x1p-126 ? subnormal : normal;
}

// acc <- truncate(acc + a[0] b[0] + ... + a[count-1] b[count-1]), each of the `lanes` columns by itself.
[[gnu::always_inline]] inline void fused_step(const Model& model, const double* a, const double* a_power,
                                              const double* b, const double* b_power, int count,
                                              std::uint64_t mask, double* acc) noexcept {
    double largest[lanes], inverse[lanes], sum[lanes];
    for (int j = 0; j < lanes; ++j) {
        const auto exponent = std::bit_cast<std::uint64_t>(acc[j]) & exponent_mask;
        const double power = std::bit_cast<double>(exponent);
        largest[j] = std::min(std::max(power, 0x1p-126), 0x1p127);
    }
    for (int l = 0; l < count; ++l)
        for (int j = 0; j < lanes; ++j) {
            const double power = a_power[l] * b_power[l * lanes + j];
            largest[j] = largest[j] < power ? power : largest[j];
        }
    const auto shift = static_cast<std::uint64_t>(2046 + model.fraction_bits) << 52;
    for (int j = 0; j < lanes; ++j) {
        inverse[j] = std::bit_cast<double>(shift - std::bit_cast<std::uint64_t>(largest[j]));
        sum[j] = std::trunc(acc[j] * inverse[j]);
    }
    for (int l = 0; l < count; ++l)
        for (int j = 0; j < lanes; ++j) sum[j] += std::trunc(a[l] * b[l * lanes + j] * inverse[j]);
    for (int j = 0; j < lanes; ++j) acc[j] = truncated_to(sum[j] / inverse[j], mask);
}

// fp32 range: what the accumulator cannot hold is infinite.
void settle(const Model& model, double* acc) noexcept {
    for (int j = 0; j < lanes; ++j) {
        if (model.half_accumulator)
            acc[j] = to_float(half_from_double(acc[j]));
        else
            acc[j] = static_cast<float>(acc[j]);
    }
}

[[gnu::always_inline]] inline void row_tile(const Model& model, const double* a, const double* a_power,
                                            const Panel& panel, std::int64_t k, float* out) noexcept {
    double acc[lanes] = {};
    float promoted[lanes] = {};
    // An fp16 accumulator is rounded from the exact sum, so nothing is cut off before.
    const std::uint64_t mask =
        model.half_accumulator ? ~std::uint64_t{0} : ~std::uint64_t{0} << (52 - model.result_bits);
    for (std::int64_t l = 0; l < k; l += model.group) {
        const int count = static_cast<int>(std::min<std::int64_t>(model.group, k - l));
        fused_step(model, a + l, a_power + l, &panel.value[l * lanes], &panel.power[l * lanes], count, mask,
                   acc);
        settle(model, acc);
        if (model.promote_every != 0 && (l + count) % model.promote_every == 0) {
            for (int j = 0; j < lanes; ++j) {
                promoted[j] += static_cast<float>(acc[j]);
                acc[j] = 0.0;
            }
        }
    }
    for (int j = 0; j < lanes; ++j) out[j] = promoted[j] + static_cast<float>(acc[j]);
}

using RowTile = void (*)(const Model&, const double*, const double*, const Panel&, std::int64_t, float*);

[[gnu::target("avx512f")]] void row_tile_avx512(const Model& model, const double* a, const double* a_power,
                                                const Panel& panel, std::int64_t k, float* out) {
    row_tile(model, a, a_power, panel, k, out);
}
[[gnu::target("avx2")]] void row_tile_avx2(const Model& model, const double* a, const double* a_power,
                                           const Panel& panel, std::int64_t k, float* out) {
    row_tile(model, a, a_power, panel, k, out);
}
void row_tile_any(const Model& model, const double* a, const double* a_power, const Panel& panel,
                  std::int64_t k, float* out) {
    row_tile(model, a, a_power, panel, k, out);
}

// Every step is exact or truncates by definition, so the instruction set changes the speed and nothing else.
RowTile fastest() noexcept {
    if (__builtin_cpu_supports("avx512f")) return row_tile_avx512;
    if (__builtin_cpu_supports("avx2")) return row_tile_avx2;
    return row_tile_any;
}

int min_exponent(cudaDataType type) noexcept {
    switch (type) {
        case CUDA_R_16F:
            return -14;
        case CUDA_R_8F_E4M3:
            return -6;
        case CUDA_R_8F_E5M2:
            return -14;
        default:
            return -126;
    }
}

}  // namespace

Chip chip() noexcept {
    static const Chip chosen = [] {
        const char* name = std::getenv("SOFTCUDA_TENSORCORE");
        if (name == nullptr || *name == '\0' || std::strcmp(name, "h100") == 0) return Chip::h100;
        if (std::strcmp(name, "a100") == 0) return Chip::a100;
        if (std::strcmp(name, "b200") == 0) return Chip::b200;
        warn_once("SOFTCUDA_TENSORCORE", "SOFTCUDA_TENSORCORE=%s is none of a100, h100, b200: h100 is taken",
                  name);
        return Chip::h100;
    }();
    return chosen;
}

Model model(Chip chip, Arithmetic arithmetic, cudaDataType a, cudaDataType b) noexcept {
    const bool ampere = chip == Chip::a100;
    Model model;
    model.fraction_bits = ampere ? 24 : 25;
    model.group = ampere ? 8 : 16;
    switch (arithmetic) {
        case Arithmetic::tensor_tf32:
            model.group = ampere ? 4 : 8;
            break;
        case Arithmetic::tensor_f16:
            model.half_accumulator = true;
            break;
        case Arithmetic::tensor_fp8:
        case Arithmetic::tensor_fp8_fast:
            model.group = 32;
            if (chip == Chip::b200) break;
            model.fraction_bits = 13;
            model.result_bits = 13;
            if (arithmetic == Arithmetic::tensor_fp8) model.promote_every = 128;
            break;
        default:
            break;
    }
    const bool converted =
        arithmetic == Arithmetic::tensor_from_f16;  // fp32 operands that reach the unit as fp16
    model.min_exponent_a = min_exponent(converted ? CUDA_R_16F : a);
    model.min_exponent_b = min_exponent(converted ? CUDA_R_16F : b);
    return model;
}

void multiply(const Model& model, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
              const float* b, float* c) {
    static const RowTile tile = fastest();
    std::vector<double> value(a, a + m * k), power(m * k);
    for (std::int64_t i = 0; i < m * k; ++i) power[i] = exponent_power(a[i], model.min_exponent_a);
    float row[lanes];
    for (std::int64_t first = 0; first < n; first += lanes) {
        const Panel panel = panel_of(model, b, k, n, first);
        const std::int64_t width = std::min<std::int64_t>(lanes, n - first);
        for (std::int64_t i = 0; i < m; ++i) {
            tile(model, &value[i * k], &power[i * k], panel, k, row);
            for (std::int64_t j = 0; j < width; ++j) c[(first + j) * m + i] = row[j];
        }
    }
}

}  // namespace softcuda::blas::tensorcore
