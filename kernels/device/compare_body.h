// The body of the comparison kernel (kernels/compare.h).
#pragma once
#include "kernels/compare.h"
#include "kernels/device/gemm_check_body.h"

namespace fumi::FUMI_TARGET {

// From the number of an element to its offset, dimension 0 fastest. 32-bit divisions where they do: a GPU has
// none of 64 bits.
FUMI_DEVICE std::int64_t offset_of(const Strided& view, std::int64_t number) {
    std::int64_t offset = 0;
    auto rest = static_cast<std::uint64_t>(number);
    for (int d = 0; d < kStridedRank && rest > 0; ++d) {
        const auto size = static_cast<std::uint64_t>(view.size[d]);
        if (size <= 1) continue;
        std::uint64_t index = 0;
        if ((rest | size) >> 32 == 0) {
            const auto narrow = static_cast<std::uint32_t>(rest), by = static_cast<std::uint32_t>(size);
            index = narrow % by;
            rest = narrow / by;
        } else {
            index = rest % size;
            rest /= size;
        }
        offset += static_cast<std::int64_t>(index) * view.stride[d];
    }
    return offset;
}

FUMI_DEVICE std::int64_t elements_in(const Strided& view) {
    std::int64_t count = 1;
    for (int d = 0; d < kStridedRank; ++d) count *= view.size[d];
    return count;
}

template <class T>
FUMI_DEVICE bool same_bits(T a, T b) {
    const auto* x = reinterpret_cast<const unsigned char*>(&a);
    const auto* y = reinterpret_cast<const unsigned char*>(&b);
    bool same = true;
    for (std::size_t i = 0; i < sizeof(T); ++i) same = same && x[i] == y[i];
    return same;
}
FUMI_DEVICE bool same_bits(double a, double b) {
    return bits_of<std::uint64_t>(a) == bits_of<std::uint64_t>(b);
}
FUMI_DEVICE bool same_bits(float a, float b) {
    return bits_of<std::uint32_t>(a) == bits_of<std::uint32_t>(b);
}

FUMI_DEVICE_CALL void note_difference(ErrorStats& stats, double a, double b, std::int64_t index) {
    if (a != a && b != b) {
        ++stats.nonfinite_reference;
        return;
    }
    ++stats.mismatches;
    const double distance = is_finite(a) && is_finite(b) ? fabs(a - b) : INFINITY;
    stats.max_abs_err = fmax(stats.max_abs_err, distance);
    if (a != 0) stats.max_rel_err = fmax(stats.max_rel_err, distance / fabs(a));
    if (!is_worse(distance, index, stats)) return;
    stats.max_ratio = distance;
    stats.worst_index = index;
    stats.worst_value = b;
    stats.worst_reference = a;
}

FUMI_DEVICE void measure_distance(ErrorStats& stats, double a, double b) {
    if (!is_finite(a) || !is_finite(b)) {
        ++stats.nonfinite;
        return;
    }
    const double distance = fabs(a - b), sum = fabs(a + b);
    ++stats.elements;
    stats.max_abs_err = fmax(stats.max_abs_err, distance);
    stats.sum_g += distance * distance;
    stats.sum_abs_r += a * a;
    stats.see += fabs(a);
    stats.sez += fabs(b);
    stats.max_eta = fmax(stats.max_eta, fabs(a));
    stats.max_ratio = fmax(stats.max_ratio, fabs(b));
    if (sum > 0) stats.max_kappa = fmax(stats.max_kappa, distance / sum);
    if (a == 0) return;
    const double relative = distance / fabs(a);
    stats.max_rel_err = fmax(stats.max_rel_err, relative);
    stats.sum_rel_err2 += relative * relative;
    ++stats.rel_elements;
}

template <class T>
FUMI_DEVICE void compare_elements(const Memory& memory, const CompareParams& params, std::int64_t first,
                                  std::int64_t step, ErrorStats& stats) {
    const T* a = memory.at(static_cast<const T*>(params.a.data));
    const T* b = memory.at(static_cast<const T*>(params.b));
    const std::int64_t count = elements_in(params.a);
    for (std::int64_t i = first; i < count; i += step) {
        const std::int64_t at = offset_of(params.a, i);
        const T raw_a = a[at], raw_b = b[at];
        if (params.bitwise == 0) {
            measure_distance(stats, decode(raw_a), decode(raw_b));
            continue;
        }
        ++stats.elements;
        const double value = decode(raw_a);
        if (!is_finite(value)) ++stats.nonfinite;
        if (!same_bits(raw_a, raw_b)) note_difference(stats, value, decode(raw_b), params.first_index + i);
    }
}

// Real types only: complex numbers come as their parts.
template <class F>
FUMI_DEVICE void with_real_type(DataType type, F f) {
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
        default:
            return f(float{});
    }
}

struct StatsScratch {
    ErrorStats slots[kStatsSlots];
};

template <class B, class StatsState>
FUMI_DEVICE void compare_results(const B& block, const CompareParams& params, StatsScratch& shared,
                                 StatsState& stats) {
    constexpr int threads = static_cast<int>(kCheckThreads);
    const std::int64_t step = static_cast<std::int64_t>(block.count()) * threads;
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        const std::int64_t first = static_cast<std::int64_t>(block.index()) * threads + t;
        with_real_type(params.a.type, [&](auto sample) {
            compare_elements<decltype(sample)>(block.memory, params, first, step, stats[t]);
        });
    });
    ErrorStats* partial = block.memory.at(params.partials) + block.index();
    block.for_each_thread([&](int t) {
        if (t == 0 && params.add != 0) merge(stats[t], *partial);
    });
    merge_threads<threads, kStatsSlots>(block, shared.slots, stats, partial);
}

}  // namespace fumi::FUMI_TARGET
