// false_alarms [--calls=N] [--seed=S]: N clean calls of legal kernels on five distributions, and how many the
// verdict fails or warns about, with the upper end of the 95% confidence interval of each rate. Exit status 1
// where any fails.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

struct Kind {
    DataType type, output;
    bool tf32, ieee;
    Arithmetic how;
    int compute_type = 68;
};
const Kind kKinds[] = {
    {DataType::f32, DataType::f32, false, false, {Model::fused}},
    {DataType::f32, DataType::f32, false, false, {Model::blocked}},
    {DataType::f32, DataType::f32, false, false, {Model::split}},
    {DataType::f32, DataType::f32, true, false, {Model::tensor_core, 8, 25, 11}},
    {DataType::f32, DataType::f32, true, false, {Model::fused}},
    {DataType::bf16, DataType::bf16, false, false, {Model::tensor_core, 16, 25}},
    {DataType::bf16, DataType::bf16, false, true, {Model::fused}},
    {DataType::f16, DataType::f16, false, false, {Model::tensor_core, 16, 25}},
    {DataType::bf16, DataType::f32, false, false, {Model::tensor_core, 16, 25}},
    {DataType::e4m3, DataType::bf16, false, false, {Model::tensor_core, 32, 13}},
    {DataType::f16, DataType::f16, false, true, {Model::fused}},
    {DataType::e4m3, DataType::bf16, false, true, {Model::fused}},
    {DataType::f64, DataType::f64, false, false, {Model::fused}, 70},
    {DataType::c32, DataType::c32, false, false, {Model::fused}},
    {DataType::i8, DataType::i32, false, false, {Model::fused}, 72},
};

// A chain in the output's own parts, as the library's fp64, complex64 and int8 kernels have it.
template <class Part>
void compute_chain(Workload& w) {
    const GemmProblem& p = w.problem;
    for (std::int64_t i = 0; i < p.m * p.n; ++i) {
        const std::int64_t row = i % p.m, col = i / p.m;
        Part re = 0, im = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
            const auto a = read(p.a, row, k, 0), b = read(p.b, k, col, 0);
            const auto ar = static_cast<Part>(a.real()), ai = static_cast<Part>(a.imag());
            const auto br = static_cast<Part>(b.real()), bi = static_cast<Part>(b.imag());
            re = std::fma(-ai, bi, std::fma(ar, br, re));
            im = std::fma(ai, br, std::fma(ar, bi, im));
        }
        write(p.d, row, col, 0, {re, im});
    }
}

void compute_kind(Workload& w, const Kind& kind) {
    if (kind.type == DataType::c32)
        compute_chain<float>(w);
    else if (kind.type == DataType::f64 || kind.type == DataType::i8)
        compute_chain<double>(w);
    else
        compute(w, kind.how);
}

Judgement one_call(long call, std::uint64_t seed, std::string& reason) {
    std::mt19937_64 g(seed * 1000003 + static_cast<std::uint64_t>(call));
    const Kind& kind = kKinds[static_cast<std::size_t>(call) % std::size(kKinds)];
    const Distribution distribution = kDistributions[static_cast<std::size_t>(call) / std::size(kKinds) % 5];
    const auto pick = [&](std::int64_t most) {
        return 1 + static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(most));
    };
    // Mostly short sums, now and then a long one.
    const std::int64_t k = call % 100 == 99  ? 8192
                           : call % 50 == 49 ? 4096
                                             : pick(call % 10 == 9 ? 1024 : 128);
    Workload w({pick(24), pick(24), k, 1}, kind.type, kind.type, kind.output, kind.output);
    w.fill(kind.type == DataType::i8 ? [&g] { return static_cast<double>(g() % 255) - 127; }
                                     : draws(distribution, g));
    compute_kind(w, kind);
    CallFacts facts;
    facts.a = facts.b = kind.type;
    facts.output = kind.output;
    facts.tf32_allowed = kind.tf32;
    facts.ieee = kind.ieee;
    facts.compute_type = kind.compute_type;
    const Contract contract = contract_for(facts);
    Assessment a = assess(run_check(w.problem, contract), contract, w.problem);
    if (precision_applies(w.problem))
        add_precision(a, find_precision(run_precision(w.problem, contract, g()), contract, w.problem));
    reason = fmt::format("call {}, {}, {}, K {}: {}", call, contract.name, name(distribution), k, a.reason);
    return a.verdict;
}

// Clopper and Pearson's upper limit, by bisection of the binomial's lower tail.
double upper_limit(long count, long calls) {
    double low = 0, high = 1;
    for (int step = 0; step < 100; ++step) {
        const double p = (low + high) / 2;
        double tail = 0, log_term = static_cast<double>(calls) * std::log1p(-p);
        for (long i = 0; i <= count; ++i) {
            tail += std::exp(log_term);
            log_term +=
                std::log(static_cast<double>(calls - i) / static_cast<double>(i + 1)) + std::log(p / (1 - p));
        }
        (tail > 0.05 ? low : high) = p;
    }
    return high;
}

int run(long calls, std::uint64_t seed) {
    long fails = 0, warnings = 0;
    for (long call = 0; call < calls; ++call) {
        std::string reason;
        const Judgement verdict = one_call(call, seed, reason);
        if (verdict == Judgement::pass) continue;
        (verdict == Judgement::fail ? fails : warnings) += 1;
        fmt::print("{}: {}\n", verdict == Judgement::fail ? "FAIL" : "warn", reason);
    }
    fmt::print(
        "{} clean calls: {} fails (rate below {:.2g} with 95% confidence), {} warnings (below {:.2g})\n",
        calls, fails, upper_limit(fails, calls), warnings, upper_limit(warnings, calls));
    return fails == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fumi::test

int main(int argc, char** argv) {
    long calls = 10000;
    std::uint64_t seed = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument.starts_with("--calls=")) {
            calls = std::strtol(argument.c_str() + 8, nullptr, 10);
        } else if (argument.starts_with("--seed=")) {
            seed = std::strtoull(argument.c_str() + 7, nullptr, 10);
        } else {
            calls = 0;
        }
    }
    if (calls <= 0) {
        fmt::print(stderr, "usage: {} [--calls=N] [--seed=S]\n", argv[0]);
        return 2;
    }
    return fumi::test::run(calls, seed);
}
