// Recurrent nets: what one sequence (a batch entry) keeps while it is walked through, and how its numbers are
// read. All of it with its running error. See rnn_plan.cpp for the sizes.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

enum RnnOutput : int { kRnnY, kRnnHy, kRnnCy, kRnnDx, kRnnDhx, kRnnDcx, kRnnDweights };

struct RnnDot {
    Tracked sum;
    double size = 0;  // sum |w x|
};

// sum over k of w[k step] x[k]; the error is that of x alone.
FUMI_DEVICE_CALL RnnDot rnn_dot(const Memory& memory, const RnnProblem& p, std::int64_t first,
                                std::int64_t step, std::int64_t count, const Tracked* x) {
    RnnDot dot;
    with_real_type(p.weight_type, [&](auto sample) {
        using T = decltype(sample);
        const T* w = memory.at(static_cast<const T*>(p.weights)) + first;
        double sum = 0, error = 0, size = 0;
        for (std::int64_t k = 0; k < count; ++k) {
            const double weight = decode(w[k * step]), product = weight * x[k].v;
            sum += product;
            size += fabs(product);
            error += fabs(weight) * x[k].e;
        }
        dot.sum = {sum, error};
        dot.size = size;
    });
    return dot;
}

// One sequence: its number, its length and its memory.
struct RnnSequence {
    const Memory& memory;
    const RnnCheckParams& params;
    const RnnProblem& p;
    const BoundNumbers& bound;
    Tracked* base;
    std::int64_t b, length;

    FUMI_DEVICE RnnSequence(const Memory& m, const RnnCheckParams& of, std::int64_t entry, std::int64_t place)
        : memory(m), params(of), p(of.problem), bound(of.common.bound), b(entry) {
        base = reinterpret_cast<Tracked*>(m.at(of.work)) + place * of.entry_size;
        length = p.steps;
        if (p.lengths != nullptr) length = m.at(static_cast<const std::int32_t*>(p.lengths))[b];
    }
    FUMI_DEVICE bool keeps() const { return p.direction != RnnDirection::forward; }
    FUMI_DEVICE std::int64_t state() const { return p.projection > 0 ? p.projection : p.hidden; }
    FUMI_DEVICE std::int64_t input_size(int layer) const {
        return layer == 0 ? p.input : p.directions * state();
    }
    FUMI_DEVICE std::int64_t place(int layer, int d, std::int64_t t) const {
        return (std::int64_t{layer} * p.directions + d) * p.steps + t;
    }
    // Activated gates (and, for GRU, the hidden part of the new gate; with a projection, h before it).
    FUMI_DEVICE Tracked* gates(int layer, int d, std::int64_t t) const {
        return base + params.at_gates + (keeps() ? place(layer, d, t) : 0) * params.gate_size;
    }
    FUMI_DEVICE Tracked* cell(int layer, int d, std::int64_t t) const {
        return base + params.at_cells + (keeps() ? place(layer, d, t) : t % 2) * p.hidden;
    }
    FUMI_DEVICE Tracked* h(int layer, int d, std::int64_t t) const {
        return base + params.at_h + place(keeps() ? layer : layer % 2, d, t) * state();
    }
    FUMI_DEVICE Tracked* gradients(int layer, int d, std::int64_t t) const {
        return base + params.at_gradients +
               (p.direction == RnnDirection::backward_weights ? place(layer, d, t) : 0) *
                   params.gradient_size;
    }
    // Gradients that come from the layer above (0) and go to the one below (1), step by step.
    FUMI_DEVICE Tracked* passed(int which, std::int64_t t) const {
        return base + params.at_passed + (which * p.steps + t) * params.passed_size;
    }
    FUMI_DEVICE Tracked* buffer(int which) const {
        return base + params.at_buffers + which * params.buffer_size;
    }

    // Is the program's y what this network computes from x? Where not (the forward call was at fault), the
    // gradients depend on what only the library has, and there is nothing to compare them with.
    FUMI_DEVICE double& y_differs() const { return base[params.at_flag].v; }

    FUMI_DEVICE std::int64_t row(std::int64_t t, std::int64_t step, std::int64_t batch) const {
        if (p.step_offsets == nullptr) return t * step + b * batch;
        return (memory.at(static_cast<const std::int64_t*>(p.step_offsets))[t] + b) * batch;
    }
    FUMI_DEVICE double read(const void* data, std::int64_t index) const {
        return read_real(memory, data, index, p.type);
    }
    FUMI_DEVICE double state_value(const void* data, int layer, int d, std::int64_t size,
                                   std::int64_t j) const {
        if (data == nullptr) return 0;
        return read(data, ((std::int64_t{layer} * p.directions + d) * p.batch + b) * size + j);
    }
    FUMI_DEVICE double weight(std::int64_t at, std::int64_t index) const {
        return at < 0 ? 0.0 : read_real(memory, p.weights, at + index, p.weight_type);
    }
    // A number as the library keeps it: in the type of the data, perhaps.
    FUMI_DEVICE Tracked kept(Tracked x) const {
        if (p.type != DataType::f32 && p.type != DataType::f64)
            x.e += half_ulp(format_of(p.type), fabs(x.v) + x.e);
        return x;
    }
    FUMI_DEVICE Tracked visible_h(int d, std::int64_t t, std::int64_t j) const {
        return kept({read(p.y, row(t, p.y_step, p.y_batch) + d * state() + j), 0});
    }
    FUMI_DEVICE bool is_first(int d, std::int64_t t) const { return d == 0 ? t == 0 : t == length - 1; }
    FUMI_DEVICE bool is_last(int d, std::int64_t t) const { return d == 0 ? t == length - 1 : t == 0; }
    FUMI_DEVICE std::int64_t before(int d, std::int64_t t) const { return d == 0 ? t - 1 : t + 1; }
    FUMI_DEVICE Tracked h_before(int layer, int d, std::int64_t t, std::int64_t j) const {
        if (is_first(d, t)) return {state_value(p.hx, layer, d, state(), j), 0};
        return h(layer, d, before(d, t))[j];
    }
    FUMI_DEVICE Tracked cell_before(int layer, int d, std::int64_t t, std::int64_t j) const {
        if (is_first(d, t)) return {state_value(p.cx, layer, d, p.hidden, j), 0};
        return cell(layer, d, before(d, t))[j];
    }
    FUMI_DEVICE Tracked input(int layer, std::int64_t t, std::int64_t k) const {
        if (layer == 0) return {read(p.x, row(t, p.x_step, p.x_batch) + k), 0};
        return h(layer - 1, static_cast<int>(k / state()), t)[k % state()];
    }
};

template <class B, class F>
FUMI_DEVICE void for_each(const B& block, std::int64_t count, F f) {
    block.for_each_thread([&](int t) {
        for (std::int64_t i = t; i < count; i += kDnnThreads) f(t, i);
    });
    block.sync();
}

}  // namespace fumi::FUMI_TARGET
