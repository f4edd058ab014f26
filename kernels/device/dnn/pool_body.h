// Pooling, forward and backward: a thread takes an output element at a time.
#pragma once
#include "kernels/device/dnn/conv_places.h"
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

// One window of the output: where it lies in x, cut to what is inside.
struct Window {
    std::int64_t begin[kMostSpatial] = {0, 0, 0}, end[kMostSpatial] = {1, 1, 1};
    std::int64_t base = 0;      // offset of (n, c) in x
    double size = 1, area = 1;  // elements inside, and with padding

    FUMI_DEVICE Window(const PoolProblem& p, const Coordinates& at, std::int64_t plane) {
        base = plane / p.x.size[1] * p.x.stride[0] + plane % p.x.size[1] * p.x.stride[1];
        for (int d = 0; d < p.spatial; ++d) {
            const std::int64_t from = at.at[d] * p.stride[d] - p.padding[d], to = from + p.window[d];
            begin[d] = from > 0 ? from : 0;
            end[d] = smaller(to, p.x.size[2 + d]);
            size *= static_cast<double>(end[d] > begin[d] ? end[d] - begin[d] : 0);
            area *= static_cast<double>(p.window[d]);
        }
    }
    // Calls f(offset in x) for every element, row-major.
    template <class F>
    FUMI_DEVICE void for_each(const PoolProblem& p, F f) const {
        const std::int64_t s0 = p.x.stride[2], s1 = p.spatial > 1 ? p.x.stride[3] : 0,
                           s2 = p.spatial > 2 ? p.x.stride[4] : 0;
        for (std::int64_t i = begin[0]; i < end[0]; ++i)
            for (std::int64_t j = begin[1]; j < end[1]; ++j)
                for (std::int64_t k = begin[2]; k < end[2]; ++k) f(base + i * s0 + j * s1 + k * s2);
    }
    FUMI_DEVICE double divisor(const PoolProblem& p) const {
        return p.kind == PoolKind::average_include_padding ? area : size;
    }
};

FUMI_DEVICE_CALL void judge_pooled(const Memory& memory, const PoolCheckParams& params, std::int64_t element,
                                   ErrorStats& stats) {
    const PoolProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const Coordinates at = split(element, p.y, p.spatial);
    const Window window(p, at, at.outer);
    double value = p.kind == PoolKind::max ? -INFINITY : 0.0, size = 0;
    bool any_nan = false;
    window.for_each(p, [&](std::int64_t offset) {
        const double x = read_at(memory, p.x, offset);
        any_nan = any_nan || x != x;
        if (p.kind == PoolKind::max) {
            value = fmax(value, x);
        } else {
            value += x;
            size += fabs(x);
        }
    });
    Tracked y = {value, 0};
    if (p.kind != PoolKind::max) {
        const double divisor = window.divisor(p);
        y = {value / divisor, (sum_spread(bound, window.size) + 2 * bound.u_acc) * size / divisor};
        size /= divisor;
    }
    const double found = read_at(memory, p.y, offset_of(p.y, element));
    // Whether a maximum takes NaN along is a choice of the call.
    if (any_nan && p.kind == PoolKind::max) {
        ++stats.nonfinite_reference;
        return;
    }
    judge_tracked(stats, bound, y, size, found, p.y.type, element);
}

// What the windows that hold an element of x hand back to it.
FUMI_DEVICE_CALL void judge_unpooled(const Memory& memory, const PoolCheckParams& params,
                                     std::int64_t element, ErrorStats& stats) {
    const PoolProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const Coordinates at = split(element, p.x, p.spatial);
    const std::int64_t self = offset_of(p.x, element);
    std::int64_t first[kMostSpatial] = {0, 0, 0}, last[kMostSpatial] = {0, 0, 0};
    for (int d = 0; d < p.spatial; ++d) {
        const std::int64_t reach = at.at[d] + p.padding[d];
        first[d] = reach < p.window[d] ? 0 : (reach - p.window[d]) / p.stride[d] + 1;
        last[d] = smaller(reach / p.stride[d], p.y.size[2 + d] - 1);
    }
    const double x = read_at(memory, p.x, self);
    Tracked dx;
    double size = 0;
    const auto take = [&](const Coordinates& of, std::int64_t y_index) {
        const Window window(p, of, at.outer);
        const double dy = read_at(memory, p.dy, offset_of(p.dy, y_index));
        if (p.kind != PoolKind::max) {
            dx.v += dy / window.divisor(p);
            size += fabs(dy / window.divisor(p));
            return;
        }
        if (x != read_at(memory, p.y, offset_of(p.y, y_index))) return;
        std::int64_t ties = 0, leader = -1;
        window.for_each(p, [&](std::int64_t offset) {
            if (read_at(memory, p.x, offset) != x) return;
            if (leader < 0) leader = offset;
            ++ties;
        });
        if (leader == self) dx.v += dy;
        // Of equal maxima any may be chosen, or all share.
        if (ties > 1) dx.e += fabs(dy);
        size += fabs(dy);
    };
    Coordinates of = {};
    for (std::int64_t i = first[0]; i <= last[0]; ++i) {
        for (std::int64_t j = first[1]; j <= last[1]; ++j) {
            for (std::int64_t k = first[2]; k <= last[2]; ++k) {
                const std::int64_t position[kMostSpatial] = {i, j, k};
                std::int64_t y_index = at.outer;
                for (int d = 0; d < p.spatial; ++d) {
                    of.at[d] = static_cast<std::int32_t>(position[d]);
                    y_index = y_index * p.y.size[2 + d] + position[d];
                }
                take(of, y_index);
            }
        }
    }
    dx.e += (sum_spread(bound, 16) + 2 * bound.u_acc) * size;
    judge_tracked(stats, bound, dx, size, read_at(memory, p.dx, offset_of(p.dx, element)), p.dx.type,
                  element);
}

template <class B, class StatsState>
FUMI_DEVICE void pool_check(const B& block, const PoolCheckParams& params, StatsShared& shared,
                            StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        for (std::int64_t i = block.index() * std::int64_t{kDnnThreads} + t; i < params.checked;
             i += block.count() * std::int64_t{kDnnThreads}) {
            const std::int64_t element = draw(i, params.checked, params.elements, seed);
            if (params.problem.backward != 0) {
                judge_unpooled(block.memory, params, element, stats[t]);
            } else {
                judge_pooled(block.memory, params, element, stats[t]);
            }
        }
    });
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
