#include "kernels/noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace fumi {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t most_elements = std::int64_t{1} << 16;

// The Python FuMi's own sizes; 0: it has none.
double fixed_size(DataType type) noexcept {
    switch (type) {
        case DataType::f64:
        case DataType::c64:
            return 1e-16;
        case DataType::f32:
        case DataType::c32:
            return 1e-8;
        case DataType::f16:
        case DataType::c16:
            return 1e-6;
        case DataType::bf16:
            return 1e-4;
        default:
            return 0;
    }
}

double digits(double bits) noexcept {
    return bits * std::log10(2.0);
}

}  // namespace

std::int64_t noise_elements(std::int64_t elements) noexcept {
    return std::min(elements, most_elements);
}

int noise_bits(DataType operand, const Contract& contract) noexcept {
    const int own = precision_bits(operand);
    const double converted = contract.bound.input_error;  // 2 or 4 times 2^-bits
    if (own == 0 || !(converted > 0)) return own;
    return std::min(own, 1 - std::ilogb(converted));
}

NoiseParams noise_for(const NoiseChoice& choice, DataType type, int bits, const char*& reason) noexcept {
    NoiseParams params;
    params.kind = choice.kind;
    const int own = precision_bits(type);
    if (own == 0) {
        reason = "add_noise: integers carry no rounding noise";
        return params;
    }
    params.shift = own - bits;
    params.places = std::clamp(choice.places, 1, bits - 1);
    params.size = choice.kind == NoiseKind::fixed ? fixed_size(type)
                  : choice.size > 0               ? choice.size
                                                  : std::ldexp(1.0, -bits);
    if (!(params.size > 0)) reason = "add_noise: kind fixed has no size for fp8";
    return params;
}

int noise_samples(NoiseKind kind, int wanted) noexcept {
    return kind == NoiseKind::fixed ? 1 : std::clamp(wanted, kLeastNoiseSamples, kMostNoiseSamples);
}

double confidence_bits(int samples) noexcept {
    static constexpr double bits[] = {5.97, 3.62, 2.87, 2.49, 2.27, 2.11, 2.0,  1.91, 1.84, 1.78,
                                      1.73, 1.69, 1.66, 1.63, 1.6,  1.58, 1.55, 1.54, 1.52, 1.5,
                                      1.49, 1.47, 1.46, 1.45, 1.44, 1.43, 1.42, 1.41, 1.4};
    static_assert(std::size(bits) == kMostNoiseSamples - kLeastNoiseSamples + 1);
    return samples < kLeastNoiseSamples ? 0 : bits[std::min(samples, kMostNoiseSamples) - kLeastNoiseSamples];
}

NoiseFinding assess_noise(const ErrorStats& stats, NoiseKind kind, int samples, int bits) {
    NoiseFinding found{};
    found.input_noise = std::sqrt(stats.see / stats.sez + stats.szz / stats.ses);
    found.output_noise = std::sqrt(stats.sum_g / stats.sum_abs_r);
    found.amplification = found.output_noise / found.input_noise;
    found.significant_bits = found.significant_digits = kNaN;
    if (stats.bits_elements > 0) {
        const double mean = stats.sum_floor / static_cast<double>(stats.bits_elements);
        found.significant_bits = std::max(0.0, mean - confidence_bits(samples));
        found.significant_digits = digits(found.significant_bits);
    }
    if (!(found.input_noise > 0) || !std::isfinite(found.amplification)) {
        found.amplification = kNaN;
        found.reason = stats.elements == 0 ? "no element is finite"
                       : !(found.input_noise > 0)
                           ? "the noise moved no input: all are 0, not finite or too small"
                           : "the output is 0, or its squares leave the range of fp64";
        return found;
    }
    const double most = std::exp2(0.5 * bits);
    const std::string measured = fmt::format(
        "{:.1f} of {:.1f} decimal digits are left in the typical element ({} calls on inputs moved by "
        "{:.2g}{}); {} of "
        "{} elements keep none",
        found.significant_digits, digits(bits), samples, found.input_noise,
        kind == NoiseKind::fixed ? "" : "; 95% confidence", stats.mismatches, stats.elements);
    if (found.amplification >= most) {
        found.verdict = Judgement::warn;
        found.reason = fmt::format(
            "ill-conditioned data, whatever kernel computes them: noise of their own rounding is amplified "
            "{:.3g} "
            "times ({:.3g} is half of their {} bits); {}",
            found.amplification, most, bits, measured);
    } else {
        found.reason = fmt::format("noise of the inputs' own rounding is amplified {:.3g} times; {}",
                                   found.amplification, measured);
    }
    if (stats.nonfinite_unexpected > 0) {
        found.verdict = Judgement::warn;
        found.reason += fmt::format("; {} elements leave the range of their type in one of the calls",
                                    stats.nonfinite_unexpected);
    }
    return found;
}

}  // namespace fumi
