// Recurrent nets: outputs against a naive net, gradients against finite differences of it in long double, a
// legal fp32 net within its bounds, faults found.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {
namespace {

struct NetShape {
    RnnCell cell = RnnCell::lstm;
    int layers = 1, directions = 1, projection = 0;
    bool ragged = false;
};
const NetShape kShapes[] = {{RnnCell::lstm, 2, 2, 0, true},
                            {RnnCell::lstm, 2, 1, 3},
                            {RnnCell::gru, 2, 2},
                            {RnnCell::tanh, 1, 2},
                            {RnnCell::relu, 2, 1}};
constexpr int kSteps = 4, kBatch = 3, kInput = 5, kHidden = 6;

// Owns all that a net reads and writes.
struct Net {
    Net(const Net&) = delete;
    Net(const NetShape& setup, DataType type, const std::function<double()>& draw) {
        p.cell = setup.cell;
        p.layers = setup.layers;
        p.directions = setup.directions;
        p.steps = kSteps;
        p.batch = kBatch;
        p.input = kInput;
        p.hidden = kHidden;
        p.projection = setup.projection;
        p.type = p.weight_type = type;
        states = setup.projection > 0 ? setup.projection : kHidden;
        gates = setup.cell == RnnCell::lstm ? 4 : (setup.cell == RnnCell::gru ? 3 : 1);
        lines = setup.layers * setup.directions;
        std::int64_t used = 0;
        for (int i = 0; i < lines; ++i) {
            const auto take = [&](std::int64_t count) {
                used += count;
                return used - count;
            };
            p.of[i] = {take(gates * kHidden * input_of(i / setup.directions)), take(gates * kHidden * states),
                       take(gates * kHidden), take(gates * kHidden),
                       setup.projection > 0 ? take(states * kHidden) : -1};
        }
        const std::int64_t width = states * setup.directions;
        weights = Tensor(type, {used});
        dweights = Tensor(type, {used});
        x = Tensor(type, {kSteps, kBatch, kInput});
        dx = Tensor(type, {kSteps, kBatch, kInput});
        y = Tensor(type, {kSteps, kBatch, width});
        dy = Tensor(type, {kSteps, kBatch, width});
        for (Tensor* t : {&hx, &hy, &dhy, &dhx}) *t = Tensor(type, {lines, kBatch, states});
        for (Tensor* t : {&cx, &cy, &dcy, &dcx}) *t = Tensor(type, {lines, kBatch, kHidden});
        for (Tensor* t : {&x, &dy, &hx, &cx, &dhy, &dcy}) t->fill(draw);
        weights.fill([&] { return 0.4 * draw(); });
        if (setup.ragged) lengths = {4, 2, 1};
        p.lengths = lengths.empty() ? nullptr : lengths.data();
        p.x_step = kBatch * kInput;
        p.x_batch = kInput;
        p.y_step = kBatch * width;
        p.y_batch = width;
        p.weights = weights.view.data;
        p.dweights = dweights.view.data;
        p.x = x.view.data;
        p.dx = dx.view.data;
        p.y = y.view.data;
        p.dy = dy.view.data;
        p.hx = hx.view.data;
        p.hy = hy.view.data;
        p.dhy = dhy.view.data;
        p.dhx = dhx.view.data;
        p.cx = cx.view.data;
        p.cy = cy.view.data;
        p.dcy = dcy.view.data;
        p.dcx = dcx.view.data;
    }
    std::int64_t input_of(int layer) const { return layer == 0 ? kInput : p.directions * states; }

    template <class T>
    T dot(std::int64_t at, const std::vector<T>& values) const {
        T sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
            sum += static_cast<T>(weights[at + static_cast<std::int64_t>(i)]) * values[i];
        return sum;
    }
    template <class T>
    static T sigmoid(T v) {
        return 1 / (1 + std::exp(-v));
    }
    // One step of one unit's gates, from x and h.
    template <class T>
    void unit(const RnnWeights& w, std::int64_t j, const std::vector<T>& in, const std::vector<T>& h, T& c,
              T& out) const {
        const auto sum = [&](std::int64_t gate, bool hidden) {
            const std::int64_t row = gate * kHidden + j;
            const T bias = static_cast<T>(weights[(hidden ? w.b_hh : w.b_ih) + row]);
            return hidden ? dot(w.w_hh + row * states, h) + bias
                          : dot(w.w_ih + row * static_cast<std::int64_t>(in.size()), in) + bias;
        };
        const auto both = [&](std::int64_t gate) { return sum(gate, false) + sum(gate, true); };
        if (p.cell == RnnCell::relu) {
            out = std::max<T>(both(0), 0);
        } else if (p.cell == RnnCell::tanh) {
            out = std::tanh(both(0));
        } else if (p.cell == RnnCell::gru) {
            const T r = sigmoid(both(0)), z = sigmoid(both(1));
            out = (1 - z) * std::tanh(sum(2, false) + r * sum(2, true)) + z * h[static_cast<std::size_t>(j)];
        } else {
            c = sigmoid(both(1)) * c + sigmoid(both(0)) * std::tanh(both(2));
            out = sigmoid(both(3)) * std::tanh(c);
        }
    }
    // Writes y, hy, cy; returns sum dy y + sum dhy hy + sum dcy cy.
    template <class T>
    T forward(bool write) {
        T loss = 0;
        for (std::int64_t b = 0; b < kBatch; ++b) {
            const std::int64_t length = lengths.empty() ? kSteps : lengths[static_cast<std::size_t>(b)];
            std::vector<std::vector<T>> sequence(static_cast<std::size_t>(length));
            for (std::int64_t t = 0; t < length; ++t)
                for (std::int64_t k = 0; k < kInput; ++k)
                    sequence[static_cast<std::size_t>(t)].push_back(static_cast<T>(x.get({t, b, k})));
            for (int layer = 0; layer < p.layers; ++layer) loss += run_layer(layer, b, sequence, write);
            for (std::int64_t t = 0; t < length; ++t)
                for (std::size_t j = 0; j < sequence[static_cast<std::size_t>(t)].size(); ++j) {
                    const std::vector<std::int64_t> at = {t, b, static_cast<std::int64_t>(j)};
                    const T v = sequence[static_cast<std::size_t>(t)][j];
                    if (write) y.set(at, static_cast<double>(v));
                    loss += v * static_cast<T>(dy.get(at));
                }
        }
        return loss;
    }
    template <class T>
    T run_layer(int layer, std::int64_t b, std::vector<std::vector<T>>& sequence, bool write) {
        T loss = 0;
        const std::size_t length = sequence.size();
        std::vector<std::vector<T>> next(length);
        for (int d = 0; d < p.directions; ++d) {
            const int line = layer * p.directions + d;
            std::vector<T> h, c;
            for (std::int64_t j = 0; j < states; ++j) h.push_back(static_cast<T>(hx.get({line, b, j})));
            for (std::int64_t j = 0; j < kHidden; ++j) c.push_back(static_cast<T>(cx.get({line, b, j})));
            for (std::size_t i = 0; i < length; ++i) {
                const std::size_t t = d == 0 ? i : length - 1 - i;
                std::vector<T> raw(kHidden);
                for (std::size_t j = 0; j < kHidden; ++j)
                    unit(p.of[line], static_cast<std::int64_t>(j), sequence[t], h, c[j], raw[j]);
                h = raw;
                if (p.projection > 0) {
                    h.resize(static_cast<std::size_t>(states));
                    for (std::size_t j = 0; j < h.size(); ++j)
                        h[j] = dot(p.of[line].w_hr + static_cast<std::int64_t>(j) * kHidden, raw);
                }
                next[t].insert(next[t].end(), h.begin(), h.end());
            }
            for (std::int64_t j = 0; j < states; ++j) {
                if (write) hy.set({line, b, j}, static_cast<double>(h[static_cast<std::size_t>(j)]));
                loss += h[static_cast<std::size_t>(j)] * static_cast<T>(dhy.get({line, b, j}));
            }
            for (std::int64_t j = 0; j < kHidden && p.cell == RnnCell::lstm; ++j) {
                if (write) cy.set({line, b, j}, static_cast<double>(c[static_cast<std::size_t>(j)]));
                loss += c[static_cast<std::size_t>(j)] * static_cast<T>(dcy.get({line, b, j}));
            }
        }
        sequence = std::move(next);
        return loss;
    }
    // d loss / d of every element of `of`, in fp64 tensors only.
    void differentiate(Tensor& of, Tensor& gradient) {
        for (std::int64_t i = 0; i < of.count(); ++i) {
            const double value = of[i], step = 1e-4;
            of.put(i, value + step);
            const long double up = forward<long double>(false);
            of.put(i, value - step);
            const long double down = forward<long double>(false);
            of.put(i, value);
            gradient.put(i, static_cast<double>((up - down) / (2 * static_cast<long double>(step))));
        }
    }
    RnnProblem p;
    std::int64_t states = 0, gates = 0, lines = 0;
    std::vector<std::int32_t> lengths;
    Tensor weights, dweights, x, dx, y, dy, hx, hy, dhy, dhx, cx, cy, dcy, dcx;
};

TEST(Rnn, AgreesWithANaiveNet) {
    std::mt19937_64 g(1);
    const DnnContract contract = plain_contract(DataType::f64);
    for (const NetShape& setup : kShapes) {
        Net net(setup, DataType::f64, draws(Distribution::normal, g));
        net.forward<long double>(true);
        const ErrorStats stats = run_dnn(net.p, contract);
        EXPECT_LT(stats.max_ratio, 1);
        EXPECT_LT(stats.max_abs_err, 1e-14);
        const std::int64_t steps = setup.ragged ? 7 : kSteps * kBatch;
        const std::int64_t cells = setup.cell == RnnCell::lstm ? kHidden : 0;
        EXPECT_EQ(static_cast<std::int64_t>(stats.elements),
                  steps * net.states * setup.directions + net.lines * kBatch * (net.states + cells));
        EXPECT_LT(run_dnn(net.p, contract, {1, 1, 2}).elements, stats.elements);
        // Gradients: what finite differences leave of them is far above the bound, hence the absolute limit.
        net.p.direction = RnnDirection::backward_data;
        net.differentiate(net.x, net.dx);
        net.differentiate(net.hx, net.dhx);
        net.differentiate(net.cx, net.dcx);
        EXPECT_LT(run_dnn(net.p, contract).max_abs_err, 1e-6);
        net.p.direction = RnnDirection::backward_weights;
        net.differentiate(net.weights, net.dweights);
        const ErrorStats weights = run_dnn(net.p, contract);
        EXPECT_EQ(static_cast<std::int64_t>(weights.elements), net.weights.count());
        EXPECT_LT(weights.max_abs_err, 1e-6);
    }
}

TEST(Rnn, LegalNetsPassAndFaultsFail) {
    std::mt19937_64 g(2);
    Largest fp32("recurrent networks, fp32"), fp16("recurrent networks, fp16");
    for (const NetShape& setup : kShapes) {
        for (const DataType type : {DataType::f32, DataType::f16}) {
            const DnnContract contract = plain_contract(type);
            for (const Distribution d : kDistributions) {
                Net net(setup, type, draws(d, g));
                net.forward<float>(true);
                const Assessment a = assess(run_dnn(net.p, contract), contract, net.p);
                (type == DataType::f32 ? fp32 : fp16).note(a.ratio);
                ASSERT_EQ(a.verdict, Judgement::pass) << name(d) << ": " << a.reason;
            }
            if (setup.ragged) continue;
            Net net(setup, type, draws(Distribution::uniform, g));
            net.forward<float>(true);
            const double right = net.y[17];
            net.y.put(17, right + 0.03);
            const Assessment wrong = assess(run_dnn(net.p, contract), contract, net.p);
            EXPECT_EQ(wrong.verdict, Judgement::fail);
            EXPECT_NE(wrong.reason.find("y["), std::string::npos) << wrong.reason;
            net.y.put(17, right);
            net.hy.put(0, net.hy[0] + 0.5);
            EXPECT_EQ(assess(run_dnn(net.p, contract), contract, net.p).verdict, Judgement::fail);
        }
    }
}

TEST(Rnn, GradientsPassWhenRightAndFailWhenWrong) {
    std::mt19937_64 g(3);
    for (const NetShape& setup : kShapes) {
        Net exact(setup, DataType::f64, draws(Distribution::uniform, g));
        for (Tensor* t : {&exact.x, &exact.dy, &exact.hx, &exact.cx, &exact.dhy, &exact.dcy, &exact.weights})
            for (std::int64_t i = 0; i < t->count(); ++i) t->put(i, static_cast<float>((*t)[i]));
        exact.forward<long double>(true);
        exact.differentiate(exact.x, exact.dx);
        exact.differentiate(exact.hx, exact.dhx);
        exact.differentiate(exact.cx, exact.dcx);
        exact.differentiate(exact.weights, exact.dweights);
        Net net(setup, DataType::f32, draws(Distribution::uniform, g));
        Tensor Net::*const all[] = {&Net::x, &Net::dy, &Net::hx,  &Net::cx,  &Net::dhy,     &Net::dcy,
                                    &Net::y, &Net::dx, &Net::dhx, &Net::dcx, &Net::weights, &Net::dweights};
        for (Tensor Net::*const t : all)
            for (std::int64_t i = 0; i < (net.*t).count(); ++i) (net.*t).put(i, (exact.*t)[i]);
        const DnnContract contract = plain_contract(DataType::f32);
        for (const RnnDirection direction : {RnnDirection::backward_data, RnnDirection::backward_weights}) {
            net.p.direction = direction;
            Assessment a = assess(run_dnn(net.p, contract), contract, net.p);
            EXPECT_EQ(a.verdict, Judgement::pass) << a.reason;
            Tensor& output = direction == RnnDirection::backward_data ? net.dx : net.dweights;
            output.put(3, output[3] + 0.01);
            a = assess(run_dnn(net.p, contract), contract, net.p);
            EXPECT_EQ(a.verdict, Judgement::fail);
            EXPECT_EQ(a.mismatches, 1);
        }
    }
}

TEST(Rnn, WhatIsNotVisibleIsSaid) {
    std::mt19937_64 g(4);
    Net net({RnnCell::lstm, 2}, DataType::f32, draws(Distribution::normal, g));
    const DnnContract contract = plain_contract(DataType::f32);
    net.p.dropout = 0.5;
    EXPECT_NE(std::string(plan_check(net.p, contract, {}, {}).reason).find("dropout"), std::string::npos);
    net.p.dropout = 0;
    net.p.x = nullptr;
    EXPECT_STRNE(plan_check(net.p, contract, {}, {}).reason, "");
}

}  // namespace
}  // namespace fumi::test
