// Batch norm, softmax and pooling: references against naive ones, legal fp32 kernels within their bounds,
// faults found.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {
namespace {

using Sizes = std::vector<std::int64_t>;

// A batch norm of 5 channels. T is what a kernel computes in: float for a legal kernel, long double for the
// reference.
struct Norm {
    Norm(const Norm&) = delete;
    Norm(DataType type, Format format, const std::function<double()>& draw, NormDirection direction,
         bool relu = false)
        : x(type, {4, 5, 3, 7}, format),
          y(type, {4, 5, 3, 7}, format),
          dy(type, {4, 5, 3, 7}, format),
          dx(type, {4, 5, 3, 7}) {
        for (Tensor* t : {&x, &y, &dy, &dx}) t->fill(draw);
        for (Tensor* t : {&scale, &bias, &mean, &variance, &old_mean, &old_variance}) {
            *t = Tensor(DataType::f32, {5});
            t->fill([&] { return std::fabs(draw()) + 0.5; });
        }
        for (Tensor* t : {&dscale, &dbias, &running_mean, &running_variance}) *t = Tensor(DataType::f32, {5});
        p.direction = direction;
        p.activation = relu ? Activation::relu : Activation::none;
        p.x = x.view;
        p.y = y.view;
        p.dy = dy.view;
        p.dx = dx.view;
        p.scale = scale.view.data;
        p.bias = bias.view.data;
        p.momentum = 0.25;
        p.epsilon = 1e-5;
        if (direction == NormDirection::forward_inference) {
            p.mean = mean.view.data;
            p.variance = variance.view.data;
        } else {
            p.saved_mean = mean.view.data;
            p.saved_inv_std = variance.view.data;
            p.dscale = dscale.view.data;
            p.dbias = dbias.view.data;
            p.running_mean = running_mean.view.data;
            p.running_variance = running_variance.view.data;
            p.running_mean_before = old_mean.view.data;
            p.running_variance_before = old_variance.view.data;
        }
    }
    std::int64_t element(std::int64_t c, std::int64_t i) const { return (i / 21 * 5 + c) * 21 + i % 21; }

    template <class T>
    void statistics(std::int64_t c, bool one_pass, T& mu, T& var) const {
        T sum = 0, square = 0;
        for (std::int64_t i = 0; i < 84; ++i) {
            const T v = static_cast<T>(x[element(c, i)]);
            sum += v;
            square += v * v;
        }
        mu = sum / 84;
        if (one_pass) {
            var = std::max<T>(square / 84 - mu * mu, 0);
            return;
        }
        T total = 0;
        for (std::int64_t i = 0; i < 84; ++i) {
            const T d = static_cast<T>(x[element(c, i)]) - mu;
            total += d * d;
        }
        var = total / 84;
    }

    template <class T>
    void forward(bool one_pass) {
        for (std::int64_t c = 0; c < 5; ++c) {
            T mu = 0, var = 0;
            if (p.direction == NormDirection::forward_inference) {
                mu = static_cast<T>(mean[c]);
                var = static_cast<T>(variance[c]);
            } else {
                statistics(c, one_pass, mu, var);
            }
            T inv = 1 / std::sqrt(var + static_cast<T>(p.epsilon));
            // CUDA's rsqrtf is off by two units of the last place at most.
            for (int i = 0; one_pass && i < 2; ++i) inv = std::nextafter(inv, static_cast<T>(INFINITY));
            for (std::int64_t i = 0; i < 84; ++i) {
                T v = (static_cast<T>(x[element(c, i)]) - mu) * inv * static_cast<T>(scale[c]) +
                      static_cast<T>(bias[c]);
                if (p.activation == Activation::relu) v = std::max<T>(v, 0);
                y.put(element(c, i), static_cast<double>(v));
            }
            if (p.direction == NormDirection::forward_inference) continue;
            mean.put(c, static_cast<double>(mu));
            variance.put(c, static_cast<double>(inv));
            running_mean.put(c, static_cast<double>(T(0.75) * static_cast<T>(old_mean[c]) + T(0.25) * mu));
            running_variance.put(c, static_cast<double>(T(0.75) * static_cast<T>(old_variance[c]) +
                                                        T(0.25) * (var * 84 / 83)));
        }
    }

    template <class T>
    void backward() {
        for (std::int64_t c = 0; c < 5; ++c) {
            const T mu = static_cast<T>(mean[c]), inv = static_cast<T>(variance[c]);
            T db = 0, ds = 0;
            const auto gradient = [&](std::int64_t i) {
                if (p.activation == Activation::relu && !(y[element(c, i)] > 0)) return T(0);
                return static_cast<T>(dy[element(c, i)]);
            };
            for (std::int64_t i = 0; i < 84; ++i) {
                db += gradient(i);
                ds += gradient(i) * ((static_cast<T>(x[element(c, i)]) - mu) * inv);
            }
            for (std::int64_t i = 0; i < 84; ++i) {
                const T hat = (static_cast<T>(x[element(c, i)]) - mu) * inv;
                const T v = static_cast<T>(scale[c]) * inv * (gradient(i) - (db + hat * ds) / 84);
                dx.put(element(c, i), static_cast<double>(v));
            }
            dscale.put(c, static_cast<double>(ds));
            dbias.put(c, static_cast<double>(db));
        }
    }
    Tensor x, y, dy, dx, scale, bias, mean, variance, old_mean, old_variance, dscale, dbias, running_mean,
        running_variance;
    BatchNormProblem p;
};

std::function<double()> shifted(const std::function<double()>& draw, double by) {
    return [=] { return draw() + by; };
}

TEST(BatchNorm, AgreesWithANaiveReference) {
    std::mt19937_64 g(1);
    for (const Format format : {Format::channels_first, Format::channels_last}) {
        Norm training(DataType::f64, format, draws(Distribution::normal, g), NormDirection::forward_training);
        training.forward<long double>(false);
        DnnContract contract = plain_contract(DataType::f64);
        ErrorStats stats = run_dnn(training.p, contract);
        EXPECT_EQ(stats.elements, 420U + 20U);
        EXPECT_LT(stats.max_ratio, 1);
        // fp32 statistics of before rounding: relative errors of an ulp at most.
        EXPECT_LT(stats.max_rel_err, 0x1p-23);
        Norm backward(DataType::f64, format, draws(Distribution::normal, g), NormDirection::backward, true);
        backward.p.parameters = DataType::f32;
        backward.backward<long double>();
        stats = run_dnn(backward.p, contract);
        EXPECT_EQ(stats.elements, 420U + 10U);
        EXPECT_LT(stats.max_ratio, 1);
        EXPECT_LT(stats.max_rel_err, 0x1p-23);
        const ErrorStats part = run_dnn(backward.p, contract, {1, 170, 3});
        EXPECT_EQ(part.elements, 2U * 86U);
    }
}

TEST(BatchNorm, LegalKernelsPass) {
    std::mt19937_64 g(2);
    Largest two_pass("batch norm, two-pass, fp32"), one("batch norm, one-pass, fp32"),
        gradients("batch norm, gradients, fp32"), rounded("batch norm, fp16 and bf16");
    for (const Distribution d : kDistributions) {
        for (const double shift : {0.0, 30.0, 1000.0}) {
            for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16}) {
                for (const bool one_pass : {false, true}) {
                    Norm n(type, Format::channels_first, shifted(draws(d, g), shift),
                           NormDirection::forward_training, one_pass);
                    n.forward<float>(one_pass);
                    const DnnContract contract = plain_contract(type);
                    Assessment a = assess(run_dnn(n.p, contract), contract, n.p);
                    (type != DataType::f32 ? rounded : (one_pass ? one : two_pass)).note(a.ratio);
                    ASSERT_EQ(a.verdict, Judgement::pass) << name(d) << " + " << shift << ": " << a.reason;
                    n.p.direction = NormDirection::backward;
                    n.backward<float>();
                    a = assess(run_dnn(n.p, contract), contract, n.p);
                    (type != DataType::f32 ? rounded : gradients).note(a.ratio);
                    ASSERT_EQ(a.verdict, Judgement::pass) << name(d) << " + " << shift << ": " << a.reason;
                }
            }
        }
    }
    Norm inference(DataType::f32, Format::channels_last, draws(Distribution::normal, g),
                   NormDirection::forward_inference);
    inference.forward<float>(false);
    const DnnContract contract = plain_contract(DataType::f32);
    EXPECT_EQ(assess(run_dnn(inference.p, contract), contract, inference.p).verdict, Judgement::pass);
}

TEST(BatchNorm, FaultsFail) {
    std::mt19937_64 g(3);
    const DnnContract contract = plain_contract(DataType::f32);
    Norm n(DataType::f32, Format::channels_first, draws(Distribution::normal, g),
           NormDirection::forward_training);
    n.forward<float>(false);
    const auto fails = [&](const char* where) {
        const Assessment a = assess(run_dnn(n.p, contract), contract, n.p);
        EXPECT_EQ(a.verdict, Judgement::fail) << where;
        EXPECT_NE(a.reason.find(where), std::string::npos) << a.reason;
    };
    const auto moved = [&](Tensor& t, std::int64_t at, const char* where) {
        const double right = t[at];
        t.put(at, right * (1 + 1e-3) + 1e-3);
        fails(where);
        t.put(at, right);
    };
    moved(n.y, 100, "y[0, 4, 2, 2]");
    moved(n.mean, 2, "saved mean[2]");
    moved(n.running_mean, 1, "running mean[1]");
    moved(n.running_variance, 4, "running variance[4]");
    n.p.direction = NormDirection::backward;
    n.backward<float>();
    moved(n.dx, 419, "dx[3, 4, 2, 6]");
    moved(n.dscale, 3, "dscale[3]");
    moved(n.dbias, 0, "dbias[0]");
    n.dx.put(8, NAN);
    fails("dx[0, 0, 1, 1]");
}

// --------------------------------------------------------------------------------------------- softmax

template <class T>
void softmax(const SoftmaxProblem& p, const Tensor& x, Tensor& y, const Tensor& dy, Tensor& dx) {
    const std::int64_t c = x.view.size[1], inner = x.count() / x.view.size[0] / c;
    for (std::int64_t row = 0; row < x.view.size[0] * inner; ++row) {
        const auto at = [&](std::int64_t i) { return (row / inner * c + i) * inner + row % inner; };
        T largest = -INFINITY, sum = 0, dot = 0;
        for (std::int64_t i = 0; i < c; ++i) largest = std::max(largest, static_cast<T>(x[at(i)]));
        for (std::int64_t i = 0; i < c; ++i) sum += std::exp(static_cast<T>(x[at(i)]) - largest);
        const bool logs = p.kind == SoftmaxKind::log_softmax;
        for (std::int64_t i = 0; i < c && p.backward == 0; ++i) {
            const T d = static_cast<T>(x[at(i)]) - largest;
            y.put(at(i), static_cast<double>(logs ? d - std::log(sum) : std::exp(d) / sum));
        }
        for (std::int64_t i = 0; i < c; ++i)
            dot += static_cast<T>(dy[at(i)]) * (logs ? T(1) : static_cast<T>(y[at(i)]));
        for (std::int64_t i = 0; i < c && p.backward != 0; ++i) {
            const T v = static_cast<T>(y[at(i)]), d = static_cast<T>(dy[at(i)]);
            dx.put(at(i), static_cast<double>(logs ? d - std::exp(v) * dot : v * (d - dot)));
        }
    }
}

TEST(Softmax, LegalKernelsPassAndFaultsFail) {
    std::mt19937_64 g(4);
    for (const SoftmaxKind kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
        const std::string which = kind == SoftmaxKind::softmax ? "softmax" : "log softmax";
        Largest forward(which), gradients(which + ", gradient");
        for (const Distribution d : kDistributions) {
            Tensor x(DataType::f32, {3, 40, 5});
            x.fill(draws(d, g));
            SoftmaxProblem p;
            p.kind = kind;
            p.x = x.view;
            Tensor written(DataType::f32, {3, 40, 5}), gradient(DataType::f32, {3, 40, 5}),
                incoming(DataType::f32, {3, 40, 5});
            incoming.fill(draws(d, g));
            p.y = written.view;
            p.dy = incoming.view;
            p.dx = gradient.view;
            const DnnContract contract = plain_contract(DataType::f32);
            for (const int backward : {0, 1}) {
                p.backward = backward;
                softmax<float>(p, x, written, incoming, gradient);
                const Assessment a = assess(run_dnn(p, contract), contract, p);
                EXPECT_EQ(a.elements, 600);
                (backward != 0 ? gradients : forward).note(a.ratio);
                EXPECT_EQ(a.verdict, Judgement::pass) << name(d) << ": " << a.reason;
            }
            gradient.put(77, gradient[77] + 0.5);
            const Assessment a = assess(run_dnn(p, contract), contract, p);
            EXPECT_EQ(a.verdict, Judgement::fail);
            EXPECT_EQ(a.mismatches, 1);
        }
    }
}

// --------------------------------------------------------------------------------------------- pooling

TEST(Pool, AgreesWithANaiveReference) {
    std::mt19937_64 g(5);
    Largest averages("average pooling, both directions");
    for (const PoolKind kind :
         {PoolKind::max, PoolKind::average_include_padding, PoolKind::average_exclude_padding}) {
        Tensor x(DataType::f32, {2, 3, 7, 6}, Format::channels_last), y(DataType::f32, {2, 3, 4, 3}),
            dy(DataType::f32, {2, 3, 4, 3}), dx(DataType::f32, {2, 3, 7, 6});
        x.fill(draws(Distribution::normal, g));
        dy.fill(draws(Distribution::normal, g));
        PoolProblem p;
        p.kind = kind;
        p.window[0] = 3;
        p.window[1] = 2;
        p.stride[0] = p.stride[1] = 2;
        p.padding[0] = 1;
        std::vector<double> gradient(static_cast<std::size_t>(dx.count()), 0.0);
        for (std::int64_t i = 0; i < y.count(); ++i) {
            const std::int64_t plane = i / 12, oh = i / 3 % 4, ow = i % 3;
            double best = -INFINITY, sum = 0;
            std::vector<std::int64_t> inside;
            for (std::int64_t h = oh * 2 - 1; h < oh * 2 + 2; ++h)
                for (std::int64_t w = ow * 2; w < ow * 2 + 2; ++w)
                    if (h >= 0 && h < 7 && w < 6) inside.push_back(plane * 42 + h * 6 + w);
            std::int64_t argmax = inside[0];
            for (const std::int64_t at : inside) {
                sum += x[at];
                if (x[at] > best) argmax = at;
                best = std::max(best, x[at]);
            }
            const double divisor =
                kind == PoolKind::average_include_padding ? 6.0 : static_cast<double>(inside.size());
            y.put(i, kind == PoolKind::max ? best : sum / divisor);
            for (const std::int64_t at : inside)
                if (kind != PoolKind::max || at == argmax)
                    gradient[static_cast<std::size_t>(at)] += kind == PoolKind::max ? dy[i] : dy[i] / divisor;
        }
        for (std::int64_t i = 0; i < dx.count(); ++i) dx.put(i, gradient[static_cast<std::size_t>(i)]);
        p.x = x.view;
        p.y = y.view;
        p.dy = dy.view;
        p.dx = dx.view;
        const DnnContract contract = plain_contract(DataType::f32);
        for (const int backward : {0, 1}) {
            p.backward = backward;
            EXPECT_EQ(run_dnn(p, contract).elements, backward != 0 ? 252U : 72U);
            Assessment a = assess(run_dnn(p, contract), contract, p);
            EXPECT_EQ(a.verdict, Judgement::pass) << a.reason;
            EXPECT_LT(a.max_abs_err, 1e-6);
            averages.note(a.ratio);
            EXPECT_EQ(run_dnn(p, contract, {1, 20, 9}).elements, 20U);
            Tensor& output = backward != 0 ? dx : y;
            output.put(33, output[33] + 0.01);
            a = assess(run_dnn(p, contract), contract, p);
            EXPECT_EQ(a.verdict, Judgement::fail);
            EXPECT_EQ(a.mismatches, 1);
            output.put(33, output[33] - 0.01);
        }
    }
}

}  // namespace
}  // namespace fumi::test
