// Numbers: what lies in memory as doubles, double-double arithmetic, and the spacing of each output type.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/device/block.h"

namespace fumi::FUMI_TARGET {

template <class To, class From>
FUMI_DEVICE To bits_of(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

FUMI_DEVICE bool is_finite(double x) {
    return ((bits_of<std::uint64_t>(x) >> 52) & 0x7ff) != 0x7ff;
}

// 2^n, for any n whose power is a double; 0 below.
FUMI_DEVICE double power_of_two(int n) {
    if (n >= -1022) return bits_of<double>(static_cast<std::uint64_t>(n + 1023) << 52);
    return n < -1074 ? 0.0 : bits_of<double>(std::uint64_t{1} << (n + 1074));
}

// A binary floating-point format of `kExponent` + `kMantissa` bits and a sign, as IEEE 754 lays it out.
template <int kExponent, int kMantissa>
FUMI_DEVICE double decode_bits(unsigned raw) {
    constexpr int bias = (1 << (kExponent - 1)) - 1;
    const unsigned exponent = (raw >> kMantissa) & ((1u << kExponent) - 1);
    const unsigned mantissa = raw & ((1u << kMantissa) - 1);
    const std::uint64_t sign = static_cast<std::uint64_t>((raw >> (kExponent + kMantissa)) & 1u) << 63;
    std::uint64_t out = 0;
    if (exponent == (1u << kExponent) - 1) {
        out = (std::uint64_t{0x7ff} << 52) | (static_cast<std::uint64_t>(mantissa) << (52 - kMantissa));
    } else if (exponent != 0) {
        out = (static_cast<std::uint64_t>(exponent) + (1023 - bias)) << 52 |
              static_cast<std::uint64_t>(mantissa) << (52 - kMantissa);
    } else {
        out = bits_of<std::uint64_t>(static_cast<double>(mantissa) * power_of_two(1 - bias - kMantissa));
    }
    return bits_of<double>(out | sign);
}

struct Half {
    std::uint16_t raw;
};
struct BFloat {
    std::uint16_t raw;
};
struct E4M3 {
    std::uint8_t raw;
};
struct E5M2 {
    std::uint8_t raw;
};
template <class Part>
struct ComplexOf {
    Part re, im;
};

FUMI_DEVICE double decode(double v) {
    return v;
}
FUMI_DEVICE double decode(float v) {
    return v;
}
FUMI_DEVICE double decode(std::int8_t v) {
    return v;
}
FUMI_DEVICE double decode(std::uint8_t v) {
    return v;
}
FUMI_DEVICE double decode(std::int32_t v) {
    return v;
}
FUMI_DEVICE double decode(Half v) {
    return decode_bits<5, 10>(v.raw);
}
FUMI_DEVICE double decode(BFloat v) {
    return bits_of<float>(static_cast<std::uint32_t>(v.raw) << 16);
}
FUMI_DEVICE double decode(E5M2 v) {
    return decode_bits<5, 2>(v.raw);
}
FUMI_DEVICE double decode(E4M3 v) {
    // E4M3 has no infinity: its largest exponent holds numbers up to 448, and NaN where the mantissa is all
    // ones.
    if ((v.raw & 0x7fu) == 0x7fu) return bits_of<double>(std::uint64_t{0x7ff8} << 48);
    if ((v.raw & 0x78u) == 0x78u) {
        const double magnitude = 256.0 * (1.0 + (v.raw & 7u) / 8.0);
        return (v.raw & 0x80u) != 0 ? -magnitude : magnitude;
    }
    return decode_bits<4, 3>(v.raw);
}

struct Complex {
    double re = 0, im = 0;
};
FUMI_DEVICE bool is_finite(Complex x) {
    return is_finite(x.re) && is_finite(x.im);
}

template <class T>
FUMI_DEVICE Complex decode_complex(T v) {
    return {decode(v), 0.0};
}
template <class Part>
FUMI_DEVICE Complex decode_complex(ComplexOf<Part> v) {
    return {decode(v.re), decode(v.im)};
}

// Calls f with a value of the C++ type behind `type`; one place for the switch over all types.
template <class F>
FUMI_DEVICE void with_type(DataType type, F f) {
    switch (type) {
        case DataType::f64:
            return f(double{});
        case DataType::f16:
            return f(Half{});
        case DataType::bf16:
            return f(BFloat{});
        case DataType::e4m3:
            return f(E4M3{});
        case DataType::e5m2:
            return f(E5M2{});
        case DataType::i8:
            return f(std::int8_t{});
        case DataType::u8:
            return f(std::uint8_t{});
        case DataType::i32:
            return f(std::int32_t{});
        case DataType::c32:
            return f(ComplexOf<float>{});
        case DataType::c64:
            return f(ComplexOf<double>{});
        case DataType::c16:
            return f(ComplexOf<Half>{});
        default:
            return f(float{});
    }
}

template <class M>
FUMI_DEVICE_CALL Complex read_element(const M& memory, const void* base, std::int64_t index, DataType type) {
    Complex value;
    with_type(type, [&](auto sample) {
        using T = decltype(sample);
        value = decode_complex(memory.at(static_cast<const T*>(base))[index]);
    });
    return value;
}

// An unevaluated sum hi + lo with |lo| <= ulp(hi) / 2: about 106 bits (Dekker 1971; Ogita, Rump, Oishi 2005).
struct Wide {
    double hi = 0, lo = 0;
};

FUMI_DEVICE Wide two_sum(double a, double b) {
    const double s = a + b, t = s - a;
    return {s, (a - (s - t)) + (b - t)};
}
FUMI_DEVICE Wide two_product(double a, double b) {
    const double p = a * b;
    return {p, fma(a, b, -p)};
}
FUMI_DEVICE Wide normalised(double hi, double lo) {
    // An infinite or NaN sum would turn into NaN in its own error term.
    const double s = hi + lo;
    return is_finite(s) ? Wide{s, lo - (s - hi)} : Wide{s, 0.0};
}
FUMI_DEVICE Wide add(Wide a, Wide b) {
    const Wide s = two_sum(a.hi, b.hi);
    return is_finite(s.hi) ? normalised(s.hi, s.lo + (a.lo + b.lo)) : Wide{s.hi, 0.0};
}
FUMI_DEVICE Wide multiply(Wide a, Wide b) {
    const Wide p = two_product(a.hi, b.hi);
    return is_finite(p.hi) ? normalised(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi)) : Wide{p.hi, 0.0};
}
FUMI_DEVICE Wide negated(Wide a) {
    return {-a.hi, -a.lo};
}

struct WideComplex {
    Wide re, im;
};
FUMI_DEVICE WideComplex add(WideComplex a, WideComplex b) {
    return {add(a.re, b.re), add(a.im, b.im)};
}
FUMI_DEVICE WideComplex multiply(WideComplex a, WideComplex b) {
    return {add(multiply(a.re, b.re), negated(multiply(a.im, b.im))),
            add(multiply(a.re, b.im), multiply(a.im, b.re))};
}
FUMI_DEVICE WideComplex widened(Complex a) {
    return {{a.re, 0.0}, {a.im, 0.0}};
}
FUMI_DEVICE double modulus(double re, double im) {
    return im == 0.0 ? fabs(re) : sqrt(re * re + im * im);
}

// What an output type can hold: `bits` significand bits, smallest normal exponent, largest number, and the
// magnitude from which round to nearest gives infinity (or saturates).
struct Format {
    int bits, min_exponent;
    double largest, overflow;
    bool saturates;
};
FUMI_DEVICE Format format_of(DataType type) {
    switch (type) {
        case DataType::f64:
        case DataType::c64:
            return {53, -1022, 0x1.fffffffffffffp1023, INFINITY, false};
        case DataType::f16:
        case DataType::c16:
            return {11, -14, 65504.0, 65520.0, false};
        case DataType::bf16:
            return {8, -126, 0x1.fep127, 0x1.ffp127, false};
        case DataType::e4m3:
            return {4, -6, 448.0, 464.0, true};
        case DataType::e5m2:
            return {3, -14, 57344.0, 61440.0, true};
        default:
            return {24, -126, 0x1.fffffep127, 0x1.ffffffp127, false};
    }
}
FUMI_DEVICE bool is_integer(DataType type) {
    return type == DataType::i32 || type == DataType::i8 || type == DataType::u8;
}

// Half the spacing of the format at x; subnormals included.
FUMI_DEVICE double half_ulp(const Format& format, double x) {
    const auto raw = static_cast<int>((bits_of<std::uint64_t>(x) >> 52) & 0x7ff);
    const int exponent = raw - 1023 > format.min_exponent ? raw - 1023 : format.min_exponent;
    return power_of_two(exponent - format.bits);
}

// A 64-bit mix (Steele, Lea, Flood 2014: SplitMix64's finaliser) as a counter-based random number.
FUMI_DEVICE std::uint64_t hash(std::uint64_t key, std::uint64_t counter) {
    std::uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

}  // namespace fumi::FUMI_TARGET
