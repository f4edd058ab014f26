// The forward pass of a recurrent net over one sequence. The states of the last layer are visible in y, so
// there each step starts from what the library itself wrote; the layers below are recomputed as a whole, with
// an error that is carried from step to step.
#pragma once
#include "kernels/device/dnn/rnn_state.h"

namespace fumi::FUMI_TARGET {

struct RnnShared {
    ErrorStats slots[kStatsSlots];
};

// Where h before its projection is kept: behind the gates.
FUMI_DEVICE std::int64_t raw_place(const RnnProblem& p) {
    return 4 * std::int64_t{p.hidden};
}
FUMI_DEVICE int gate_count(const RnnProblem& p) {
    if (p.cell == RnnCell::lstm) return 4;
    return p.cell == RnnCell::gru ? 3 : 1;
}

// The sum that goes into one gate row; GRU keeps the hidden part of its new gate apart.
FUMI_DEVICE_CALL void gate_sum(const RnnSequence& s, int layer, int d, std::int64_t row, Tracked* gates) {
    const RnnProblem& p = s.p;
    const RnnWeights& w = p.of[layer * p.directions + d];
    const std::int64_t inputs = s.input_size(layer), states = s.state();
    const RnnDot x = rnn_dot(s.memory, p, w.w_ih + row * inputs, 1, inputs, s.buffer(0));
    const RnnDot h = rnn_dot(s.memory, p, w.w_hh + row * states, 1, states, s.buffer(1));
    const double input_bias = s.weight(w.b_ih, row), hidden_bias = s.weight(w.b_hh, row);
    const double spread = spread_of(s.bound, static_cast<double>(inputs + states)) + 3 * s.bound.u_acc;
    const double x_size = x.size + fabs(input_bias), h_size = h.size + fabs(hidden_bias);
    const Tracked from_x = {x.sum.v + input_bias, x.sum.e + spread * x_size};
    const Tracked from_h = {h.sum.v + hidden_bias, h.sum.e + spread * h_size};
    if (p.cell == RnnCell::gru && row >= 2 * p.hidden) {
        gates[row] = from_x;
        gates[row + p.hidden] = from_h;
    } else {
        gates[row] = {from_x.v + from_h.v, from_x.e + from_h.e};
    }
}

// From the sums of one unit to its new state (before a projection).
FUMI_DEVICE_CALL Tracked activate(const RnnSequence& s, int layer, int d, std::int64_t t, std::int64_t j,
                                  Tracked* gates) {
    const RnnProblem& p = s.p;
    const Rounding in{s.bound.u_acc};
    const std::int64_t n = p.hidden;
    if (p.cell == RnnCell::relu) {
        gates[n + j] = gates[j];  // the gradient asks how near to 0 it was
        return gates[j] = in.relu(gates[j]);
    }
    if (p.cell == RnnCell::tanh) return gates[j] = in.tanh_of(gates[j]);
    gates[j] = in.sigmoid(gates[j]);
    gates[n + j] = in.sigmoid(gates[n + j]);
    if (p.cell == RnnCell::gru) {
        gates[2 * n + j] = in.tanh_of(in.add(gates[2 * n + j], in.multiply(gates[j], gates[3 * n + j])));
        const Tracked z = gates[n + j], one = {1, 0};
        return in.add(in.multiply(in.subtract(one, z), gates[2 * n + j]),
                      in.multiply(z, s.h_before(layer, d, t, j)));
    }
    gates[2 * n + j] = in.tanh_of(gates[2 * n + j]);
    gates[3 * n + j] = in.sigmoid(gates[3 * n + j]);
    const Tracked c = in.add(in.multiply(gates[n + j], s.cell_before(layer, d, t, j)),
                             in.multiply(gates[j], gates[2 * n + j]));
    s.cell(layer, d, t)[j] = s.kept(c);
    return in.multiply(gates[3 * n + j], in.tanh_of(c));
}

FUMI_DEVICE_CALL void judge_state(const RnnSequence& s, ErrorStats& stats, Tracked h, int layer, int d,
                                  std::int64_t t, std::int64_t j) {
    const RnnProblem& p = s.p;
    const std::int64_t states = s.state(), width = states * p.directions;
    if (layer == p.layers - 1) {
        const double y = s.read(p.y, s.row(t, p.y_step, p.y_batch) + d * states + j);
        judge_tracked(stats, s.bound, h, fmin(1.0, fabs(h.v) + h.e), y, p.type,
                      index_in(kRnnY, (t * p.batch + s.b) * width + d * states + j));
    }
    if (p.hy == nullptr || !s.is_last(d, t)) return;
    const std::int64_t at = ((std::int64_t{layer} * p.directions + d) * p.batch + s.b) * states + j;
    judge_tracked(stats, s.bound, h, fabs(h.v), s.read(p.hy, at), p.type, index_in(kRnnHy, at));
}

FUMI_DEVICE_CALL void judge_cell(const RnnSequence& s, ErrorStats& stats, int layer, int d, std::int64_t t,
                                 std::int64_t j) {
    const RnnProblem& p = s.p;
    const std::int64_t at = ((std::int64_t{layer} * p.directions + d) * p.batch + s.b) * p.hidden + j;
    const Tracked c = s.cell(layer, d, t)[j];
    judge_tracked(stats, s.bound, c, fabs(c.v), s.read(p.cy, at), p.type, index_in(kRnnCy, at));
}

// Twice the forward check's own bound: what that finds is found there.
FUMI_DEVICE_CALL bool is_far(const RnnSequence& s, Tracked h, double y) {
    if (is_finite(h.v) != is_finite(y)) return true;
    if (!is_finite(h.v)) return false;
    return fabs(y - h.v) > 2 * (h.e + half_ulp(format_of(s.p.type), fabs(h.v) + h.e)) + 4 * s.bound.underflow;
}

// One step of one layer and direction. `judged`: the outputs of this pass are compared.
template <class B, class StatsState>
FUMI_DEVICE void rnn_step(const B& block, const RnnSequence& s, int layer, int d, std::int64_t t, bool judged,
                          StatsState& stats) {
    const RnnProblem& p = s.p;
    const std::int64_t states = s.state(), inputs = s.input_size(layer);
    const bool top = layer == p.layers - 1;
    Tracked* gates = s.gates(layer, d, t);
    Tracked* raw = p.projection > 0 ? gates + raw_place(p) : s.h(layer, d, t);
    for_each(block, inputs, [&](int, std::int64_t k) { s.buffer(0)[k] = s.input(layer, t, k); });
    for_each(block, states, [&](int, std::int64_t k) { s.buffer(1)[k] = s.h_before(layer, d, t, k); });
    for_each(block, gate_count(p) * std::int64_t{p.hidden},
             [&](int, std::int64_t row) { gate_sum(s, layer, d, row, gates); });
    for_each(block, p.hidden, [&](int lane, std::int64_t j) {
        raw[j] = activate(s, layer, d, t, j, gates);
        if (judged && p.cell == RnnCell::lstm && p.cy != nullptr && s.is_last(d, t))
            judge_cell(s, stats[lane], layer, d, t, j);
    });
    for_each(block, states, [&](int lane, std::int64_t j) {
        Tracked h = raw[j];
        if (p.projection > 0) {
            const RnnDot dot =
                rnn_dot(s.memory, p, p.of[layer * p.directions + d].w_hr + j * p.hidden, 1, p.hidden, raw);
            h = {dot.sum.v, dot.sum.e + spread_of(s.bound, p.hidden) * dot.size};
        }
        if (judged) judge_state(s, stats[lane], h, layer, d, t, j);
        const Tracked seen = top ? s.visible_h(d, t, j) : s.kept(h);
        if (top && !judged && is_far(s, h, seen.v)) s.y_differs() = 1;  // all write the same
        s.h(layer, d, t)[j] = seen;
    });
}

template <class B, class StatsState>
FUMI_DEVICE void rnn_forward(const B& block, const RnnSequence& s, bool judged, StatsState& stats) {
    for (int layer = 0; layer < s.p.layers; ++layer) {
        for (int d = 0; d < s.p.directions; ++d) {
            for (std::int64_t i = 0; i < s.length; ++i) {
                rnn_step(block, s, layer, d, d == 0 ? i : s.length - 1 - i, judged, stats);
            }
        }
    }
}

template <class B, class StatsState>
FUMI_DEVICE void rnn_forward_check(const B& block, const RnnCheckParams& params, RnnShared& shared,
                                   StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t i = block.index(); i < params.checked; i += block.count()) {
        const RnnSequence s(block.memory, params, draw(i, params.checked, params.problem.batch, seed),
                            block.index());
        rnn_forward(block, s, true, stats);
    }
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
