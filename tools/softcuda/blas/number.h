// The number formats of the BLAS libraries: their sizes, their conversion to and from the types that
// arithmetic is done in. Every conversion down rounds to nearest, ties to even; fp8 saturates to the largest
// finite value, as cuBLASLt does.
#pragma once
#include <library_types.h>

#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace softcuda::blas {

std::size_t size_of(
    cudaDataType type) noexcept;  // bytes of one element; 0 for a type that no call here takes
bool is_complex(cudaDataType type) noexcept;
bool is_fp8(cudaDataType type) noexcept;
const char* short_name(cudaDataType type) noexcept;  // "f32", "bf16", ... as used in kernel names

// Storage types, each telling its arithmetic value.
struct Half {
    std::uint16_t bits;
};
struct BFloat16 {
    std::uint16_t bits;
};
struct E4M3 {
    std::uint8_t bits;
};
struct E5M2 {
    std::uint8_t bits;
};

inline float to_float(BFloat16 x) noexcept {
    return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

// Shifted into place as a float the half is too small by 2^112, subnormals included: one exact multiplication
// corrects it.
inline float to_float(Half x) noexcept {
    const std::uint32_t magnitude = std::uint32_t{x.bits & 0x7fffu} << 13;
    const std::uint32_t sign = std::uint32_t{x.bits & 0x8000u} << 16;
    const std::uint32_t special = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : 0u;
    const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
    return std::bit_cast<float>((special != 0 ? special : scaled) | sign);
}

inline BFloat16 to_bfloat16(float x) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
    return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

// Subnormal halves are multiples of 2^-24: adding 0.5 makes the hardware round there, and leaves the multiple
// in the low bits.
inline Half to_half(float x) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
    if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
    if (magnitude < 0x38800000u) {
        const auto sum = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
        return {static_cast<std::uint16_t>(sign | (sum - 0x3f000000u))};
    }
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return {static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

// Rounding to fp32 first would round twice: an odd last bit in between keeps ties and directions apart.
inline Half half_from_double(double x) noexcept {
    auto once = static_cast<float>(x);
    if (static_cast<double>(once) != x && !std::isnan(x) && !std::isinf(once)) {
        const bool away = std::fabs(static_cast<double>(once)) > std::fabs(x);
        auto bits = std::bit_cast<std::uint32_t>(once) - (away ? 1u : 0u);
        once = std::bit_cast<float>(bits | 1u);
    }
    return to_half(once);
}

float to_float(E4M3 x) noexcept;
float to_float(E5M2 x) noexcept;
E4M3 to_e4m3(float x) noexcept;
E5M2 to_e5m2(float x) noexcept;

// What a storage type is computed in: float for everything low, the type itself otherwise.
inline float load(float x) noexcept {
    return x;
}
inline double load(double x) noexcept {
    return x;
}
inline std::complex<float> load(std::complex<float> x) noexcept {
    return x;
}
inline std::complex<double> load(std::complex<double> x) noexcept {
    return x;
}
inline float load(std::int8_t x) noexcept {
    return static_cast<float>(x);
}
inline double load(std::int32_t x) noexcept {
    return static_cast<double>(x);
}
inline std::complex<float> load(std::complex<std::int8_t> x) noexcept {
    return {static_cast<float>(x.real()), static_cast<float>(x.imag())};
}
template <class T>
requires std::is_class_v<T> && requires(T x) {
    to_float(x);
}
float load(T x) noexcept {
    return to_float(x);
}

template <class T>
struct IsComplex : std::false_type {};
template <class T>
struct IsComplex<std::complex<T>> : std::true_type {};
template <class T>
inline constexpr bool is_complex_v = IsComplex<T>::value;

// Rounds a computed value once into a storage type.
template <class To, class From>
To store(From x) noexcept {
    if constexpr (is_complex_v<To>) {
        using Real = typename To::value_type;
        if constexpr (is_complex_v<From>)
            return {static_cast<Real>(x.real()), static_cast<Real>(x.imag())};
        else
            return {static_cast<Real>(x), Real{}};
    } else if constexpr (is_complex_v<From>) {
        return store<To>(x.real());
    } else if constexpr (std::is_same_v<To, BFloat16>) {
        return to_bfloat16(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, Half>) {
        return to_half(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, E4M3>) {
        return to_e4m3(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, E5M2>) {
        return to_e5m2(static_cast<float>(x));
    } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
        const double low = std::numeric_limits<To>::min();
        const double high = std::numeric_limits<To>::max();
        const double rounded = std::nearbyint(static_cast<double>(x));
        return std::isnan(rounded) ? To{} : static_cast<To>(std::fmin(std::fmax(rounded, low), high));
    } else {
        return static_cast<To>(x);
    }
}

// Calls visit with a value of the storage type of `type`. False where the type is not one of ours.
template <class Visitor>
bool visit_type(cudaDataType type, Visitor&& visit) {
    switch (type) {
        case CUDA_R_32F:
            visit(float{});
            return true;
        case CUDA_R_64F:
            visit(double{});
            return true;
        case CUDA_R_16F:
            visit(Half{});
            return true;
        case CUDA_R_16BF:
            visit(BFloat16{});
            return true;
        case CUDA_R_8F_E4M3:
            visit(E4M3{});
            return true;
        case CUDA_R_8F_E5M2:
            visit(E5M2{});
            return true;
        case CUDA_R_8I:
            visit(std::int8_t{});
            return true;
        case CUDA_R_32I:
            visit(std::int32_t{});
            return true;
        case CUDA_C_32F:
            visit(std::complex<float>{});
            return true;
        case CUDA_C_64F:
            visit(std::complex<double>{});
            return true;
        default:
            return false;
    }
}

}  // namespace softcuda::blas
