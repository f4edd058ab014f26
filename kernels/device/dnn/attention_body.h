// Attention: a block takes a row of queries (O and the log-sum-exp, or dQ) or of keys (dK and dV) at a time,
// keeps what it needs of every pair in scratch, and sums over them. Bounds: docs/numerics.md, attention.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

enum AttentionOutput : int { kAttentionO, kAttentionStats, kAttentionDq, kAttentionDk, kAttentionDv };

struct AttentionShared {
    Reduction<3> sums;
    ErrorStats slots[kStatsSlots];
};

struct AttentionPlace {
    std::int64_t b, h, i;  // batch, head, row
};
FUMI_DEVICE AttentionPlace attention_place(const TensorView& view, std::int64_t row) {
    return {row / view.size[2] / view.size[1], row / view.size[2] % view.size[1], row % view.size[2]};
}
FUMI_DEVICE std::int64_t row_offset(const TensorView& view, const AttentionPlace& at) {
    return at.b * view.stride[0] + at.h * view.stride[1] + at.i * view.stride[2];
}

// sum a b over a row of each, and sum |a b|.
struct Dot {
    double sum = 0, size = 0;
};
FUMI_DEVICE_CALL Dot dot_of(const Memory& memory, const TensorView& a, std::int64_t a_row,
                            const TensorView& b, std::int64_t b_row) {
    Dot dot;
    with_real_type(a.type, [&](auto sample) {
        using T = decltype(sample);
        const T* x = memory.at(static_cast<const T*>(a.data)) + a_row;
        const T* y = memory.at(static_cast<const T*>(b.data)) + b_row;
        for (std::int64_t d = 0; d < a.size[3]; ++d) {
            const double product = decode(x[d * a.stride[3]]) * decode(y[d * b.stride[3]]);
            dot.sum += product;
            dot.size += fabs(product);
        }
    });
    return dot;
}

struct AttentionMath {
    const Memory& memory;
    const AttentionProblem& p;
    const BoundNumbers& bound;
    double scale, u, u_stored, tiny;  // u_stored: of P and dS as they go into the second product
    std::int64_t group;               // query heads of a key head

    FUMI_DEVICE AttentionMath(const Memory& m, const AttentionProblem& problem, const BoundNumbers& numbers)
        : memory(m), p(problem), bound(numbers), u(numbers.u_acc) {
        scale = p.scale_device != nullptr ? read_real(m, p.scale_device, 0, p.scale_type) : p.scale;
        const bool half = p.q.type == DataType::f16 || p.q.type == DataType::bf16;
        u_stored = half ? power_of_two(-format_of(p.q.type).bits) : bound.input_error;
        tiny = p.q.type == DataType::f16 ? 0x1p-25 : 0x1p-126;
        group = p.q.size[1] / p.k.size[1];
    }
    FUMI_DEVICE bool seen(const AttentionPlace& query, std::int64_t key) const {
        if (p.mask == AttentionMask::causal_top_left && key > query.i) return false;
        if (p.mask == AttentionMask::causal_bottom_right && key > query.i + p.k.size[2] - p.q.size[2])
            return false;
        if (p.key_lengths != nullptr &&
            key >= memory.at(static_cast<const std::int32_t*>(p.key_lengths))[query.b])
            return false;
        return true;
    }
    FUMI_DEVICE bool has_query(const AttentionPlace& query) const {
        return p.query_lengths == nullptr ||
               query.i < memory.at(static_cast<const std::int32_t*>(p.query_lengths))[query.b];
    }
    FUMI_DEVICE AttentionPlace key_of(const AttentionPlace& query, std::int64_t key) const {
        return {query.b, query.h / group, key};
    }
    // The score of a pair; -infinity where it is masked.
    FUMI_DEVICE Tracked score(const AttentionPlace& query, std::int64_t key) const {
        if (!seen(query, key)) return {-INFINITY, 0};
        const Dot dot = dot_of(memory, p.q, row_offset(p.q, query), p.k, row_offset(p.k, key_of(query, key)));
        Tracked s = {scale * dot.sum,
                     fabs(scale) * spread_of(bound, static_cast<double>(p.q.size[3])) * dot.size};
        if (p.bias.data != nullptr) {
            const TensorView& v = p.bias;
            const double bias = read_at(
                memory, v,
                (v.size[0] == 1 ? 0 : query.b * v.stride[0]) + (v.size[1] == 1 ? 0 : query.h * v.stride[1]) +
                    (v.size[2] == 1 ? 0 : query.i * v.stride[2]) + (v.size[3] == 1 ? 0 : key * v.stride[3]));
            s.v += bias;
            if (is_finite(bias)) s.e += u * (fabs(bias) + fabs(s.v));
        }
        return s;
    }
    // Relative error of exp(s - by): twice its first-order form, and never more than all of it.
    FUMI_DEVICE double exponential_error(const Tracked& s, double by) const {
        return fmin(2 * (s.e + u * (fabs(s.v - by) + fabs(by) + 8)), 1e30);
    }
};

// For each of `width` columns: sums over `count` weights of weight x row, in of[0], its error in of[1] and
// sum |weight x row| in of[2].
template <class B, class W, class P>
FUMI_DEVICE void weighted_rows(const B& block, Reduction<3>& shared, std::int64_t count,
                               const TensorView& view, W weight, P place) {
    const int width = static_cast<int>(view.size[3]), lanes = static_cast<int>(kDnnThreads) / width;
    block.for_each_thread([&](int t) {
        double sum = 0, error = 0, size = 0;
        const int d = t % width, lane = t / width;
        with_real_type(view.type, [&](auto sample) {
            using T = decltype(sample);
            const T* base = block.memory.at(static_cast<const T*>(view.data));
            for (std::int64_t j = lane; lane < lanes && j < count; j += lanes) {
                const Tracked w = weight(j);
                if (w.v == 0 && w.e == 0) continue;  // masked: what lies there is not read
                const double x = decode(base[place(j) + d * view.stride[3]]);
                sum += w.v * x;
                error += w.e * fabs(x);
                size += fabs(w.v * x);
            }
        });
        shared.of[0][t] = sum;
        shared.of[1][t] = error;
        shared.of[2][t] = size;
    });
    block.sync();
    block.for_each_thread([&](int t) {
        for (int lane = 1; t < width && lane < lanes; ++lane)
            for (int i = 0; i < 3; ++i) shared.of[i][t] += shared.of[i][t + lane * width];
    });
    block.sync();
}

template <class B, class StatsState>
FUMI_DEVICE void judge_query_row(const B& block, const AttentionMath& math, const AttentionPlace& query,
                                 Tracked* work, AttentionShared& shared, StatsState& stats,
                                 std::int64_t row) {
    const AttentionProblem& p = math.p;
    const std::int64_t keys = p.k.size[2];
    block.for_each_thread([&](int t) {
        double largest = -INFINITY;
        for (std::int64_t j = t; j < keys; j += kDnnThreads) {
            work[j] = math.score(query, j);
            largest = fmax(largest, work[j].v);
        }
        shared.sums.of[0][t] = largest;
        shared.sums.of[1][t] = shared.sums.of[2][t] = 0;
    });
    reduce(block, shared.sums, MaximumOf{});
    const double largest = shared.sums.of[0][0];
    block.sync();
    block.for_each_thread([&](int t) {
        double sum = 0, error = 0;
        for (std::int64_t j = t; j < keys; j += kDnnThreads) {
            const bool masked = work[j].v == -INFINITY;
            const double p_j = masked ? 0.0 : exp(work[j].v - largest);
            work[j] = {p_j, masked ? 0.0 : p_j * math.exponential_error(work[j], largest)};
            sum += p_j;
            error += work[j].e;
        }
        shared.sums.of[0][t] = sum;
        shared.sums.of[1][t] = error;
    });
    reduce(block, shared.sums, SumOf{});
    const double sum = shared.sums.of[0][0], sum_error = shared.sums.of[1][0] / sum;
    block.sync();
    if (largest == -INFINITY) {  // every key is masked: what comes out is a choice of the library
        block.for_each_thread([&](int t) {
            if (t == 0) stats[t].nonfinite_reference += static_cast<std::uint64_t>(p.o.size[3]);
        });
        return;
    }
    weighted_rows(
        block, shared.sums, keys, p.v, [&](std::int64_t j) { return work[j]; },
        [&](std::int64_t j) { return row_offset(p.v, math.key_of(query, j)); });
    const BoundNumbers& bound = math.bound;
    const double n = static_cast<double>(keys);
    const double relative = sum_error + math.u_stored + spread_of(bound, n) + sum_spread(bound, n);
    block.for_each_thread([&](int t) {
        for (std::int64_t d = t; d < p.o.size[3]; d += kDnnThreads) {
            const double size = shared.sums.of[2][d] / sum;
            const Tracked o = {shared.sums.of[0][d] / sum,
                               shared.sums.of[1][d] / sum + relative * size + n * math.tiny};
            judge_tracked(stats[t], bound, o, size,
                          read_at(block.memory, p.o, row_offset(p.o, query) + d * p.o.stride[3]), p.o.type,
                          index_in(kAttentionO, row * p.o.size[3] + d));
        }
        if (t == 0 && p.stats.data != nullptr) {
            const double g = fabs(largest) + fabs(log(sum));
            const Tracked lse = {largest + log(sum), sum_error + sum_spread(bound, n) + 2 * math.u * (g + 4)};
            judge_tracked(stats[t], bound, lse, g, read_at(block.memory, p.stats, row_offset(p.stats, query)),
                          p.stats.type, index_in(kAttentionStats, row));
        }
    });
    block.sync();
}

// P and dS of one pair in the backward pass, on the O and log-sum-exp of the forward one.
struct PairGradient {
    Tracked p, ds;
};
FUMI_DEVICE PairGradient pair_gradient(const AttentionMath& math, const AttentionPlace& query,
                                       std::int64_t key, const Tracked& row_dot) {
    const AttentionProblem& problem = math.p;
    PairGradient out;
    if (!math.has_query(query)) return out;
    const Tracked s = math.score(query, key);
    if (s.v == -INFINITY) return out;
    const double lse = read_at(math.memory, problem.stats, row_offset(problem.stats, query));
    const double size = exp(s.v - lse), relative = math.exponential_error(s, lse);
    const Dot dp = dot_of(math.memory, problem.d_o, row_offset(problem.d_o, query), problem.v,
                          row_offset(problem.v, math.key_of(query, key)));
    const double dp_error = spread_of(math.bound, static_cast<double>(problem.v.size[3])) * dp.size;
    const double difference = dp.sum - row_dot.v;
    out.p = {size, size * (relative + math.u_stored) + math.tiny};
    out.ds = {size * difference,
              size * (relative + 3 * math.u + math.u_stored) * fabs(difference) +
                  size * (1 + relative) * (dp_error + row_dot.e + math.u * (fabs(dp.sum) + fabs(row_dot.v))) +
                  math.tiny * (1 + fabs(difference))};
    return out;
}

template <class B, class StatsState>
FUMI_DEVICE void judge_columns(const B& block, const AttentionMath& math, const TensorView& output,
                               const AttentionPlace& at, int which, double factor, double terms,
                               std::int64_t row, AttentionShared& shared, StatsState& stats) {
    // Gradients of heads that share a key may have been rounded before they were added.
    const double partial = math.group > 1 ? math.u_stored : 0.0;
    block.for_each_thread([&](int t) {
        for (std::int64_t d = t; d < output.size[3]; d += kDnnThreads) {
            const double size = fabs(factor) * shared.sums.of[2][d];
            const Tracked v = {factor * shared.sums.of[0][d],
                               fabs(factor) * shared.sums.of[1][d] +
                                   (spread_of(math.bound, terms) + partial + 2 * math.u) * size};
            judge_tracked(stats[t], math.bound, v, size,
                          read_at(block.memory, output, row_offset(output, at) + d * output.stride[3]),
                          output.type, index_in(which, row * output.size[3] + d));
        }
    });
    block.sync();
}

FUMI_DEVICE std::int64_t attention_rows(const TensorView& view) {
    return view.size[0] * view.size[1] * view.size[2];
}

// dO . O of every query row, in scratch.
template <class B>
FUMI_DEVICE void attention_dots(const B& block, const AttentionCheckParams& params) {
    const AttentionProblem& p = params.problem;
    const std::int64_t rows = attention_rows(p.q);
    auto* dots = reinterpret_cast<Tracked*>(block.memory.at(params.dots));
    block.for_each_thread([&](int t) {
        for (std::int64_t row = block.index() * std::int64_t{kDnnThreads} + t; row < rows;
             row += block.count() * std::int64_t{kDnnThreads}) {
            const AttentionPlace at = attention_place(p.q, row);
            const Dot dot = dot_of(block.memory, p.d_o, row_offset(p.d_o, at), p.o, row_offset(p.o, at));
            dots[row] = {dot.sum,
                         sum_spread(params.common.bound, static_cast<double>(p.o.size[3])) * dot.size};
        }
    });
}

template <class B, class StatsState>
FUMI_DEVICE void attention_queries(const B& block, const AttentionCheckParams& params,
                                   AttentionShared& shared, StatsState& stats) {
    const AttentionProblem& p = params.problem;
    const AttentionMath math(block.memory, p, params.common.bound);
    const std::uint64_t seed = seed_of(block.memory, params.common);
    const std::int64_t keys = p.k.size[2];
    auto* work = reinterpret_cast<Tracked*>(block.memory.at(params.work)) + block.index() * keys;
    const auto* dots = reinterpret_cast<const Tracked*>(block.memory.at(params.dots));
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.queries; i += block.count()) {
        const std::int64_t row = draw(i, params.queries, attention_rows(p.q), seed);
        const AttentionPlace query = attention_place(p.q, row);
        if (!math.has_query(query)) continue;  // padding: not defined
        if (p.direction == AttentionDirection::forward) {
            judge_query_row(block, math, query, work, shared, stats, row);
            continue;
        }
        block.for_each_thread([&](int t) {
            for (std::int64_t j = t; j < keys; j += kDnnThreads)
                work[j] = pair_gradient(math, query, j, dots[row]).ds;
        });
        block.sync();
        weighted_rows(
            block, shared.sums, keys, p.k, [&](std::int64_t j) { return work[j]; },
            [&](std::int64_t j) { return row_offset(p.k, math.key_of(query, j)); });
        judge_columns(block, math, p.dq, query, kAttentionDq, math.scale, static_cast<double>(keys), row,
                      shared, stats);
    }
    finish(block, params.common, shared.slots, stats);
}

template <class B, class StatsState>
FUMI_DEVICE void attention_keys(const B& block, const AttentionCheckParams& params, AttentionShared& shared,
                                StatsState& stats) {
    const AttentionProblem& p = params.problem;
    const AttentionMath math(block.memory, p, params.common.bound);
    const std::uint64_t seed = hash(seed_of(block.memory, params.common), 1);
    const std::int64_t queries = p.q.size[2], pairs = math.group * queries;
    auto* work = reinterpret_cast<PairGradient*>(block.memory.at(params.work)) + block.index() * pairs;
    const auto* dots = reinterpret_cast<const Tracked*>(block.memory.at(params.dots));
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.keys; i += block.count()) {
        const std::int64_t row = draw(i, params.keys, attention_rows(p.k), seed);
        const AttentionPlace key = attention_place(p.k, row);
        const auto query_of = [&](std::int64_t pair) {
            return AttentionPlace{key.b, key.h * math.group + pair / queries, pair % queries};
        };
        block.for_each_thread([&](int t) {
            for (std::int64_t j = t; j < pairs; j += kDnnThreads) {
                const AttentionPlace query = query_of(j);
                work[j] = pair_gradient(math, query, key.i,
                                        dots[(query.b * p.q.size[1] + query.h) * queries + query.i]);
            }
        });
        block.sync();
        const double terms = static_cast<double>(pairs);
        weighted_rows(
            block, shared.sums, pairs, p.d_o, [&](std::int64_t j) { return work[j].p; },
            [&](std::int64_t j) { return row_offset(p.d_o, query_of(j)); });
        judge_columns(block, math, p.dv, key, kAttentionDv, 1.0, terms, row, shared, stats);
        weighted_rows(
            block, shared.sums, pairs, p.q, [&](std::int64_t j) { return work[j].ds; },
            [&](std::int64_t j) { return row_offset(p.q, query_of(j)); });
        judge_columns(block, math, p.dk, key, kAttentionDk, math.scale, terms, row, shared, stats);
    }
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
