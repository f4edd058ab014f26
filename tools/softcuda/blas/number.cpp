#include "tools/softcuda/blas/number.h"

#include <array>

namespace softcuda::blas {
namespace {

// One format with a sign, `exponent_bits` and `mantissa_bits`, of bias 2^(exponent_bits-1) - 1.
template <int exponent_bits, int mantissa_bits>
struct Minifloat {
    static constexpr int bias = (1 << (exponent_bits - 1)) - 1;

    static float decode(unsigned bits) noexcept {
        const unsigned exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1);
        const unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
        const float magnitude = exponent == 0
                                    ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits)
                                    : std::ldexp(static_cast<float>(mantissa | (1u << mantissa_bits)),
                                                 static_cast<int>(exponent) - bias - mantissa_bits);
        return (bits & 0x80u) != 0 ? -magnitude : magnitude;
    }

    // The bits of |x| rounded to nearest even, not yet checked for overflow.
    static unsigned encode(float magnitude) noexcept {
        if (magnitude == 0) return 0;
        int exponent = 0;
        std::frexp(magnitude, &exponent);
        const int quantum = std::max(exponent - 1, 1 - bias) - mantissa_bits;  // exponent of the last place
        const auto multiple = static_cast<unsigned>(std::nearbyint(std::ldexp(magnitude, -quantum)));
        // A carry out of the mantissa moves into the exponent by itself.
        const int biased = quantum + mantissa_bits + bias - 1;
        return multiple + (static_cast<unsigned>(biased) << mantissa_bits);
    }
};

std::uint8_t sign_bit(float x) noexcept {
    return std::signbit(x) ? 0x80 : 0;
}

}  // namespace

float to_float(E4M3 x) noexcept {
    static const auto table = [] {
        std::array<float, 256> values{};
        for (unsigned i = 0; i < 256; ++i)
            values[i] =
                (i & 0x7fu) == 0x7f ? std::numeric_limits<float>::quiet_NaN() : Minifloat<4, 3>::decode(i);
        return values;
    }();
    return table[x.bits];
}

float to_float(E5M2 x) noexcept {
    return to_float(Half{static_cast<std::uint16_t>(x.bits << 8)});
}

E4M3 to_e4m3(float x) noexcept {
    if (std::isnan(x)) return {0x7f};
    const float magnitude = std::fabs(x);
    const unsigned bits = magnitude >= 448.0f ? 0x7eu : Minifloat<4, 3>::encode(magnitude);
    return {static_cast<std::uint8_t>(bits | sign_bit(x))};
}

E5M2 to_e5m2(float x) noexcept {
    if (std::isnan(x)) return {0x7f};
    const float magnitude = std::fabs(x);
    const unsigned bits = magnitude >= 57344.0f ? 0x7bu : Minifloat<5, 2>::encode(magnitude);
    return {static_cast<std::uint8_t>(bits | sign_bit(x))};
}

std::size_t size_of(cudaDataType type) noexcept {
    std::size_t size = 0;
    visit_type(type, [&](auto value) { size = sizeof value; });
    return size;
}

bool is_complex(cudaDataType type) noexcept {
    return type == CUDA_C_32F || type == CUDA_C_64F;
}

bool is_fp8(cudaDataType type) noexcept {
    return type == CUDA_R_8F_E4M3 || type == CUDA_R_8F_E5M2;
}

const char* short_name(cudaDataType type) noexcept {
    switch (type) {
        case CUDA_R_32F:
            return "f32";
        case CUDA_R_64F:
            return "f64";
        case CUDA_R_16F:
            return "f16";
        case CUDA_R_16BF:
            return "bf16";
        case CUDA_R_8F_E4M3:
            return "e4m3";
        case CUDA_R_8F_E5M2:
            return "e5m2";
        case CUDA_R_8I:
            return "s8";
        case CUDA_R_32I:
            return "s32";
        case CUDA_C_32F:
            return "c32";
        case CUDA_C_64F:
            return "c64";
        default:
            return "other";
    }
}

}  // namespace softcuda::blas
