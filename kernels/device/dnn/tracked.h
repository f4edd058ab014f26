// Running error analysis (Wilkinson 1963; Higham 2002, 3.3): beside each value of the reference goes how far
// the value of a legal kernel may lie from it, so that the bound follows the data through any composition.
#pragma once
#include "kernels/device/dnn/common.h"

namespace fumi::FUMI_TARGET {

struct Tracked {
    double v = 0, e = 0;
};

// The arithmetic of a kernel that rounds to u: each operation carries the errors of its operands on and adds
// its own.
struct Rounding {
    double u;

    FUMI_DEVICE Tracked rounded(double v, double e) const { return {v, e + u * fabs(v)}; }
    FUMI_DEVICE Tracked add(Tracked a, Tracked b) const { return rounded(a.v + b.v, a.e + b.e); }
    FUMI_DEVICE Tracked subtract(Tracked a, Tracked b) const { return rounded(a.v - b.v, a.e + b.e); }
    FUMI_DEVICE Tracked multiply(Tracked a, Tracked b) const {
        return rounded(a.v * b.v, fabs(a.v) * b.e + fabs(b.v) * a.e + a.e * b.e);
    }
    // The functions are allowed 4 u beside the error of their argument: what CUDA's fast forms keep to, in
    // absolute terms, where the result is of order 1.
    FUMI_DEVICE Tracked sigmoid(Tracked a) const {
        const double s = 1 / (1 + exp(-a.v));
        // |s'| <= s(1 - s) e^|d| within d of a
        return {s, fmin(s * (1 - s) * a.e * exp(fmin(a.e, 1.0)), 1.0) + 4 * u};
    }
    FUMI_DEVICE Tracked tanh_of(Tracked a) const {
        const double t = tanh(a.v);
        return {t, fmin((1 - t * t) * a.e * exp(fmin(2 * a.e, 2.0)), 2.0) + 4 * u};
    }
    FUMI_DEVICE Tracked relu(Tracked a) const { return {a.v > 0 ? a.v : 0.0, a.e}; }
};

// What sums of `k` products add to the error, relative to the sum of their magnitudes (docs/numerics.md, 3).
FUMI_DEVICE double spread_of(const BoundNumbers& bound, double k) {
    return bound.u_acc * (2 * sqrt(k) + bound.beta_t * k + 2) + bound.input_error;
}
// The same for plain sums, which no tensor core takes.
FUMI_DEVICE double sum_spread(const BoundNumbers& bound, double k) {
    return bound.u_acc * (2 * sqrt(k) + 2);
}

// fp64 data: the reference is no better than the kernel, and its own error counts as well.
FUMI_DEVICE bool reference_counts(const BoundNumbers& bound) {
    return bound.u_acc < 0x1p-40;
}

// Judges one element of an output: `g` is the magnitude that flowed into it.
FUMI_DEVICE_CALL void judge_tracked(ErrorStats& stats, const BoundNumbers& bound, Tracked reference, double g,
                                    double value, DataType type, std::int64_t index) {
    Output out = {};
    out.reference.re = {reference.v, 0.0};
    out.value = {value, 0.0};
    out.type = type;
    out.bound = reference.e * (reference_counts(bound) ? 2.0 : 1.0) + 4 * bound.underflow;
    out.g = fmax(g, fabs(reference.v));
    out.may_mask_nan = false;
    if (!is_finite(out.bound)) out.bound = 0x1p1000;
    if (!is_finite(value) && !is_finite(reference.v)) ++stats.nonfinite_inputs;
    if (bound.measures != 0) measure(stats, out.value, {reference.v, 0.0});
    if (!settle_nonfinite(stats, bound, out, out.g, index)) compare(stats, bound, out, index, false);
}

// Outputs of one problem are told apart in ErrorStats::worst_index by the bits above this.
inline constexpr int kOutputShift = 48;
FUMI_DEVICE std::int64_t index_in(int output, std::int64_t element) {
    return (static_cast<std::int64_t>(output) << kOutputShift) | element;
}

// Sums (and maxima) over the threads of a block.
template <int kValues>
struct Reduction {
    double of[kValues][kDnnThreads];
};
struct SumOf {
    FUMI_DEVICE double operator()(double a, double b) const { return a + b; }
};
struct MaximumOf {
    FUMI_DEVICE double operator()(double a, double b) const { return fmax(a, b); }
};
// Every of[i][t] is set before; after, of[i][0] holds the result for all.
template <int kValues, class B, class F>
FUMI_DEVICE void reduce(const B& block, Reduction<kValues>& shared, F combine) {
    block.sync();
    for (int half = static_cast<int>(kDnnThreads) / 2; half > 0; half /= 2) {
        block.for_each_thread([&](int t) {
            if (t >= half) return;
            for (int i = 0; i < kValues; ++i)
                shared.of[i][t] = combine(shared.of[i][t], shared.of[i][t + half]);
        });
        block.sync();
    }
}

// A view's element `index`, counted with the last dimension fastest.
FUMI_DEVICE std::int64_t offset_of(const TensorView& view, std::int64_t index) {
    std::int64_t offset = 0;
    for (int d = view.rank - 1; d > 0; --d) {
        const std::int64_t size = view.size[d];
        offset += index % size * view.stride[d];
        index /= size;
    }
    return offset + index * view.stride[0];
}
FUMI_DEVICE double read_at(const Memory& memory, const TensorView& view, std::int64_t offset) {
    return read_real(memory, view.data, offset, view.type);
}

// What every check kernel ends with: the statistics of its threads as the block's partial.
template <class B, class StatsState>
FUMI_DEVICE void finish(const B& block, const CheckCommon& common, ErrorStats* slots, StatsState& stats) {
    block.sync();
    merge_threads<static_cast<int>(kDnnThreads), kStatsSlots>(
        block, slots, stats, block.memory.at(common.partials) + block.index());
}

}  // namespace fumi::FUMI_TARGET
