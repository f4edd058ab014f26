// CTC and grid sampling: against naive forms, gradients against finite differences, fp32 results pass, faults
// found.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {
namespace {

constexpr int kSteps = 5, kBatch = 2, kClasses = 4;

// Sums over every path: 4^5 of them.
long double enumerated_loss(const Tensor& logits, std::int64_t b, const std::vector<std::int32_t>& labels,
                            int steps) {
    long double total = 0;
    const int paths = static_cast<int>(std::pow(kClasses, steps));
    for (int path = 0; path < paths; ++path) {
        std::vector<std::int32_t> collapsed;
        long double probability = 1;
        std::int32_t before = -1;
        for (int t = 0, rest = path; t < steps; ++t, rest /= kClasses) {
            const std::int32_t k = rest % kClasses;
            long double sum = 0;
            for (std::int64_t i = 0; i < kClasses; ++i)
                sum += std::exp(static_cast<long double>(logits.get({t, b, i})));
            probability *= std::exp(static_cast<long double>(logits.get({t, b, k}))) / sum;
            if (k != before && k != 0) collapsed.push_back(k);
            before = k;
        }
        if (collapsed == labels) total += probability;
    }
    return -std::log(total);
}

TEST(Ctc, AgreesWithTheSumOverAllPaths) {
    std::mt19937_64 g(1);
    Tensor logits(DataType::f64, {kSteps, kBatch, kClasses}),
        inputs(DataType::f32, {kSteps, kBatch, kClasses}),
        gradients(DataType::f32, {kSteps, kBatch, kClasses}), costs(DataType::f32, {kBatch});
    inputs.fill(draws(Distribution::normal, g));
    for (std::int64_t i = 0; i < inputs.count(); ++i) logits.put(i, inputs[i]);
    const std::vector<std::vector<std::int32_t>> targets = {{2, 2}, {1, 3, 1}};
    const std::vector<std::int32_t> labels = {2, 2, 1, 3, 1}, lengths = {2, 3}, steps = {4, 5};
    for (std::int64_t b = 0; b < kBatch; ++b) {
        const auto& target = targets[static_cast<std::size_t>(b)];
        const int n = steps[static_cast<std::size_t>(b)];
        costs.put(b, static_cast<double>(enumerated_loss(logits, b, target, n)));
        for (std::int64_t t = 0; t < n; ++t) {
            for (std::int64_t k = 0; k < kClasses; ++k) {
                const double value = logits.get({t, b, k});
                logits.set({t, b, k}, value + 1e-4);
                const long double up = enumerated_loss(logits, b, target, n);
                logits.set({t, b, k}, value - 1e-4);
                const long double down = enumerated_loss(logits, b, target, n);
                logits.set({t, b, k}, value);
                gradients.set({t, b, k}, static_cast<double>((up - down) / 2e-4L));
            }
        }
    }
    CtcProblem p;
    p.steps = kSteps;
    p.batch = kBatch;
    p.classes = kClasses;
    p.inputs = inputs.view.data;
    p.labels = labels.data();
    p.label_lengths = lengths.data();
    p.input_lengths = steps.data();
    p.longest_label = 3;
    p.costs = costs.view.data;
    p.gradients = gradients.view.data;
    const DnnContract contract = plain_contract(DataType::f32);
    const ErrorStats stats = run_dnn(p, contract);
    EXPECT_EQ(stats.elements, 2U + 9U * kClasses);
    Assessment a = assess(stats, contract, p);
    EXPECT_EQ(a.verdict, Judgement::pass) << a.reason;
    EXPECT_LT(a.max_abs_err, 1e-6);
    costs.put(1, costs[1] * (1 + 1e-4));
    a = assess(run_dnn(p, contract), contract, p);
    EXPECT_EQ(a.verdict, Judgement::fail);
    EXPECT_NE(a.reason.find("loss[1]"), std::string::npos) << a.reason;
    costs.put(1, static_cast<double>(enumerated_loss(logits, 1, targets[1], 5)));
    gradients.put(9, gradients[9] + 1e-3);
    EXPECT_EQ(assess(run_dnn(p, contract), contract, p).mismatches, 1);
}

struct Sampled {
    Sampled(const Sampled&) = delete;
    explicit Sampled(const std::function<double()>& draw, DataType type)
        : x(type, {2, 3, 5, 4}),
          grid(type, {2, 3, 6, 2}),
          y(type, {2, 3, 3, 6}),
          dy(type, {2, 3, 3, 6}),
          dx(type, {2, 3, 5, 4}),
          dgrid(type, {2, 3, 6, 2}) {
        for (Tensor* t : {&x, &dy}) t->fill(draw);
        std::mt19937_64 g(7);
        grid.fill([&] { return std::uniform_real_distribution<double>(-1.3, 1.3)(g); });
        p.x = x.view;
        p.grid = grid.view;
        p.y = y.view;
        p.dy = dy.view;
        p.dx = dx.view;
        p.dgrid = dgrid.view;
    }
    template <class T>
    T run(bool write) {
        T loss = 0;
        for (std::int64_t i = 0; i < y.count(); ++i) {
            const std::int64_t w = i % 6, h = i / 6 % 3, c = i / 18 % 3, n = i / 54;
            const T px = (static_cast<T>(grid.get({n, h, w, 0})) + 1) / 2 * 3,
                    py = (static_cast<T>(grid.get({n, h, w, 1})) + 1) / 2 * 4;
            T value = 0;
            for (std::int64_t r = 0; r < 5; ++r)
                for (std::int64_t s = 0; s < 4; ++s) {
                    const T a = 1 - std::fabs(py - static_cast<T>(r)),
                            b = 1 - std::fabs(px - static_cast<T>(s));
                    if (a > 0 && b > 0) value += a * b * static_cast<T>(x.get({n, c, r, s}));
                }
            if (write) y.put(i, static_cast<double>(value));
            loss += value * static_cast<T>(dy[i]);
        }
        return loss;
    }
    void differentiate(Tensor& of, Tensor& gradient) {
        for (std::int64_t i = 0; i < of.count(); ++i) {
            const double value = of[i];
            of.put(i, value + 1e-6);
            const long double up = run<long double>(false);
            of.put(i, value - 1e-6);
            const long double down = run<long double>(false);
            of.put(i, value);
            gradient.put(i, static_cast<double>((up - down) / 2e-6L));
        }
    }
    Tensor x, grid, y, dy, dx, dgrid;
    GridSampleProblem p;
};

TEST(GridSample, AgreesWithANaiveReference) {
    std::mt19937_64 g(2);
    Sampled s(draws(Distribution::normal, g), DataType::f64);
    const DnnContract contract = plain_contract(DataType::f64);
    s.run<long double>(true);
    ErrorStats stats = run_dnn(s.p, contract);
    EXPECT_EQ(stats.elements, 108U);
    EXPECT_LT(stats.max_ratio, 1);
    s.differentiate(s.x, s.dx);
    s.differentiate(s.grid, s.dgrid);
    s.p.backward = 1;
    stats = run_dnn(s.p, contract);
    EXPECT_EQ(stats.elements, 72U + 120U);
    EXPECT_LT(stats.max_abs_err, 1e-7);
    EXPECT_EQ(run_dnn(s.p, contract, {}, 6000).max_abs_err, stats.max_abs_err);
    EXPECT_LT(run_dnn(s.p, contract, {1, 20, 1}).elements, 100U);
}

TEST(GridSample, LegalKernelsPassAndFaultsFail) {
    std::mt19937_64 g(3);
    Largest largest("grid sampling");
    for (const Distribution d : kDistributions) {
        Sampled s(draws(d, g), DataType::f32);
        s.run<float>(true);
        const DnnContract contract = plain_contract(DataType::f32);
        Assessment a = assess(run_dnn(s.p, contract), contract, s.p);
        EXPECT_EQ(a.verdict, Judgement::pass) << a.reason;
        largest.note(a.ratio);
        s.y.put(50, s.y[50] + 0.5);
        a = assess(run_dnn(s.p, contract), contract, s.p);
        EXPECT_EQ(a.verdict, Judgement::fail);
        EXPECT_NE(a.reason.find("y[0, 2, 2, 2]"), std::string::npos) << a.reason;
    }
}

}  // namespace
}  // namespace fumi::test
