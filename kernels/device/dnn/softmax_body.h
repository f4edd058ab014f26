// Softmax and log softmax over channels, forward and backward: a block takes a row at a time.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

struct SoftmaxShared {
    Reduction<2> sums;
    ErrorStats slots[kStatsSlots];
};

// The members of a row: channels at one position, or a whole instance.
struct SoftmaxRow {
    const SoftmaxCheckParams* params;
    std::int64_t row;
    FUMI_DEVICE std::int64_t element(std::int64_t member) const {
        const std::int64_t inner = params->inner;
        return (row / inner * params->members + member) * inner + row % inner;
    }
    FUMI_DEVICE double read(const Memory& memory, const TensorView& view, std::int64_t member) const {
        return read_at(memory, view, offset_of(view, element(member)));
    }
};

template <class B, class F>
FUMI_DEVICE void for_each_member(const B& block, std::int64_t members, F f) {
    block.for_each_thread([&](int t) {
        for (std::int64_t i = t; i < members; i += kDnnThreads) f(t, i);
    });
}

template <class B, class StatsState>
FUMI_DEVICE void judge_softmax(const B& block, const SoftmaxCheckParams& params, const SoftmaxRow& row,
                               SoftmaxShared& shared, StatsState& stats) {
    const SoftmaxProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const double u = bound.u_acc;
    block.for_each_thread([&](int t) {
        shared.sums.of[0][t] = -INFINITY;
        shared.sums.of[1][t] = 0;
    });
    for_each_member(block, params.members, [&](int t, std::int64_t i) {
        shared.sums.of[0][t] = fmax(shared.sums.of[0][t], row.read(block.memory, p.x, i));
    });
    reduce(block, shared.sums, MaximumOf{});
    const double largest = shared.sums.of[0][0];
    block.sync();
    block.for_each_thread([&](int t) { shared.sums.of[0][t] = shared.sums.of[1][t] = 0; });
    for_each_member(block, params.members, [&](int t, std::int64_t i) {
        const double d = row.read(block.memory, p.x, i) - largest;
        shared.sums.of[0][t] += exp(d);
        shared.sums.of[1][t] += d > -1e4 ? exp(d) * -d : 0.0;
    });
    reduce(block, shared.sums, SumOf{});
    const double sum = shared.sums.of[0][0];
    // Relative error of the sum: each term's argument rounds, then the sum does.
    const double sum_error =
        u * (shared.sums.of[1][0] / sum + 8) + sum_spread(bound, static_cast<double>(params.members));
    block.sync();
    for_each_member(block, params.members, [&](int t, std::int64_t i) {
        const double x = row.read(block.memory, p.x, i), d = x - largest;
        Tracked y;
        double g = 0;
        if (p.kind == SoftmaxKind::softmax) {
            y.v = exp(d) / sum;
            // Twice what was measured to come near it (docs/numerics.md).
            y.e = 2 * y.v * (u * (fabs(d > -1e4 ? d : 0.0) + 8) + sum_error) + 0x1p-126;
        } else {
            y.v = d - log(sum);
            g = fabs(x) + fabs(largest) + fabs(log(sum));
            y.e = 4 * u * g + 2 * sum_error;
        }
        judge_tracked(stats[t], bound, y, g, row.read(block.memory, p.y, i), p.y.type, row.element(i));
    });
}

template <class B, class StatsState>
FUMI_DEVICE void judge_softmax_gradient(const B& block, const SoftmaxCheckParams& params,
                                        const SoftmaxRow& row, SoftmaxShared& shared, StatsState& stats) {
    const SoftmaxProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const bool log_form = p.kind == SoftmaxKind::log_softmax;
    block.for_each_thread([&](int t) { shared.sums.of[0][t] = shared.sums.of[1][t] = 0; });
    for_each_member(block, params.members, [&](int t, std::int64_t i) {
        const double term =
            row.read(block.memory, p.dy, i) * (log_form ? 1.0 : row.read(block.memory, p.y, i));
        shared.sums.of[0][t] += term;
        shared.sums.of[1][t] += fabs(term);
    });
    reduce(block, shared.sums, SumOf{});
    const Tracked sum = {shared.sums.of[0][0],
                         sum_spread(bound, static_cast<double>(params.members)) * shared.sums.of[1][0]};
    block.sync();
    const Rounding in{bound.u_acc};
    for_each_member(block, params.members, [&](int t, std::int64_t i) {
        const double y = row.read(block.memory, p.y, i), dy = row.read(block.memory, p.dy, i);
        Tracked dx;
        double g = 0;
        if (log_form) {
            const Tracked share = in.multiply({exp(y), exp(y) * bound.u_acc * (fabs(y) + 8)}, sum);
            dx = in.subtract({dy, 0}, share);
            g = fabs(dy) + fabs(share.v);
        } else {
            dx = in.multiply({y, 0}, in.subtract({dy, 0}, sum));
            // Also as y dy - y sum.
            g = fabs(y) * (fabs(dy) + fabs(sum.v));
            dx.e += 2 * bound.u_acc * g;
        }
        judge_tracked(stats[t], bound, dx, g, row.read(block.memory, p.dx, i), p.dx.type, row.element(i));
    });
}

template <class B, class StatsState>
FUMI_DEVICE void softmax_check(const B& block, const SoftmaxCheckParams& params, SoftmaxShared& shared,
                               StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.checked; i += block.count()) {
        const SoftmaxRow row{&params, draw(i, params.checked, params.rows, seed)};
        if (params.problem.backward != 0) {
            judge_softmax_gradient(block, params, row, shared, stats);
        } else {
            judge_softmax(block, params, row, shared, stats);
        }
        block.sync();
    }
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
