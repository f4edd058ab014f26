// The bodies of the noise kernels (kernels/noise.h).
#pragma once
#include "kernels/device/compare_body.h"
#include "kernels/noise.h"

namespace fumi::FUMI_TARGET {

// A floating type as its bits: the magnitude is a number that counts the values of the type from 0 up.
template <class T>
struct Bits;
template <class R, int m, R largest>
struct BitsOf {
    using Raw = R;
    static constexpr int mantissa = m;
    static constexpr Raw most = largest;  // magnitude of the largest finite number
    static constexpr Raw sign = static_cast<Raw>(Raw{1} << (8 * sizeof(Raw) - 1));
};
template <>
struct Bits<double> : BitsOf<std::uint64_t, 52, 0x7fefffffffffffff> {};
template <>
struct Bits<float> : BitsOf<std::uint32_t, 23, 0x7f7fffff> {};
template <>
struct Bits<Half> : BitsOf<std::uint16_t, 10, 0x7bff> {};
template <>
struct Bits<BFloat> : BitsOf<std::uint16_t, 7, 0x7f7f> {};
template <>
struct Bits<E5M2> : BitsOf<std::uint8_t, 2, 0x7b> {};
template <>
struct Bits<E4M3> : BitsOf<std::uint8_t, 3, 0x7e> {};

// The bits of x rounded to nearest; of `otherwise` where that is not finite.
template <class T>
FUMI_DEVICE typename Bits<T>::Raw encode(double x, typename Bits<T>::Raw otherwise, const Format& format) {
    using B = Bits<T>;
    using Raw = typename B::Raw;
    if (!is_finite(x)) return otherwise;
    if constexpr (B::mantissa == 52)
        return bits_of<Raw>(x);  // half its spacing is below the smallest double near 0
    const double spacing = 2 * half_ulp(format, x), rounded = rint(x / spacing) * spacing;
    const double size = fabs(rounded);
    if (size > format.largest) return otherwise;
    const Raw negative = rounded < 0 ? B::sign : Raw{0};
    const double smallest = power_of_two(format.min_exponent);
    const double unit = power_of_two(format.min_exponent - B::mantissa);
    if (size < smallest) return static_cast<Raw>(negative | static_cast<Raw>(size / unit));
    const std::uint64_t raw = bits_of<std::uint64_t>(size);
    const int exponent = static_cast<int>(raw >> 52) - 1023 - format.min_exponent + 1;
    const std::uint64_t fraction = (raw & ((std::uint64_t{1} << 52) - 1)) >> (52 - B::mantissa);
    return static_cast<Raw>(negative | static_cast<Raw>(static_cast<std::uint64_t>(exponent) << B::mantissa) |
                            static_cast<Raw>(fraction));
}

// Uniform in (-1, 1), from the upper bits of a random number.
FUMI_DEVICE double uniform(std::uint64_t random) {
    return (static_cast<double>(random >> 11) + 0.5) * 0x1p-52 - 1;
}

template <class T>
FUMI_DEVICE T moved(T value, const NoiseParams& params, const Format& format, std::uint64_t random) {
    using B = Bits<T>;
    using Raw = typename B::Raw;
    const Raw raw = bits_of<Raw>(value);
    const auto magnitude = static_cast<Raw>(raw & static_cast<Raw>(~B::sign));
    if (magnitude == 0 || magnitude > B::most) return value;
    const auto step = static_cast<Raw>(Raw{1} << params.shift);
    Raw to = raw;
    if (params.kind == NoiseKind::ulp) {
        const bool up = (random >> 63 != 0 || magnitude < step) && magnitude <= B::most - step;
        to = static_cast<Raw>(up ? raw + step : raw - step);
    } else if (params.kind == NoiseKind::bits) {
        to = static_cast<Raw>(raw ^ (step << (random >> 32) % static_cast<unsigned>(params.places)));
        if ((to & static_cast<Raw>(~B::sign)) > B::most) to = raw;
    } else {
        const double x = decode(value);
        if (params.kind == NoiseKind::relative)
            to = encode<T>(x + x * (params.size * uniform(random)), raw, format);
        else if (fabs(x) > sqrt(params.size))
            to = encode<T>(x + params.size, raw, format);
    }
    return bits_of<T>(to);
}

// Sums of squares, of the moves and of what was moved.
struct Squares {
    double moves = 0, values = 0;
};

template <class T>
FUMI_DEVICE void move_elements(const Memory& memory, const NoiseParams& params, std::uint64_t seed,
                               std::int64_t first, std::int64_t step, Squares& squares) {
    const T* from = memory.at(static_cast<const T*>(params.from.data));
    T* to = memory.at(static_cast<T*>(params.to));
    const Format format = format_of(params.from.type);
    const std::int64_t count = elements_in(params.from);
    for (std::int64_t i = first; i < count; i += step) {
        const std::int64_t at = offset_of(params.from, i);
        const T before = from[at];
        const T after = moved(before, params, format, hash(seed, static_cast<std::uint64_t>(at)));
        to[at] = after;
        const double x = decode(before), dx = decode(after) - x;
        if (!is_finite(x)) continue;
        squares.moves += dx * dx;
        squares.values += x * x;
    }
}

// Floating types only.
template <class F>
FUMI_DEVICE void with_floating_type(DataType type, F f) {
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
        default:
            return f(float{});
    }
}

FUMI_DEVICE std::uint64_t drawn_again(const Memory& memory, const ResultSlot* replayed, std::uint64_t seed) {
    return replayed == nullptr ? seed : hash(seed, load_word(&memory.at(replayed)->stats.launches));
}

struct NoiseShared {
    Squares squares[kCheckThreads];
};

FUMI_DEVICE void note_squares(const NoiseParams& params, const Squares& sum, ErrorStats& stats) {
    double* const places[][2] = {
        {&stats.see, &stats.sez}, {&stats.szz, &stats.ses}, {&stats.szs, &stats.sss}};
    *places[params.operand][0] += sum.moves;
    *places[params.operand][1] += sum.values;
}

template <class B>
FUMI_DEVICE void add_noise(const B& block, const NoiseParams& params, NoiseShared& shared) {
    constexpr int threads = static_cast<int>(kCheckThreads);
    const std::int64_t step = static_cast<std::int64_t>(block.count()) * threads;
    block.for_each_thread([&](int t) {
        shared.squares[t] = Squares{};
        const Complex factor = read_scalar(block.memory, params.factor);
        if (factor.re == 0 && factor.im == 0) return;
        const std::uint64_t seed = drawn_again(block.memory, params.replayed, params.seed);
        const std::int64_t first = static_cast<std::int64_t>(block.index()) * threads + t;
        with_floating_type(params.from.type, [&](auto sample) {
            move_elements<decltype(sample)>(block.memory, params, seed, first, step, shared.squares[t]);
        });
    });
    block.sync();
    for (int half = threads / 2; half > 0; half /= 2) {
        block.for_each_thread([&](int t) {
            if (t >= half) return;
            shared.squares[t].moves += shared.squares[t + half].moves;
            shared.squares[t].values += shared.squares[t + half].values;
        });
        block.sync();
    }
    block.for_each_thread([&](int t) {
        if (t != 0) return;
        ErrorStats* partial = block.memory.at(params.partials) + block.index();
        if (params.add == 0) *partial = ErrorStats{};
        note_squares(params, shared.squares[0], *partial);
    });
}

// What the samples of one element say: the moves are relative to the program's value, where it is not 0.
struct SampleSpread {
    double centre, deviation;  // of the samples: their mean, and their standard deviation (of one: its move)
};
FUMI_DEVICE SampleSpread spread_of(double value, double mean, double squares, int samples) {
    const double unit = value != 0 ? value : 1;
    if (samples == 1) return {value, fabs(mean * unit)};
    return {value + mean * unit, sqrt(squares / (samples - 1)) * fabs(unit)};
}

FUMI_DEVICE_CALL void note_response(ErrorStats& stats, double value, SampleSpread spread, std::int64_t index,
                                    int most_bits) {
    if (!is_finite(value)) {
        ++stats.nonfinite;
        return;
    }
    if (!is_finite(spread.centre) || !is_finite(spread.deviation)) {
        ++stats.nonfinite_unexpected;
        return;
    }
    ++stats.elements;
    const double size = fabs(spread.centre), deviation = spread.deviation;
    stats.sum_g += deviation * deviation;
    stats.sum_abs_r += size * size;
    stats.max_abs_err = fmax(stats.max_abs_err, deviation);
    if (size == 0 && deviation == 0) return;
    const double relative = size > 0 ? deviation / size : INFINITY;
    ++stats.bits_elements;
    if (relative == 0)
        stats.sum_floor += most_bits;
    else if (relative < 1)
        stats.sum_floor += fmin(-log2(relative), static_cast<double>(most_bits));
    if (relative >= 0.5) ++stats.mismatches;
    if (size == 0) return;
    ++stats.rel_elements;
    stats.sum_rel_err2 += relative * relative;
    stats.max_rel_err = fmax(stats.max_rel_err, relative);
    if (!is_worse(relative, index, stats)) return;
    stats.max_ratio = relative;
    stats.worst_index = index;
    stats.worst_value = deviation;
    stats.worst_reference = spread.centre;
}

template <class T>
FUMI_DEVICE void respond(const Memory& memory, const NoiseResponseParams& params, std::uint64_t seed,
                         std::int64_t first, std::int64_t step, ErrorStats& stats) {
    const T* output = memory.at(static_cast<const T*>(params.output.data));
    const T* moved = memory.at(static_cast<const T*>(params.moved));
    double* sums = memory.at(params.sums);
    const std::int64_t count = elements_in(params.output), drawn = params.looked_at;
    const std::int64_t part = count / drawn, rest = count % drawn;
    for (std::int64_t i = first; i < drawn; i += step) {
        // The first `rest` parts are one element larger than the others.
        const std::int64_t begin = i * part + (i < rest ? i : rest), size = part + (i < rest ? 1 : 0);
        const auto index = begin + static_cast<std::int64_t>(hash(seed, static_cast<std::uint64_t>(i)) %
                                                             static_cast<std::uint64_t>(size));
        const std::int64_t at = offset_of(params.output, index);
        const double value = decode(output[at]), difference = decode(moved[at]) - value;
        // Relative, where that can be: the square of an absolute one leaves the range of a double sooner.
        const double move = value != 0 ? difference / value : difference;
        // Mean and sum of squared distances to it (Welford 1962): a fault in `value` may be far from all
        // samples.
        const bool fresh = params.sample == 0;
        const double before = fresh ? 0.0 : sums[2 * i];
        const double mean = before + (move - before) / (params.sample + 1);
        const double squares = fresh ? 0.0 : sums[2 * i + 1] + (move - before) * (move - mean);
        sums[2 * i] = mean;
        sums[2 * i + 1] = squares;
        if (params.sample + 1 == params.samples)
            note_response(stats, value, spread_of(value, mean, squares, params.samples), index,
                          format_of(params.output.type).bits);
    }
}

template <class B, class StatsState>
FUMI_DEVICE void noise_response(const B& block, const NoiseResponseParams& params, StatsScratch& shared,
                                StatsState& stats) {
    constexpr int threads = static_cast<int>(kCheckThreads);
    const std::int64_t step = static_cast<std::int64_t>(block.count()) * threads;
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        const std::uint64_t seed = drawn_again(block.memory, params.replayed, params.seed);
        const std::int64_t first = static_cast<std::int64_t>(block.index()) * threads + t;
        with_floating_type(params.output.type, [&](auto sample) {
            respond<decltype(sample)>(block.memory, params, seed, first, step, stats[t]);
        });
    });
    if (params.sample + 1 < params.samples) return;
    ErrorStats* partial = block.memory.at(params.partials) + block.index();
    block.for_each_thread([&](int t) {
        if (t == 0) merge(stats[t], *partial);
    });
    merge_threads<threads, kStatsSlots>(block, shared.slots, stats, partial);
}

}  // namespace fumi::FUMI_TARGET
