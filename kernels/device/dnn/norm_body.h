// Batch normalization: a block takes a group (a channel, or one activation of it) at a time, sums over it in
// two passes and judges what was written for it. Bounds: docs/numerics.md, batch norm.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

enum NormOutput : int {
    kNormY,
    kNormMean,
    kNormInvStd,
    kNormRunningMean,
    kNormRunningVariance,
    kNormDx,
    kNormDz,
    kNormDscale,
    kNormDbias
};

struct NormShared {
    Reduction<4> sums;
    ErrorStats slots[kStatsSlots];
};

// The members of a group: all n and, in spatial mode, all positions.
struct NormGroup {
    const BatchNormCheckParams* params;
    std::int64_t index, members;

    FUMI_DEVICE NormGroup(const BatchNormCheckParams& of, std::int64_t group)
        : params(&of), index(group), members(of.members) {}
    // The member's logical element in x, y, dx... .
    FUMI_DEVICE std::int64_t element(std::int64_t member) const {
        const std::int64_t inner = params->inner, channels = params->channels;
        if (params->problem.mode == NormMode::per_activation) return member * channels * inner + index;
        return (member / inner * channels + index) * inner + member % inner;
    }
};

// What a group is normalized by, and how far a legal kernel may be off.
struct NormScale {
    Tracked mean, inv_std;
    double variance = 0, variance_error = 0;
};

FUMI_DEVICE double parameter(const Memory& memory, const BatchNormProblem& p, const void* of,
                             std::int64_t group) {
    return read_real(memory, of, group, p.parameters);
}

// 1 / sqrt(variance + epsilon) where the variance is off by up to `error`.
FUMI_DEVICE Tracked inverse_root(const BoundNumbers& bound, double variance, double error, double epsilon) {
    const double exact = 1 / sqrt(variance + epsilon);
    const double low = fmax(variance - error, 0.0) + epsilon * (1 - 4 * bound.u_acc);
    const double high = 1 / sqrt(low) - exact, down = exact - 1 / sqrt(variance + error + epsilon);
    // A one-pass form may leave a variance of 0, which lies at the end of the interval: what its root and
    // product round counts from there.
    return {exact, fmax(high, down) * (1 + 8 * bound.u_acc) + 4 * bound.u_acc * exact};
}

template <class B>
FUMI_DEVICE NormScale statistics(const B& block, const BoundNumbers& bound, const NormGroup& group,
                                 NormShared& shared) {
    const BatchNormProblem& p = group.params->problem;
    constexpr int threads = static_cast<int>(kDnnThreads);
    const double m = static_cast<double>(group.members);
    block.for_each_thread([&](int t) {
        double sum = 0, size = 0, square = 0;
        for (std::int64_t i = t; i < group.members; i += threads) {
            const double x = read_at(block.memory, p.x, offset_of(p.x, group.element(i)));
            sum += x;
            size += fabs(x);
            square += x * x;
        }
        shared.sums.of[0][t] = sum;
        shared.sums.of[1][t] = size;
        shared.sums.of[2][t] = square;
        shared.sums.of[3][t] = 0;
    });
    reduce(block, shared.sums, SumOf{});
    NormScale scale;
    scale.mean.v = shared.sums.of[0][0] / m;
    scale.mean.e = sum_spread(bound, m) * shared.sums.of[1][0] / m;
    const double square = shared.sums.of[2][0] / m;
    block.sync();
    block.for_each_thread([&](int t) {
        double sum = 0;
        for (std::int64_t i = t; i < group.members; i += threads) {
            const double x = read_at(block.memory, p.x, offset_of(p.x, group.element(i))) - scale.mean.v;
            sum += x * x;
        }
        shared.sums.of[0][t] = sum;
    });
    reduce(block, shared.sums, SumOf{});
    scale.variance = shared.sums.of[0][0] / m;
    block.sync();
    // The one-pass form E[x^2] - mean^2 is legal: libraries use it. It is never better than the two-pass
    // form.
    scale.variance_error = (sum_spread(bound, m) + 3 * bound.u_acc) * (square + scale.mean.v * scale.mean.v) +
                           scale.mean.e * scale.mean.e;
    scale.inv_std = inverse_root(bound, scale.variance, scale.variance_error, p.epsilon);
    return scale;
}

FUMI_DEVICE Tracked normalized(const BoundNumbers& bound, const NormScale& s, double x) {
    // Also as a x + b with a = scale inv_std, where x and mean cancel late.
    const double d = x - s.mean.v;
    const double e = fabs(d) * s.inv_std.e +
                     (s.mean.e + 3 * bound.u_acc * (fabs(x) + fabs(s.mean.v))) * (s.inv_std.v + s.inv_std.e);
    return {d * s.inv_std.v, e};
}

template <class B, class StatsState>
FUMI_DEVICE void judge_y(const B& block, const BatchNormCheckParams& params, const NormGroup& group,
                         const NormScale& scale, StatsState& stats) {
    const BatchNormProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const Rounding in{bound.u_acc};
    block.for_each_thread([&](int t) {
        const Tracked weight = {parameter(block.memory, p, p.scale, group.index), 0};
        const double bias = parameter(block.memory, p, p.bias, group.index);
        for (std::int64_t i = t; i < group.members; i += kDnnThreads) {
            const std::int64_t element = group.element(i);
            const double x = read_at(block.memory, p.x, offset_of(p.x, element));
            const Tracked product = in.multiply(weight, normalized(bound, scale, x));
            Tracked y = in.add(product, {bias, bound.u_acc * fabs(bias)});
            double g = fabs(product.v) + fabs(bias);
            if (p.has_addend != 0) {
                const double z = read_at(block.memory, p.z, offset_of(p.z, element));
                y = in.add(y, {z, 0});
                g += fabs(z);
            }
            if (p.activation == Activation::relu) y = in.relu(y);
            judge_tracked(stats[t], bound, y, g, read_at(block.memory, p.y, offset_of(p.y, element)),
                          p.y.type, index_in(kNormY, element));
        }
    });
}

FUMI_DEVICE_CALL void judge_running(const Memory& memory, const BatchNormCheckParams& params,
                                    const NormGroup& group, const NormScale& scale, ErrorStats& stats) {
    const BatchNormProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const double f = p.momentum, m = static_cast<double>(group.members);
    const auto judge = [&](const void* after, const void* before, double now, double error, int output) {
        if (after == nullptr) return;
        const double old = before == nullptr || f == 1 ? 0.0 : parameter(memory, p, before, group.index);
        const double g = fabs((1 - f) * old) + fabs(f * now);
        judge_tracked(stats, bound, {(1 - f) * old + f * now, f * error + 4 * bound.u_acc * g}, g,
                      parameter(memory, p, after, group.index), p.parameters, index_in(output, group.index));
    };
    const double unbiased = m > 1 ? m / (m - 1) : 1;
    judge(p.running_mean, p.running_mean_before, scale.mean.v, scale.mean.e, kNormRunningMean);
    judge(p.running_variance, p.running_variance_before, scale.variance * unbiased,
          scale.variance_error * unbiased, kNormRunningVariance);
    if (p.saved_mean != nullptr)
        judge_tracked(stats, bound, scale.mean, fabs(scale.mean.v),
                      parameter(memory, p, p.saved_mean, group.index), p.parameters,
                      index_in(kNormMean, group.index));
    if (p.saved_inv_std != nullptr)
        judge_tracked(stats, bound, scale.inv_std, scale.inv_std.v,
                      parameter(memory, p, p.saved_inv_std, group.index), p.parameters,
                      index_in(kNormInvStd, group.index));
}

FUMI_DEVICE double gradient_of_y(const Memory& memory, const BatchNormProblem& p, std::int64_t element) {
    if (p.activation == Activation::relu && !(read_at(memory, p.y, offset_of(p.y, element)) > 0)) return 0;
    return read_at(memory, p.dy, offset_of(p.dy, element));
}

template <class B, class StatsState>
FUMI_DEVICE void judge_backward(const B& block, const BatchNormCheckParams& params, const NormGroup& group,
                                const NormScale& scale, NormShared& shared, StatsState& stats) {
    const BatchNormProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const double m = static_cast<double>(group.members), u = bound.u_acc;
    block.for_each_thread([&](int t) {
        double bias = 0, bias_size = 0, weight = 0, weight_error = 0;
        for (std::int64_t i = t; i < group.members; i += kDnnThreads) {
            const std::int64_t element = group.element(i);
            const double dy = gradient_of_y(block.memory, p, element);
            const double x = read_at(block.memory, p.x, offset_of(p.x, element));
            const Tracked hat = normalized(bound, scale, x);
            bias += dy;
            bias_size += fabs(dy);
            weight += dy * hat.v;
            // Also as inv_std (sum dy x - mean sum dy).
            weight_error += fabs(dy) * (hat.e + (sum_spread(bound, m) + 2 * u) *
                                                    (fabs(x) + fabs(scale.mean.v)) * scale.inv_std.v);
        }
        shared.sums.of[0][t] = bias;
        shared.sums.of[1][t] = bias_size;
        shared.sums.of[2][t] = weight;
        shared.sums.of[3][t] = weight_error;
    });
    reduce(block, shared.sums, SumOf{});
    const Tracked dbias = {shared.sums.of[0][0], sum_spread(bound, m) * shared.sums.of[1][0]};
    const Tracked dscale = {shared.sums.of[2][0], shared.sums.of[3][0]};
    const double size = shared.sums.of[1][0];
    block.sync();
    const Rounding in{u};
    block.for_each_thread([&](int t) {
        if (t == 0 && p.dbias != nullptr)
            judge_tracked(stats[t], bound, dbias, size, parameter(block.memory, p, p.dbias, group.index),
                          p.parameters, index_in(kNormDbias, group.index));
        if (t == 0 && p.dscale != nullptr)
            judge_tracked(stats[t], bound, dscale, fabs(dscale.v),
                          parameter(block.memory, p, p.dscale, group.index), p.parameters,
                          index_in(kNormDscale, group.index));
        const Tracked a = in.multiply({parameter(block.memory, p, p.scale, group.index), 0}, scale.inv_std);
        for (std::int64_t i = t; i < group.members; i += kDnnThreads) {
            const std::int64_t element = group.element(i);
            const double dy = gradient_of_y(block.memory, p, element);
            const double x = read_at(block.memory, p.x, offset_of(p.x, element));
            const Tracked part = in.multiply(normalized(bound, scale, x), dscale);
            const double share = (fabs(part.v) + fabs(dbias.v)) / m;
            Tracked inside = {dy - (dbias.v + part.v) / m,
                              (dbias.e + part.e) / m + 4 * u * (fabs(dy) + share)};
            judge_tracked(stats[t], bound, in.multiply(a, inside), fabs(a.v) * (fabs(dy) + share),
                          read_at(block.memory, p.dx, offset_of(p.dx, element)), p.dx.type,
                          index_in(kNormDx, element));
            if (p.dz.data != nullptr)
                judge_tracked(stats[t], bound, {dy, 0}, fabs(dy),
                              read_at(block.memory, p.dz, offset_of(p.dz, element)), p.dz.type,
                              index_in(kNormDz, element));
        }
    });
}

template <class B, class StatsState>
FUMI_DEVICE void batch_norm_check(const B& block, const BatchNormCheckParams& params, NormShared& shared,
                                  StatsState& stats) {
    const BatchNormProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.checked; i += block.count()) {
        const NormGroup group(params, draw(i, params.checked, params.groups, seed));
        NormScale scale;
        if (p.direction == NormDirection::forward_inference) {
            scale.mean.v = parameter(block.memory, p, p.mean, group.index);
            scale.inv_std =
                inverse_root(bound, parameter(block.memory, p, p.variance, group.index), 0, p.epsilon);
        } else if (p.direction == NormDirection::backward && p.saved_mean != nullptr &&
                   p.saved_inv_std != nullptr) {
            scale.mean.v = parameter(block.memory, p, p.saved_mean, group.index);
            scale.inv_std.v = parameter(block.memory, p, p.saved_inv_std, group.index);
        } else {
            scale = statistics(block, bound, group, shared);
        }
        if (p.direction == NormDirection::backward) {
            judge_backward(block, params, group, scale, shared, stats);
        } else {
            judge_y(block, params, group, scale, stats);
        }
        if (p.direction == NormDirection::forward_training) {
            block.for_each_thread([&](int t) {
                if (t == 0) judge_running(block.memory, params, group, scale, stats[t]);
            });
        }
        block.sync();
    }
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
