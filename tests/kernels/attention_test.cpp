// Attention forward and backward: the reference against a naive one, legal kernels within their bounds,
// faults found.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {
namespace {

struct Shape4 {
    std::int64_t batch = 2, heads = 4, key_heads = 2, queries = 9, keys = 13, width = 16, value_width = 8;
};

// T is what a kernel computes in; P and dS are rounded to `stored` bits on their way (0: not).
struct Attention {
    Attention(const Attention&) = delete;
    Attention(DataType type, const Shape4& s, const std::function<double()>& draw, AttentionMask mask,
              bool with_bias)
        : q(type, {s.batch, s.heads, s.queries, s.width}),
          k(type, {s.batch, s.key_heads, s.keys, s.width}),
          v(type, {s.batch, s.key_heads, s.keys, s.value_width}),
          o(type, {s.batch, s.heads, s.queries, s.value_width}),
          d_o(type, {s.batch, s.heads, s.queries, s.value_width}),
          dq(type, {s.batch, s.heads, s.queries, s.width}),
          dk(type, {s.batch, s.key_heads, s.keys, s.width}),
          dv(type, {s.batch, s.key_heads, s.keys, s.value_width}),
          stats(DataType::f32, {s.batch, s.heads, s.queries, 1}),
          bias(type, {1, s.heads, 1, s.keys}) {
        for (Tensor* t : {&q, &k, &v, &d_o, &bias}) t->fill(draw);
        if (with_bias) bias.put(3, -INFINITY);
        p.mask = mask;
        p.scale = 1 / std::sqrt(static_cast<double>(s.width));
        p.q = q.view;
        p.k = k.view;
        p.v = v.view;
        p.o = o.view;
        p.d_o = d_o.view;
        p.dq = dq.view;
        p.dk = dk.view;
        p.dv = dv.view;
        p.stats = stats.view;
        if (with_bias) p.bias = bias.view;
    }

    template <class T>
    std::vector<T> scores(std::int64_t b, std::int64_t h, std::int64_t i) const {
        const std::int64_t keys = p.k.size[2], kh = h / (p.q.size[1] / p.k.size[1]);
        std::vector<T> s(static_cast<std::size_t>(keys), -static_cast<T>(INFINITY));
        for (std::int64_t j = 0; j < keys; ++j) {
            if (p.mask == AttentionMask::causal_top_left && j > i) continue;
            if (p.mask == AttentionMask::causal_bottom_right && j > i + keys - p.q.size[2]) continue;
            T dot = 0;
            for (std::int64_t d = 0; d < p.q.size[3]; ++d)
                dot += static_cast<T>(q.get({b, h, i, d})) * static_cast<T>(k.get({b, kh, j, d}));
            s[static_cast<std::size_t>(j)] = dot * static_cast<T>(p.scale);
            if (p.bias.data != nullptr)
                s[static_cast<std::size_t>(j)] += static_cast<T>(bias.get({0, h, 0, j}));
        }
        return s;
    }
    template <class T>
    T stored(T x) const {
        const int bits = precision_bits(p.q.type);
        return bits == 8 || bits == 11 ? static_cast<T>(round_to(static_cast<double>(x), bits)) : x;
    }
    template <class F>
    void for_each_query(F f) const {
        for (std::int64_t b = 0; b < p.q.size[0]; ++b)
            for (std::int64_t h = 0; h < p.q.size[1]; ++h)
                for (std::int64_t i = 0; i < p.q.size[2]; ++i) f(b, h, i);
    }
    template <class T>
    void forward() {
        for_each_query([&](std::int64_t b, std::int64_t h, std::int64_t i) {
            std::vector<T> s = scores<T>(b, h, i);
            const T largest = *std::max_element(s.begin(), s.end());
            T sum = 0;
            for (T& x : s) sum += x = std::exp(x - largest);
            for (std::int64_t d = 0; d < p.v.size[3]; ++d) {
                T total = 0;
                for (std::int64_t j = 0; j < p.k.size[2]; ++j)
                    total += stored(s[static_cast<std::size_t>(j)]) *
                             static_cast<T>(v.get({b, h / (p.q.size[1] / p.k.size[1]), j, d}));
                o.set({b, h, i, d}, static_cast<double>(total / sum));
            }
            stats.set({b, h, i, 0}, static_cast<double>(largest + std::log(sum)));
        });
    }
    template <class T>
    void backward() {
        std::vector<T> k_sum(static_cast<std::size_t>(dk.count()), T(0)),
            v_sum(static_cast<std::size_t>(dv.count()), T(0));
        for_each_query([&](std::int64_t b, std::int64_t h, std::int64_t i) {
            const std::int64_t kh = h / (p.q.size[1] / p.k.size[1]), width = p.q.size[3], wide = p.v.size[3];
            const std::vector<T> s = scores<T>(b, h, i);
            T row = 0;
            for (std::int64_t d = 0; d < wide; ++d)
                row += static_cast<T>(d_o.get({b, h, i, d})) * static_cast<T>(o.get({b, h, i, d}));
            std::vector<T> q_sum(static_cast<std::size_t>(width), T(0));
            for (std::int64_t j = 0; j < p.k.size[2]; ++j) {
                const T probability =
                    std::exp(s[static_cast<std::size_t>(j)] - static_cast<T>(stats.get({b, h, i, 0})));
                T dp = 0;
                for (std::int64_t d = 0; d < wide; ++d)
                    dp += static_cast<T>(d_o.get({b, h, i, d})) * static_cast<T>(v.get({b, kh, j, d}));
                const T ds = stored(probability * (dp - row));
                const std::int64_t at = (b * p.k.size[1] + kh) * p.k.size[2] + j;
                for (std::int64_t d = 0; d < width; ++d) {
                    q_sum[static_cast<std::size_t>(d)] += ds * static_cast<T>(k.get({b, kh, j, d}));
                    k_sum[static_cast<std::size_t>(at * width + d)] +=
                        ds * static_cast<T>(q.get({b, h, i, d}));
                }
                for (std::int64_t d = 0; d < wide; ++d)
                    v_sum[static_cast<std::size_t>(at * wide + d)] +=
                        stored(probability) * static_cast<T>(d_o.get({b, h, i, d}));
            }
            for (std::int64_t d = 0; d < width; ++d)
                dq.set({b, h, i, d},
                       static_cast<double>(static_cast<T>(p.scale) * q_sum[static_cast<std::size_t>(d)]));
        });
        for (std::int64_t i = 0; i < dk.count(); ++i)
            dk.put(i, static_cast<double>(static_cast<T>(p.scale) * k_sum[static_cast<std::size_t>(i)]));
        for (std::int64_t i = 0; i < dv.count(); ++i)
            dv.put(i, static_cast<double>(v_sum[static_cast<std::size_t>(i)]));
        p.direction = AttentionDirection::backward;
    }
    Tensor q, k, v, o, d_o, dq, dk, dv, stats, bias;
    AttentionProblem p;
};

const AttentionMask kMasks[] = {AttentionMask::none, AttentionMask::causal_top_left,
                                AttentionMask::causal_bottom_right};

TEST(Attention, AgreesWithANaiveReference) {
    std::mt19937_64 g(1);
    for (const AttentionMask mask : kMasks) {
        for (const bool bias : {false, true}) {
            Attention a(DataType::f64, {}, draws(Distribution::normal, g), mask, bias);
            const DnnContract contract = plain_contract(DataType::f64);
            a.forward<long double>();
            ErrorStats stats = run_dnn(a.p, contract);
            EXPECT_LT(stats.max_ratio, 1);
            EXPECT_EQ(stats.elements + stats.nonfinite_reference, 72U * 9U - stats.nonfinite_reference / 8U);
            EXPECT_LT(stats.max_abs_err, 1e-6);  // of the log-sum-exp, which is an fp32
            a.backward<long double>();
            stats = run_dnn(a.p, contract);
            EXPECT_EQ(stats.elements, static_cast<std::uint64_t>(a.dq.count() + a.dk.count() + a.dv.count()));
            EXPECT_LT(stats.max_ratio, 1);
            EXPECT_LT(stats.max_abs_err, 1e-13);
            const ErrorStats part = run_dnn(a.p, contract, {1, 200, 3});
            EXPECT_GT(part.elements, 0U);
            EXPECT_LT(part.elements, 600U);
            EXPECT_LT(part.max_ratio, 1);
            // Little scratch: fewer blocks, the same result.
            EXPECT_EQ(run_dnn(a.p, contract, {}, 16384).max_abs_err, stats.max_abs_err);
        }
    }
}

TEST(Attention, LegalKernelsPass) {
    std::mt19937_64 g(2);
    Largest forward("attention, fp32"), gradients("attention, gradients, fp32"),
        rounded("attention, fp16 and bf16");
    for (const Distribution d : kDistributions) {
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16}) {
            for (const std::int64_t keys : {13, 200}) {
                Shape4 s;
                s.keys = keys;
                Attention a(type, s, draws(d, g), AttentionMask::causal_bottom_right, keys == 13);
                const DnnContract contract = plain_contract(type, false);
                a.forward<float>();
                Assessment found = assess(run_dnn(a.p, contract), contract, a.p);
                (type == DataType::f32 ? forward : rounded).note(found.ratio);
                ASSERT_EQ(found.verdict, Judgement::pass) << name(d) << ": " << found.reason;
                a.backward<float>();
                found = assess(run_dnn(a.p, contract), contract, a.p);
                (type == DataType::f32 ? gradients : rounded).note(found.ratio);
                ASSERT_EQ(found.verdict, Judgement::pass) << name(d) << ": " << found.reason;
            }
        }
    }
}

TEST(Attention, FaultsFail) {
    std::mt19937_64 g(3);
    const DnnContract contract = plain_contract(DataType::f16);
    Attention a(DataType::f16, {}, draws(Distribution::normal, g), AttentionMask::none, false);
    a.forward<float>();
    const auto caught = [&](Tensor& t, std::int64_t at, const char* where) {
        const double right = t[at];
        t.put(at, right * 1.1 + 0.02);
        const Assessment found = assess(run_dnn(a.p, contract), contract, a.p);
        EXPECT_EQ(found.verdict, Judgement::fail) << where;
        EXPECT_NE(found.reason.find(where), std::string::npos) << found.reason;
        t.put(at, right);
    };
    caught(a.o, 8 * 10 + 3, "o[0, 1, 1, 3]");
    caught(a.stats, 71, "log-sum-exp[1, 3, 8, 0]");
    a.backward<float>();
    caught(a.dq, 16, "dq[0, 0, 1, 0]");
    caught(a.dk, 17, "dk[0, 0, 1, 1]");
    caught(a.dv, 9, "dv[0, 0, 1, 1]");
    a.p.dropout = 0.1;
    EXPECT_NE(std::string(plan_check(a.p, contract, {}, {}).reason).find("dropout"), std::string::npos);
}

}  // namespace
}  // namespace fumi::test
