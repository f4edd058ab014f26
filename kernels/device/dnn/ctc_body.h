// CTC (Graves et al. 2006): a block takes a sequence at a time and keeps the forward and backward variables
// of all steps in scratch, as logarithms with their errors.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

enum CtcOutput : int { kCtcCost, kCtcGradient };

struct CtcShared {
    ErrorStats slots[kStatsSlots];
};

// log(e^a + e^b). The error of a logarithm of a sum is at most the larger of its terms'.
FUMI_DEVICE Tracked log_add(double u, Tracked a, Tracked b) {
    if (a.v == -INFINITY) return b;
    if (b.v == -INFINITY) return a;
    const double high = fmax(a.v, b.v), low = fmin(a.v, b.v), v = high + log1p(exp(low - high));
    return {v, fmax(a.e, b.e) + 4 * u * (fabs(v) + 1)};
}

struct CtcSequence {
    const Memory& memory;
    const CtcProblem& p;
    double u;
    std::int64_t b, steps, labels, states, first_label;
    Tracked *log_y, *alpha, *beta;  // steps x classes; steps x (2 longest + 1), twice

    FUMI_DEVICE CtcSequence(const Memory& m, const CtcCheckParams& params, std::int64_t entry,
                            std::int64_t place)
        : memory(m), p(params.problem), u(params.common.bound.u_acc), b(entry) {
        const auto* lengths = m.at(static_cast<const std::int32_t*>(p.label_lengths));
        steps = m.at(static_cast<const std::int32_t*>(p.input_lengths))[b];
        if (steps > p.steps) steps = p.steps;
        labels = lengths[b];
        first_label = 0;
        for (std::int64_t i = 0; i < b; ++i) first_label += lengths[i];
        states = 2 * labels + 1;
        const std::int64_t widest = 2 * std::int64_t{p.longest_label} + 1;
        log_y = reinterpret_cast<Tracked*>(m.at(params.work)) + place * params.entry_size;
        alpha = log_y + std::int64_t{p.steps} * p.classes;
        beta = alpha + p.steps * widest;
    }
    FUMI_DEVICE std::int64_t label(std::int64_t state) const {
        if (state % 2 == 0) return p.blank;
        return memory.at(static_cast<const std::int32_t*>(p.labels))[first_label + state / 2];
    }
    FUMI_DEVICE std::int64_t input_at(std::int64_t t) const { return (t * p.batch + b) * p.classes; }
    FUMI_DEVICE double input(std::int64_t t, std::int64_t k) const {
        return memory.at(static_cast<const float*>(p.inputs))[input_at(t) + k];
    }
    // A state may be skipped where it is blank or repeats the label before it.
    FUMI_DEVICE bool may_skip(std::int64_t state) const {
        return state % 2 == 1 && state >= 3 && label(state) != label(state - 2);
    }
    FUMI_DEVICE Tracked term(std::int64_t t, std::int64_t state, Tracked x) const {
        const Tracked y = log_y[t * p.classes + label(state)];
        const double v = x.v + y.v;
        return {v, x.v == -INFINITY ? 0.0 : x.e + y.e + u * fabs(v)};
    }
};

// The logarithms of the probabilities at every step: of logits by softmax, else as they are.
template <class B>
FUMI_DEVICE void ctc_probabilities(const B& block, const CtcSequence& s) {
    const CtcProblem& p = s.p;
    block.for_each_thread([&](int thread) {
        for (std::int64_t t = thread; t < s.steps; t += kDnnThreads) {
            double largest = -INFINITY, sum = 0, spread = 0;
            for (int k = 0; k < p.classes; ++k) largest = fmax(largest, s.input(t, k));
            for (int k = 0; k < p.classes; ++k) {
                const double d = s.input(t, k) - largest;
                sum += exp(d);
                spread += d > -1e4 ? exp(d) * -d : 0.0;
            }
            for (int k = 0; k < p.classes; ++k) {
                const double x = s.input(t, k);
                Tracked y = {x - largest - log(sum), 0};
                y.e = s.u *
                      (fabs(x) + fabs(largest) + fabs(y.v) + spread / sum + 2 * sqrt(1.0 * p.classes) + 16);
                if (p.softmax == 0) y = {log(x), 4 * s.u * (fabs(log(x)) + 1)};
                s.log_y[t * p.classes + k] = y;
            }
        }
    });
    block.sync();
}

template <class B>
FUMI_DEVICE void ctc_variables(const B& block, const CtcSequence& s) {
    const Tracked none = {-INFINITY, 0};
    for (std::int64_t i = 0; i < s.steps; ++i) {
        block.for_each_thread([&](int thread) {
            for (std::int64_t j = thread; j < s.states; j += kDnnThreads) {
                // Forward at step i; backward at the step as far from the end, both with the step's own y.
                Tracked from = none;
                if (i == 0) {
                    if (j <= 1) from = {0, 0};
                } else {
                    const Tracked* before = s.alpha + (i - 1) * s.states;
                    from = before[j];
                    if (j >= 1) from = log_add(s.u, from, before[j - 1]);
                    if (s.may_skip(j)) from = log_add(s.u, from, before[j - 2]);
                }
                s.alpha[i * s.states + j] = s.term(i, j, from);
                const std::int64_t t = s.steps - 1 - i;
                from = none;
                if (i == 0) {
                    if (j >= s.states - 2) from = {0, 0};
                } else {
                    const Tracked* after = s.beta + (t + 1) * s.states;
                    from = after[j];
                    if (j + 1 < s.states) from = log_add(s.u, from, after[j + 1]);
                    if (j + 2 < s.states && s.may_skip(j + 2)) from = log_add(s.u, from, after[j + 2]);
                }
                s.beta[t * s.states + j] = s.term(t, j, from);
            }
        });
        block.sync();
    }
}

// The gradient by the input at (t, k): y - (share of the paths that emit k at t), of logits; -share / y of
// probabilities.
FUMI_DEVICE_CALL Tracked ctc_gradient(const CtcSequence& s, Tracked total, std::int64_t t, std::int64_t k,
                                      double& size) {
    const Tracked y = s.log_y[t * s.p.classes + k];
    Tracked share = {-INFINITY, 0};
    for (std::int64_t j = 0; j < s.states; ++j) {
        if (s.label(j) != k) continue;
        const Tracked a = s.alpha[t * s.states + j], b = s.beta[t * s.states + j];
        if (a.v == -INFINITY || b.v == -INFINITY) continue;
        const double v = a.v + b.v - y.v - total.v;
        share = log_add(s.u, share,
                        {v, a.e + b.e + y.e + total.e + 2 * s.u * (fabs(a.v) + fabs(b.v) + fabs(total.v))});
    }
    const double emitted = share.v == -INFINITY ? 0.0 : exp(share.v);
    const double emitted_error = emitted * expm1(fmin(share.e, 50.0)) + 4 * s.u * emitted;
    const double p = exp(y.v), p_error = p * expm1(fmin(y.e, 50.0)) + 4 * s.u * p;
    if (s.p.softmax != 0) {
        size = p + emitted;
        return {p - emitted, p_error + emitted_error + s.u * size};
    }
    size = emitted / p;
    return {-emitted / p, (emitted_error + emitted * p_error / p) / p + 2 * s.u * size};
}

template <class B, class StatsState>
FUMI_DEVICE void ctc_judge(const B& block, const CtcCheckParams& params, const CtcSequence& s,
                           StatsState& stats) {
    const CtcProblem& p = s.p;
    const BoundNumbers& bound = params.common.bound;
    const Tracked* last = s.alpha + (s.steps - 1) * s.states;
    Tracked total = last[s.states - 1];
    if (s.states > 1) total = log_add(s.u, total, last[s.states - 2]);
    const bool possible = total.v != -INFINITY;
    block.for_each_thread([&](int thread) {
        if (thread == 0) {
            const double cost = block.memory.at(static_cast<const float*>(p.costs))[s.b];
            if (possible) {
                judge_tracked(stats[thread], bound, {-total.v, total.e}, fabs(total.v), cost, DataType::f32,
                              index_in(kCtcCost, s.b));
            } else {  // no path gives the labels: infinity, or 0 where that is asked for
                ++stats[thread].nonfinite_reference;
            }
        }
        if (p.gradients == nullptr || !possible) return;
        const float* gradients = block.memory.at(static_cast<const float*>(p.gradients));
        for (std::int64_t i = thread; i < s.steps * p.classes; i += kDnnThreads) {
            const std::int64_t t = i / p.classes, k = i % p.classes, at = s.input_at(t) + k;
            double size = 0;
            const Tracked g = ctc_gradient(s, total, t, k, size);
            judge_tracked(stats[thread], bound, g, size, gradients[at], DataType::f32,
                          index_in(kCtcGradient, at));
        }
    });
    block.sync();
}

template <class B, class StatsState>
FUMI_DEVICE void ctc_check(const B& block, const CtcCheckParams& params, CtcShared& shared,
                           StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.checked; i += block.count()) {
        const CtcSequence s(block.memory, params, draw(i, params.checked, params.problem.batch, seed),
                            block.index());
        if (s.steps < 1 || s.labels < 0 || s.labels > params.problem.longest_label) continue;
        ctc_probabilities(block, s);
        ctc_variables(block, s);
        ctc_judge(block, params, s, stats);
    }
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
