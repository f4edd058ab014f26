// false_alarms: clean calls of legal kernels, and how many the verdict fails or warns about, by type and K,
// with the upper end of the 95% confidence interval of each rate. `false_alarms --help`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <map>
#include <string>

#include "tests/kernels/models.h"

namespace fumi::test {
namespace {

enum class Chain {
    none,
    single,
    twofold
};  // kernels that models.h does not have: chains in a type's own parts

struct Kind {
    const char* type;
    const char* numerics;  // of the device: ieee, tensorcore, or both
    DataType inputs, output;
    Arithmetic how;
    bool tf32 = false;
    int compute_type = 68;
    Chain chain = Chain::none;
    int input_bits = 0;  // of a chain's inputs, truncated
};
const Kind kKinds[] = {
    {"fp32", "both", DataType::f32, DataType::f32, {Model::fused}},
    {"fp32", "both", DataType::f32, DataType::f32, {Model::blocked}},
    {"fp32", "both", DataType::f32, DataType::f32, {Model::split}},
    {"TF32", "tensorcore", DataType::f32, DataType::f32, {Model::tensor_core, 8, 25, 11}, true},
    {"TF32", "ieee", DataType::f32, DataType::f32, {Model::fused}, true},
    {"bf16", "tensorcore", DataType::bf16, DataType::bf16, {Model::tensor_core, 16, 25}},
    {"bf16", "ieee", DataType::bf16, DataType::bf16, {Model::fused}},
    {"bf16 to fp32", "tensorcore", DataType::bf16, DataType::f32, {Model::tensor_core, 16, 25}},
    {"fp16", "tensorcore", DataType::f16, DataType::f16, {Model::tensor_core, 16, 25}},
    {"fp16", "ieee", DataType::f16, DataType::f16, {Model::fused}},
    {"fp8", "tensorcore", DataType::e4m3, DataType::bf16, {Model::tensor_core, 32, 13}},
    {"fp8", "ieee", DataType::e4m3, DataType::bf16, {Model::fused}},
    {"fp64", "both", DataType::f64, DataType::f64, {}, false, 70, Chain::twofold},
    {"int8", "both", DataType::i8, DataType::i32, {}, false, 72, Chain::twofold},
    {"complex64", "both", DataType::c32, DataType::c32, {}, false, 68, Chain::single},
    {"complex64 TF32", "tensorcore", DataType::c32, DataType::c32, {}, true, 68, Chain::single, 11},
    {"complex128", "both", DataType::c64, DataType::c64, {}, false, 70, Chain::twofold},
};
constexpr std::int64_t kBands[] = {16, 64, 512, 2048, 8193};  // of K: from one to below the next
constexpr int kBandCount = 4;
constexpr std::int64_t kShortest = 16;

template <class Part>
void compute_chain(Workload& w, int bits) {
    const GemmProblem& p = w.problem;
    const auto part = [&](double x) { return static_cast<Part>(bits > 0 ? truncate_to(x, bits) : x); };
    for (std::int64_t i = 0; i < p.m * p.n; ++i) {
        const std::int64_t row = i % p.m, col = i / p.m;
        Part re = 0, im = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
            const auto a = read(p.a, row, k, 0), b = read(p.b, k, col, 0);
            const Part ar = part(a.real()), ai = part(a.imag()), br = part(b.real()), bi = part(b.imag());
            re = std::fma(-ai, bi, std::fma(ar, br, re));
            im = std::fma(ai, br, std::fma(ar, bi, im));
        }
        write(p.d, row, col, 0, {re, im});
    }
}

void compute_kind(Workload& w, const Kind& kind) {
    if (kind.chain == Chain::single)
        compute_chain<float>(w, kind.input_bits);
    else if (kind.chain == Chain::twofold)
        compute_chain<double>(w, kind.input_bits);
    else
        compute(w, kind.how);
}

// Which device's contract: where numerics are both, they take turns.
Contract contract_of(const Kind& kind, bool ieee_turn) {
    CallFacts facts;
    facts.a = facts.b = kind.inputs;
    facts.output = kind.output;
    facts.tf32_allowed = kind.tf32;
    facts.compute_type = kind.compute_type;
    const std::string numerics = kind.numerics;
    facts.ieee = numerics == "both" ? ieee_turn : numerics == "ieee";
    return contract_for(facts);
}

struct Call {
    const Kind* kind = nullptr;
    std::int64_t k = 0;
    Judgement verdict = Judgement::pass;
    std::string reason;
};

// Every check that a profile may run of it; the verdict is the worst of theirs.
void judge(Call& call, const GemmProblem& problem, const Contract& contract, std::mt19937_64& g) {
    Assessment a = assess(run_check(problem, contract), contract, problem);
    if (precision_applies(problem))
        add_precision(a, find_precision(run_precision(problem, contract, g()), contract, problem));
    call.verdict = a.verdict;
    call.reason = a.reason;
    for (const ChecksumChoice& choice : {ChecksumChoice{128, 1, g()}, ChecksumChoice{16, 4, g()}}) {
        const ErrorStats stats = run_checksum(problem, contract, choice);
        if (stats.max_ratio <= 1 && stats.nonfinite_unexpected == 0) continue;
        call.verdict = Judgement::fail;
        call.reason = fmt::format("checksum of {} columns: {} sigma", choice.width, 6 * stats.max_ratio);
    }
}

// A few values over and over: constant lines, and lines with a period.
std::function<double()> repeated(std::mt19937_64& g) {
    std::vector<double> values(1 + g() % 7);
    for (double& value : values) value = std::uniform_real_distribution<double>(-1, 1)(g);
    if (g() % 2 != 0)
        for (double& value : values) value = std::fabs(value);
    return [values, next = std::size_t{0}]() mutable { return values[next++ % values.size()]; };
}

Call one_call(long number, std::uint64_t seed, std::int64_t longest) {
    std::mt19937_64 g(seed * 1000003 + static_cast<std::uint64_t>(number));
    const auto turn = static_cast<std::size_t>(number);
    Call call;
    call.kind = &kKinds[turn % std::size(kKinds)];
    const Kind& kind = *call.kind;
    const std::size_t of_six = turn / std::size(kKinds) % (std::size(kDistributions) + 1);
    const bool repeats = of_six == std::size(kDistributions);
    const Distribution distribution = kDistributions[repeats ? 0 : of_six];
    const auto pick = [&](std::int64_t most) {
        return 1 + static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(most));
    };
    // Uniform in log K.
    const double octaves = std::log2(static_cast<double>(longest) / kShortest);
    call.k = std::min(
        longest,
        static_cast<std::int64_t>(kShortest * std::exp2(octaves * 0x1p-53 * static_cast<double>(g() >> 11))));
    Workload w({pick(24), pick(24), call.k, 1}, kind.inputs, kind.inputs, kind.output, kind.output);
    w.fill(kind.inputs == DataType::i8 ? [&g] { return static_cast<double>(g() % 255) - 127; }
           : repeats                   ? repeated(g)
                                       : draws(distribution, g));
    compute_kind(w, kind);
    const Contract contract = contract_of(kind, turn / std::size(kKinds) / 6 % 2 == 0);
    judge(call, w.problem, contract, g);
    call.reason = fmt::format("call {}, {}, {}, K {}: {}", number, contract.name,
                              repeats ? "repeated" : name(distribution), call.k, call.reason);
    return call;
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

struct Counts {
    long calls = 0, fails = 0, warnings = 0;
    void add(const Call& call) {
        ++calls;
        fails += call.verdict == Judgement::fail ? 1 : 0;
        warnings += call.verdict == Judgement::warn ? 1 : 0;
    }
    std::string text() const { return fmt::format("{}/{}/{}", calls, fails, warnings); }
};

struct Row {
    Counts bands[kBandCount], all;
    void add(const Call& call) {
        int band = 0;
        while (call.k >= kBands[band + 1]) ++band;
        bands[band].add(call);
        all.add(call);
    }
    void print(const std::string& name) const {
        fmt::print("{}", name);
        for (const Counts& band : bands) fmt::print("\t{}", band.text());
        fmt::print("\t{}\n", all.text());
    }
};

int run(long first, long calls, std::uint64_t seed, std::int64_t longest) {
    std::map<std::string, Row> rows;
    Row all;
    for (long number = first; number < first + calls; ++number) {
        const Call call = one_call(number, seed, longest);
        rows[fmt::format("{}\t{}", call.kind->type, call.kind->numerics)].add(call);
        all.add(call);
        if (call.verdict != Judgement::pass)
            fmt::print(stderr, "{}: {}\n", call.verdict == Judgement::fail ? "FAIL" : "warn", call.reason);
        if (number % 500 == 499) fmt::print(stderr, "\r{} of {} calls ", number + 1 - first, calls);
    }
    fmt::print(stderr, "\r");
    fmt::print("type\tnumerics");
    for (int band = 0; band < kBandCount; ++band)
        fmt::print("\tK {} to {}", kBands[band], kBands[band + 1] - 1);
    fmt::print("\tall (calls/fails/warnings)\n");
    for (const auto& [name, row] : rows) row.print(name);
    all.print("all\t");
    const Counts& c = all.all;
    fmt::print(
        "{} clean calls: {} fails (rate below {:.2g} with 95% confidence), {} warnings (below {:.2g})\n",
        c.calls, c.fails, upper_limit(c.fails, c.calls), c.warnings, upper_limit(c.warnings, c.calls));
    return c.fails == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fumi::test

int main(int argc, char** argv) {
    long first = 0, calls = 10000;
    std::uint64_t seed = 1;
    std::int64_t longest = 8192;
    CLI::App app("Clean calls of legal kernels, and how many FuMi's checks fail or warn about.",
                 "false_alarms");
    app.add_option("--calls", calls, "How many (10000)")->check(CLI::PositiveNumber);
    app.add_option("--first", first, "The first call's number, as a warning names it (0)")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--seed", seed, "Of inputs, shapes and samples (1)");
    app.add_option("--longest", longest, "K is drawn uniformly in log K, from 16 to this (8192)")
        ->check(CLI::Range(16, 8192));
    app.footer(
        "Five distributions, and data that repeat themselves; m and n up to 24. Each call is recomputed in "
        "full, its precision is looked for, "
        "and it is "
        "summed in blocks of 128\nand 16 columns. Exit status 1 where a legal call fails.");
    CLI11_PARSE(app, argc, argv);
    return fumi::test::run(first, calls, seed, longest);
}
