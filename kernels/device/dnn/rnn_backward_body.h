// The backward pass of a recurrent net over one sequence: the forward pass again (from y where y shows it),
// then the gradients step by step, with their errors.
#pragma once
#include "kernels/device/dnn/rnn_forward_body.h"

namespace fumi::FUMI_TARGET {

// Buffers: 0, 1 of the forward pass; 2: dh of the step; 3: dh before the projection; 4: dh for the step
// before; 5: dc for the step before.
enum RnnBuffer : int { kBufferDh = 2, kBufferRaw, kBufferDhNext, kBufferDcNext };

// 1 - x^2 and x (1 - x), for activations that the library may keep in the type of the data.
FUMI_DEVICE Tracked tanh_slope(const Rounding& in, Tracked x) {
    return in.subtract({1, 0}, in.multiply(x, x));
}
FUMI_DEVICE Tracked sigmoid_slope(const Rounding& in, Tracked x) {
    return in.multiply(x, in.subtract({1, 0}, x));
}

// The gradients of one unit's gate sums. GRU's fourth row is that of the hidden part of the new gate.
FUMI_DEVICE_CALL void gate_gradients(const RnnSequence& s, int layer, int d, std::int64_t t, std::int64_t j,
                                     Tracked* out) {
    const RnnProblem& p = s.p;
    const Rounding in{s.bound.u_acc};
    const std::int64_t n = p.hidden;
    const Tracked* g = s.gates(layer, d, t);
    const Tracked dh = s.buffer(kBufferRaw)[j];
    if (p.cell == RnnCell::relu) {
        const bool on = s.h(layer, d, t)[j].v > 0;
        const bool may_be_either = fabs(g[n + j].v) <= g[n + j].e;
        out[j] = {on ? dh.v : 0.0, (on || may_be_either ? dh.e : 0.0) + (may_be_either ? fabs(dh.v) : 0.0)};
    } else if (p.cell == RnnCell::tanh) {
        out[j] = in.multiply(dh, tanh_slope(in, s.h(layer, d, t)[j]));
    } else if (p.cell == RnnCell::gru) {
        const Tracked r = s.kept(g[j]), z = s.kept(g[n + j]), fresh = s.kept(g[2 * n + j]),
                      hidden = s.kept(g[3 * n + j]);
        const Tracked before = s.h_before(layer, d, t, j);
        const Tracked dn = in.multiply(in.multiply(dh, in.subtract({1, 0}, z)), tanh_slope(in, fresh));
        out[j] = in.multiply(in.multiply(dn, hidden), sigmoid_slope(in, r));
        out[n + j] = in.multiply(in.multiply(dh, in.subtract(before, fresh)), sigmoid_slope(in, z));
        out[2 * n + j] = dn;
        out[3 * n + j] = in.multiply(dn, r);
        s.buffer(kBufferDcNext)[j] = in.multiply(dh, z);  // what goes to the state before directly
    } else {
        const Tracked i = s.kept(g[j]), f = s.kept(g[n + j]), c = s.kept(g[2 * n + j]),
                      o = s.kept(g[3 * n + j]);
        const Tracked squashed = in.tanh_of(s.cell(layer, d, t)[j]);
        const Tracked dc =
            in.add(s.buffer(kBufferDcNext)[j], in.multiply(in.multiply(dh, o), tanh_slope(in, squashed)));
        out[j] = in.multiply(in.multiply(dc, c), sigmoid_slope(in, i));
        out[n + j] = in.multiply(in.multiply(dc, s.cell_before(layer, d, t, j)), sigmoid_slope(in, f));
        out[2 * n + j] = in.multiply(in.multiply(dc, i), tanh_slope(in, c));
        out[3 * n + j] = in.multiply(in.multiply(dh, squashed), sigmoid_slope(in, o));
        s.buffer(kBufferDcNext)[j] = in.multiply(dc, f);
    }
}

// sum over gate rows of w[row][k] gradient[row]; GRU's hidden side has the fourth row for the third.
FUMI_DEVICE_CALL Tracked through_weights(const RnnSequence& s, std::int64_t w, std::int64_t columns,
                                         std::int64_t k, const Tracked* gradients, bool hidden_side) {
    const RnnProblem& p = s.p;
    const std::int64_t rows = gate_count(p) * std::int64_t{p.hidden};
    const bool gru = p.cell == RnnCell::gru && hidden_side;
    const std::int64_t plain = gru ? 2 * std::int64_t{p.hidden} : rows;
    RnnDot dot = rnn_dot(s.memory, p, w + k, columns, plain, gradients);
    if (gru) {
        const RnnDot rest =
            rnn_dot(s.memory, p, w + plain * columns + k, columns, p.hidden, gradients + 3 * p.hidden);
        dot.sum = {dot.sum.v + rest.sum.v, dot.sum.e + rest.sum.e};
        dot.size += rest.size;
    }
    return s.kept({dot.sum.v, dot.sum.e + spread_of(s.bound, static_cast<double>(rows)) * dot.size});
}

template <class B>
FUMI_DEVICE void rnn_back_step(const B& block, const RnnSequence& s, int layer, int d, std::int64_t t) {
    const RnnProblem& p = s.p;
    const RnnWeights& w = p.of[layer * p.directions + d];
    const Rounding in{s.bound.u_acc};
    const std::int64_t states = s.state(), inputs = s.input_size(layer);
    Tracked* gradients = s.gradients(layer, d, t);
    for_each(block, states, [&](int, std::int64_t j) {
        s.buffer(kBufferDh)[j] = in.add(s.passed(0, t)[d * states + j], s.buffer(kBufferDhNext)[j]);
    });
    for_each(block, p.hidden, [&](int, std::int64_t j) {
        Tracked dh = s.buffer(kBufferDh)[j < states ? j : 0];
        if (p.projection > 0) {
            const RnnDot dot = rnn_dot(s.memory, p, w.w_hr + j, p.hidden, states, s.buffer(kBufferDh));
            dh = s.kept({dot.sum.v, dot.sum.e + spread_of(s.bound, static_cast<double>(states)) * dot.size});
        }
        s.buffer(kBufferRaw)[j] = dh;
    });
    for_each(block, p.hidden, [&](int, std::int64_t j) { gate_gradients(s, layer, d, t, j, gradients); });
    // With a projection, dh is what dw_hr needs.
    if (p.projection > 0)
        for_each(block, states,
                 [&](int, std::int64_t j) { gradients[4 * p.hidden + j] = s.buffer(kBufferDh)[j]; });
    for_each(block, 4 * std::int64_t{p.hidden}, [&](int, std::int64_t j) {
        if (j < (p.cell == RnnCell::gru ? 4 : gate_count(p)) * std::int64_t{p.hidden})
            gradients[j] = s.kept(gradients[j]);
    });
    for_each(block, states, [&](int, std::int64_t k) {
        Tracked dh = through_weights(s, w.w_hh, states, k, gradients, true);
        if (p.cell == RnnCell::gru) dh = in.add(dh, s.buffer(kBufferDcNext)[k]);
        s.buffer(kBufferDhNext)[k] = dh;
    });
    for_each(block, inputs, [&](int, std::int64_t k) {
        const Tracked dx = through_weights(s, w.w_ih, inputs, k, gradients, false);
        Tracked& to = s.passed(1, t)[k];
        to = d == 0 ? dx : in.add(to, dx);
    });
}

FUMI_DEVICE_CALL void judge_gradient(const RnnSequence& s, ErrorStats& stats, const void* data,
                                     std::int64_t at, std::int64_t index, Tracked reference, int output) {
    if (data == nullptr) return;
    judge_tracked(stats, s.bound, reference, fabs(reference.v), s.read(data, at), s.p.type,
                  index_in(output, index));
}

template <class B, class StatsState>
FUMI_DEVICE void rnn_backward(const B& block, const RnnSequence& s, bool judged, StatsState& stats) {
    const RnnProblem& p = s.p;
    const std::int64_t states = s.state(), width = states * p.directions;
    for (std::int64_t t = 0; t < s.length; ++t)
        for_each(block, width, [&](int, std::int64_t j) {
            s.passed(0, t)[j] = {p.dy == nullptr ? 0.0 : s.read(p.dy, s.row(t, p.y_step, p.y_batch) + j), 0};
        });
    for (int layer = p.layers - 1; layer >= 0; --layer) {
        for (int d = 0; d < p.directions; ++d) {
            for_each(block, states, [&](int, std::int64_t j) {
                s.buffer(kBufferDhNext)[j] = {s.state_value(p.dhy, layer, d, states, j), 0};
            });
            for_each(block, p.hidden, [&](int, std::int64_t j) {
                s.buffer(kBufferDcNext)[j] = {s.state_value(p.dcy, layer, d, p.hidden, j), 0};
            });
            for (std::int64_t i = 0; i < s.length; ++i)
                rnn_back_step(block, s, layer, d, d == 0 ? s.length - 1 - i : i);
            if (!judged) continue;
            const std::int64_t line = (std::int64_t{layer} * p.directions + d) * p.batch + s.b;
            for_each(block, states, [&](int lane, std::int64_t j) {
                judge_gradient(s, stats[lane], p.dhx, line * states + j, line * states + j,
                               s.buffer(kBufferDhNext)[j], kRnnDhx);
            });
            if (p.cell != RnnCell::lstm) continue;
            for_each(block, p.hidden, [&](int lane, std::int64_t j) {
                judge_gradient(s, stats[lane], p.dcx, line * p.hidden + j, line * p.hidden + j,
                               s.buffer(kBufferDcNext)[j], kRnnDcx);
            });
        }
        const std::int64_t inputs = s.input_size(layer);
        for (std::int64_t t = 0; t < s.length; ++t)
            for_each(block, inputs, [&](int lane, std::int64_t k) {
                const Tracked dx = s.passed(1, t)[k];
                s.passed(0, t)[k] = dx;
                if (layer == 0 && judged)
                    judge_gradient(s, stats[lane], p.dx, s.row(t, p.x_step, p.x_batch) + k,
                                   (t * p.batch + s.b) * inputs + k, dx, kRnnDx);
            });
    }
}

template <class B, class StatsState>
FUMI_DEVICE void rnn_backward_check(const B& block, const RnnCheckParams& params, RnnShared& shared,
                                    StatsState& stats) {
    const bool weights = params.problem.direction == RnnDirection::backward_weights;
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.checked; i += block.count()) {
        // For the weights every sequence keeps its gradients: the second kernel sums over them.
        const RnnSequence s(block.memory, params, draw(i, params.checked, params.problem.batch, seed),
                            weights ? i : block.index());
        block.for_each_thread([&](int t) {
            if (t == 0) s.y_differs() = 0;
        });
        block.sync();
        rnn_forward(block, s, false, stats);
        rnn_backward(block, s, !weights && s.y_differs() == 0, stats);
    }
    if (!weights) finish(block, params.common, shared.slots, stats);
}

// Which weight an index over all weights is, and what its gradient is the sum of.
struct RnnWeightPlace {
    int layer = 0, d = 0;
    std::int64_t row = 0, column = 0, at = -1;
    enum Kind { input, hidden, input_bias, hidden_bias, projection } kind = input;
};
FUMI_DEVICE_CALL RnnWeightPlace find_weight(const RnnSequence& s, std::int64_t index) {
    const RnnProblem& p = s.p;
    const std::int64_t rows = gate_count(p) * std::int64_t{p.hidden}, states = s.state();
    RnnWeightPlace found;
    for (int i = 0; i < p.layers * p.directions; ++i) {
        found.layer = i / p.directions;
        found.d = i % p.directions;
        const RnnWeights& w = p.of[i];
        const std::int64_t columns[5] = {s.input_size(found.layer), states, w.b_ih < 0 ? 0 : 1,
                                         w.b_hh < 0 ? 0 : 1, p.projection > 0 ? p.hidden : 0};
        const std::int64_t at[5] = {w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.w_hr};
        for (int kind = 0; kind < 5; ++kind) {
            const std::int64_t count = columns[kind] * (kind == RnnWeightPlace::projection ? states : rows);
            if (index < count) {
                found.kind = static_cast<RnnWeightPlace::Kind>(kind);
                found.row = index / columns[kind];
                found.column = index % columns[kind];
                found.at = at[kind] + index;
                return found;
            }
            index -= count;
        }
    }
    return found;
}

FUMI_DEVICE_CALL void judge_weight(const Memory& memory, const RnnCheckParams& params, std::int64_t index,
                                   ErrorStats& stats) {
    const RnnProblem& p = params.problem;
    const RnnWeightPlace w = find_weight(RnnSequence(memory, params, 0, 0), index);
    if (w.at < 0) return;
    Tracked sum;
    double size = 0, terms = 0;
    const bool hidden_side = w.kind == RnnWeightPlace::hidden || w.kind == RnnWeightPlace::hidden_bias;
    std::int64_t row = w.row;
    if (w.kind == RnnWeightPlace::projection) row += 4 * std::int64_t{p.hidden};
    if (p.cell == RnnCell::gru && hidden_side && row >= 2 * p.hidden) row += p.hidden;
    for (std::int64_t b = 0; b < p.batch; ++b) {
        const RnnSequence s(memory, params, b, b);
        if (s.y_differs() != 0) return;
        for (std::int64_t t = 0; t < s.length; ++t) {
            const Tracked g = s.gradients(w.layer, w.d, t)[row];
            Tracked x = {1, 0};
            if (w.kind == RnnWeightPlace::input) x = s.input(w.layer, t, w.column);
            if (w.kind == RnnWeightPlace::hidden) x = s.h_before(w.layer, w.d, t, w.column);
            if (w.kind == RnnWeightPlace::projection)
                x = s.kept(s.gates(w.layer, w.d, t)[raw_place(p) + w.column]);
            sum.v += g.v * x.v;
            sum.e += fabs(g.v) * x.e + fabs(x.v) * g.e + g.e * x.e;
            size += fabs(g.v * x.v);
            terms += 1;
        }
    }
    const BoundNumbers& bound = params.common.bound;
    if (p.dweights_before != nullptr) {
        const double before = read_real(memory, p.dweights_before, w.at, p.weight_type);
        sum.v += before;
        size += fabs(before);
    }
    // Partial sums may be stored in the type of the weights after each step.
    const bool narrow = p.weight_type == DataType::f16 || p.weight_type == DataType::bf16;
    const double stored =
        narrow ? 2 * sqrt(static_cast<double>(p.steps)) * power_of_two(-format_of(p.weight_type).bits) : 0.0;
    sum.e += (spread_of(bound, terms) + 2 * bound.u_acc + stored) * size;
    judge_tracked(stats, bound, sum, size, read_real(memory, p.dweights, w.at, p.weight_type), p.weight_type,
                  index_in(kRnnDweights, w.at));
}

template <class B, class StatsState>
FUMI_DEVICE void rnn_weights_check(const B& block, const RnnCheckParams& params, RnnShared& shared,
                                   StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        for (std::int64_t i = block.index() * std::int64_t{kDnnThreads} + t; i < params.weights_checked;
             i += block.count() * std::int64_t{kDnnThreads})
            judge_weight(block.memory, params, draw(i, params.weights_checked, params.weights, seed),
                         stats[t]);
    });
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
