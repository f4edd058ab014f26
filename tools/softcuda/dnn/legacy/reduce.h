// Sums in the order that a block of threads forms them, and what planted faults do to them.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/number.h"

namespace softcuda::dnn::legacy {

// A run of a call that goes wrong as the plan says; without a plan it goes right.
struct Deviation {
    const faults::Plan* plan = nullptr;
    std::uint64_t run = 0;  // distinguishes runs of a nondeterministic fault
    faults::Where where{};  // filled in by the run, for the log

    bool is(faults::Kind kind) const noexcept { return plan != nullptr && plan->kind == kind; }
    bool in_sum() const noexcept {
        return is(faults::Kind::drop_k) || is(faults::Kind::fp16_accumulate) ||
               is(faults::Kind::nondeterministic);
    }
};

inline float bfloat16_rounded(float x) noexcept {
    return blas::to_float(blas::to_bfloat16(x));
}
inline float half_rounded(float x) noexcept {
    return blas::to_float(blas::to_half(x));
}
inline float tf32_rounded(float x) noexcept {
    if (!std::isfinite(x)) return x;
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u);
}

// An input as the plan has it read.
template <class T>
T as_input(T x, const Deviation& deviation) noexcept {
    if (deviation.plan == nullptr) return x;
    if (deviation.is(faults::Kind::round_inputs_bf16)) return bfloat16_rounded(static_cast<float>(x));
    if (deviation.is(faults::Kind::round_inputs_tf32)) return tf32_rounded(static_cast<float>(x));
    return x;
}

// The sum of term(0) .. term(count - 1): 256 threads with every 256th term, then a tree.
template <class T, class Term>
T sum(std::int64_t count, Term term) noexcept {
    constexpr std::int64_t threads = 256;
    std::array<T, threads> partial{};
    std::int64_t i = 0;
    for (; i + threads <= count; i += threads)
        for (std::int64_t thread = 0; thread < threads; ++thread) partial[thread] += term(i + thread);
    for (std::int64_t thread = 0; i + thread < count; ++thread) partial[thread] += term(i + thread);
    for (std::int64_t half = threads / 2; half > 0; half /= 2)
        for (std::int64_t thread = 0; thread < half; ++thread) partial[thread] += partial[thread + half];
    return partial[0];
}

// The same with the plan's fault: a term left out (deviation.where.k), partial sums of too few bits.
template <class T, class Term>
T sum(std::int64_t count, Term term, const Deviation& deviation) noexcept {
    if (!deviation.in_sum()) return sum<T>(count, term);
    if (deviation.is(faults::Kind::drop_k)) {
        const std::int64_t lost = deviation.where.k;
        return sum<T>(count, [&](std::int64_t i) { return i == lost ? T{} : term(i); });
    }
    const bool half = deviation.is(faults::Kind::fp16_accumulate);
    const auto rounded = [half](T x) {
        const auto narrow = static_cast<float>(x);
        return static_cast<T>(half ? half_rounded(narrow) : bfloat16_rounded(narrow));
    };
    faults::Random random(*deviation.plan, deviation.run);
    const std::int64_t parts =
        std::clamp<std::int64_t>(deviation.plan->parts.value_or(8), 1, std::max<std::int64_t>(count, 1));
    T total{};
    for (std::int64_t first = 0; first < count;) {
        const std::int64_t piece = half ? 16 : 1 + random.below(2 * ((count + parts - 1) / parts));
        const std::int64_t last = std::min(count, first + piece);
        T part{};
        for (std::int64_t i = first; i < last; ++i) part += term(i);
        total = rounded(total + rounded(part));
        first = last;
    }
    return total;
}

}  // namespace softcuda::dnn::legacy
