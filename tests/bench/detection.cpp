// detection [--size=N] [--trials=N] [--precision=N] [--bits] [--seed=S]: plants faults in products of legal
// kernels and prints how often each rule finds them, with 95% limits, and how often it flags the legal kernel
// itself. Exit status 1 where FuMi flags a legal kernel. --distributions: all five.
// --precision=N: names the precision of N products instead. --bits: flips every bit of one element.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

#include "tests/bench/detection_rules.h"
#include "tests/kernels/models.h"

namespace fumi::bench {
namespace {

using test::Distribution;
constexpr int kLocalTrials = 200;

// --- a product and its exact result

float as_type(DataType type, double value) {
    double stored = 0;
    test::encode(type, value, &stored);
    return static_cast<float>(test::decode(type, &stored));
}

float truncated_24(double x) {
    const auto nearest = static_cast<float>(x);
    return std::fabs(nearest) > std::fabs(x) ? std::nextafterf(nearest, 0.0F) : nearest;
}

// A tensor core (or, for fp32, a chain of products) over rows of B that lie side by side. bits: of the sum.
void multiply(const Product& p, const std::vector<float>& a, const std::vector<float>& b, int group, int bits,
              std::vector<float>& c) {
    const auto n = static_cast<std::size_t>(p.size);
    std::vector<float> acc(n);
    std::vector<double> step(n);
    for (std::size_t i = 0; i < n; ++i) {
        std::fill(acc.begin(), acc.end(), 0.0F);
        for (std::size_t k0 = 0; k0 < n; k0 += static_cast<std::size_t>(group)) {
            for (std::size_t j = 0; j < n; ++j) step[j] = acc[j];
            const std::size_t end = std::min(n, k0 + static_cast<std::size_t>(group));
            for (std::size_t k = k0; k < end; ++k) {
                const double x = a[i * n + k];
                const float* row = &b[k * n];
                for (std::size_t j = 0; j < n; ++j) step[j] += x * row[j];
            }
            for (std::size_t j = 0; j < n; ++j) {
                acc[j] = bits < 24    ? static_cast<float>(test::round_to(step[j], bits))
                         : group == 1 ? static_cast<float>(step[j])
                                      : truncated_24(step[j]);
            }
        }
        for (std::size_t j = 0; j < n; ++j) c[i * n + j] = as_type(p.type, acc[j]);
    }
}

void reference_of(Product& p) {
    const auto n = static_cast<std::size_t>(p.size);
    for (std::size_t i = 0; i < n; ++i) {
        double *r = &p.r[i * n], *g = &p.g[i * n], *q = &p.q[i * n];
        for (std::size_t k = 0; k < n; ++k) {
            const double x = p.a[i * n + k];
            const float* row = &p.b[k * n];
            for (std::size_t j = 0; j < n; ++j) {
                const double product = x * row[j];
                r[j] += product;
                g[j] += std::fabs(product);
                q[j] += product * product;
            }
        }
    }
}

// B of docs/numerics.md, section 3, and the variance of docs/modes.md's checksum, written out once more.
void bounds_of(Product& p) {
    const BoundNumbers& b = p.contract.bound;
    const double k = static_cast<double>(p.size), drift = 2 * b.beta_t * k;
    const int bits = precision_bits(p.type);
    for (std::size_t i = 0; i < p.r.size(); ++i) {
        const double sums = (b.u_acc * (2 * std::sqrt(k) + b.beta_t * k + 2) + b.input_error) * p.g[i];
        const double size = std::fabs(p.r[i]) + sums;
        const int smallest = p.type == DataType::f16 ? -14 : -126;
        const int exponent = size > 0 ? std::max(std::ilogb(size), smallest) : smallest;
        p.bound[i] = sums + std::ldexp(1 + 1e-6, exponent - bits) + 2 * (k + 1) * b.underflow;
        const double rounding = bits < 24 ? 0.4247 * std::ldexp(p.c[i], -bits) : 0;
        p.sigma2[i] = rounding * rounding + b.u_acc * b.u_acc * (0.18 * k + drift * drift) *
                                                (static_cast<double>(p.c[i]) * p.c[i] / 3 + p.q[i] / 2);
    }
}

Product make_product(DataType type, std::int64_t size, Distribution distribution, std::mt19937_64& g) {
    Product p;
    p.size = size;
    p.type = type;
    CallFacts facts;
    facts.a = facts.b = facts.output = type;
    p.contract = contract_for(facts);
    const auto elements = static_cast<std::size_t>(size * size);
    p.a.resize(elements);
    p.b.resize(elements);
    p.c.resize(elements);
    for (auto* all : {&p.r, &p.g, &p.q, &p.bound, &p.sigma2}) all->resize(elements);
    const auto draw = test::draws(distribution, g);
    for (auto* all : {&p.a, &p.b})
        for (float& x : *all) x = as_type(type, draw());
    multiply(p, p.a, p.b, type == DataType::f32 ? 1 : 16, 24, p.c);
    reference_of(p);
    bounds_of(p);
    return p;
}

// --- faults

using Changes = std::vector<Change>;
using Fault = std::function<Changes(const Product&, std::mt19937_64&)>;

std::int64_t any(std::int64_t size, std::mt19937_64& g) {
    return static_cast<std::int64_t>(g() % static_cast<std::uint64_t>(size));
}

Fault zeroed(std::int64_t rows, std::int64_t columns) {
    return [=](const Product& p, std::mt19937_64& g) {
        Changes all;
        const std::int64_t height = std::min(rows, p.size), width = std::min(columns, p.size);
        const std::int64_t row = any(p.size / height, g) * height, column = any(p.size / width, g) * width;
        for (std::int64_t i = row; i < row + height; ++i)
            for (std::int64_t j = column; j < column + width; ++j) all.push_back({p.at(i, j), 0.0F});
        return all;
    };
}

Fault one_element(double relative) {
    return [=](const Product& p, std::mt19937_64& g) {
        const std::int64_t i = any(p.size * p.size, g);
        const double old = p.c[static_cast<std::size_t>(i)];
        return Changes{{i, as_type(p.type, old + relative * old)}};
    };
}

Fault bit_flip(int bit) {
    return [=](const Product& p, std::mt19937_64& g) {
        const std::int64_t i = any(p.size * p.size, g);
        std::uint32_t raw = 0;
        test::encode(p.type, p.c[static_cast<std::size_t>(i)], &raw);
        raw ^= std::uint32_t{1} << bit;
        return Changes{{i, static_cast<float>(test::decode(p.type, &raw))}};
    };
}

Changes everywhere(const Product& p,
                   const std::function<double(std::int64_t row, std::int64_t column)>& value) {
    Changes all;
    all.reserve(p.c.size());
    for (std::int64_t i = 0; i < p.size; ++i)
        for (std::int64_t j = 0; j < p.size; ++j) all.push_back({p.at(i, j), as_type(p.type, value(i, j))});
    return all;
}

Changes drop_k(const Product& p, std::mt19937_64& g) {
    const std::int64_t k = any(p.size, g);
    return everywhere(p, [&](std::int64_t i, std::int64_t j) {
        const auto at = [&](std::int64_t x) { return static_cast<std::size_t>(x); };
        return p.c[at(p.at(i, j))] - double{p.a[at(p.at(i, k))]} * p.b[at(p.at(k, j))];
    });
}
Changes negate_row(const Product& p, std::mt19937_64& g) {
    Changes all;
    const std::int64_t row = any(p.size, g);
    for (std::int64_t j = 0; j < p.size; ++j)
        all.push_back({p.at(row, j), -p.c[static_cast<std::size_t>(p.at(row, j))]});
    return all;
}
Changes swap_columns(const Product& p, std::mt19937_64& g) {
    Changes all;
    const std::int64_t column = any(p.size - 1, g);
    for (std::int64_t i = 0; i < p.size; ++i)
        for (const int side : {0, 1})
            all.push_back(
                {p.at(i, column + side), p.c[static_cast<std::size_t>(p.at(i, column + 1 - side))]});
    return all;
}
Changes not_a_number(const Product& p, std::mt19937_64& g) {
    return {{any(p.size * p.size, g), NAN}};
}

// The whole product in another precision: computed once, the same in every trial.
Fault recomputed(int input_bits, bool rounded, int sum_bits) {
    auto made = std::make_shared<std::vector<float>>();
    return [=](const Product& p, std::mt19937_64&) {
        if (made->empty()) {
            std::vector<float> a = p.a, b = p.b;
            for (auto* all : {&a, &b})
                for (float& x : *all)
                    if (input_bits > 0)
                        x = static_cast<float>(rounded ? test::round_to(x, input_bits)
                                                       : test::truncate_to(x, input_bits));
            made->resize(p.c.size());
            multiply(p, a, b, sum_bits < 24 ? 16 : 8, sum_bits, *made);
        }
        return everywhere(p, [&](std::int64_t i, std::int64_t j) {
            return double{(*made)[static_cast<std::size_t>(p.at(i, j))]};
        });
    };
}

struct Planted {
    std::string name;
    Fault fault;
    bool whole;  // changes every element: fewer trials
};

std::vector<Planted> faults_for(DataType type) {
    std::vector<Planted> all = {{"128 x 128 tile zeroed", zeroed(128, 128), false},
                                {"16 x 8 fragment zeroed", zeroed(16, 8), false},
                                {"one k dropped", drop_k, true},
                                {"row negated", negate_row, false},
                                {"columns swapped", swap_columns, false},
                                {"one NaN", not_a_number, false}};
    for (const double size : {1.0, 0.1, 1e-2, 1e-3, 1e-4})
        all.push_back({fmt::format("one element off by {:g}", size), one_element(size), false});
    if (type == DataType::f32) {
        all.push_back({"TF32 passed off as fp32", recomputed(11, false, 24), true});
        all.push_back({"bf16 passed off as fp32", recomputed(8, true, 24), true});
    }
    all.push_back({"fp16 accumulation", recomputed(0, false, 11), true});
    return all;
}

// --- rates

// Clopper and Pearson's limits of a rate, by bisection of the binomial's tails.
double tail(int count, int trials, double p) {  // P(X <= count)
    double sum = 0;
    for (int i = 0; i <= count; ++i)
        sum += std::exp(std::lgamma(trials + 1.0) - std::lgamma(i + 1.0) - std::lgamma(trials - i + 1.0) +
                        i * std::log(p) + (trials - i) * std::log1p(-p));
    return sum;
}
double limit(int count, int trials, bool upper) {
    if (upper ? count == trials : count == 0) return upper ? 1 : 0;
    double low = 1e-12, high = 1 - 1e-12;
    for (int step = 0; step < 60; ++step) {
        const double p = (low + high) / 2;
        const bool right = upper ? tail(count, trials, p) > 0.025 : 1 - tail(count - 1, trials, p) < 0.025;
        (right ? low : high) = p;
    }
    return low;
}
std::string rate(int count, int trials) {
    return fmt::format("{:.0f} ({:.0f}-{:.0f})", 100.0 * count / trials, 100 * limit(count, trials, false),
                       100 * limit(count, trials, true));
}

void print_header() {
    fmt::print("| fault | checksum 128 | cross 64 x 64 | both |");
    for (const ElementRule& rule : kRules) fmt::print(" {} |", rule.name);
    fmt::print("\n|---|---|---|---|{}\n", std::string("---|---|---|---|---|---|---|"));
}

// How often the exact check found it, and the three of FuMi together.
struct Found {
    int full = 0, cheap = 0;
};

Found print_row(const Judge& judge, const Product& product, const Planted& planted, int trials,
                std::mt19937_64& g) {
    int checksum = 0, cross = 0, both = 0, found[kElementRules] = {};
    for (int trial = 0; trial < trials; ++trial) {
        const Changes changes = planted.fault(product, g);
        const bool by_sum = judge.checksum_flags(changes, 128, g), by_cross = judge.cross_flags(changes, g);
        checksum += by_sum ? 1 : 0;
        cross += by_cross ? 1 : 0;
        both += by_sum || by_cross ? 1 : 0;
        for (int rule = 0; rule < kElementRules; ++rule) found[rule] += judge.flags(rule, changes) ? 1 : 0;
    }
    fmt::print("| {} | {} | {} | {} |", planted.name, rate(checksum, trials), rate(cross, trials),
               rate(both, trials));
    for (int rule = 0; rule < kElementRules; ++rule) {
        // A rule that flags the legal kernel finds nothing.
        fmt::print(" {} |", judge.clean_is_flagged(rule) ? "flags all" : rate(found[rule], trials));
    }
    fmt::print("\n");
    return {found[0], both};
}

// False where a legal kernel is flagged by FuMi, or what no size of the product can hide is missed.
bool detect(DataType type, std::int64_t size, Distribution distribution, int trials, bool bits,
            std::mt19937_64& g) {
    const Product product = make_product(type, size, distribution, g);
    const Judge judge(product);
    fmt::print("\n{} {}^3, {}: % found (95% limits)\n\n", type_name(type), size, test::name(distribution));
    print_header();
    const auto none = [](const Product&, std::mt19937_64&) { return Changes{}; };
    const int few = std::max(1, trials / 10);
    const Found clean = print_row(judge, product, {"none (legal kernel)", none, true}, few, g);
    bool right = clean.full == 0 && clean.cheap == 0;
    if (bits) {
        for (int bit = 0; bit < 8 * element_bytes(type); ++bit)
            print_row(judge, product, {fmt::format("bit {} flipped", bit), bit_flip(bit), false}, trials, g);
        return right;
    }
    for (const Planted& planted : faults_for(type)) {
        const int count = planted.whole ? few : trials;
        const Found found = print_row(judge, product, planted, count, g);
        const bool sure = planted.whole || planted.name.starts_with("128") || planted.name == "one NaN";
        right = right && (!sure || found.full == count);
    }
    return right;
}

// --- what precision was used

struct Used {
    const char* name;
    test::Arithmetic how;
    InputFormat inputs, other;
    bool accumulator;
};

int name_precisions(int calls, std::mt19937_64& g) {
    using test::Model;
    const Used all[] = {
        {"fp32", {Model::blocked}, InputFormat::as_stored, InputFormat::as_stored, false},
        {"TF32", {Model::tensor_core, 8, 25, 11}, InputFormat::tf32_truncated, InputFormat::tf32, false},
        {"bf16x1",
         {Model::tensor_core, 16, 25, 8, true},
         InputFormat::bf16,
         InputFormat::bf16_truncated,
         false},
        {"bf16x3",
         {Model::tensor_core, 16, 25, 8, true, 24, true},
         InputFormat::bf16x3,
         InputFormat::bf16x3_truncated,
         false},
        {"fp16 accumulate",
         {Model::tensor_core, 16, 25, 0, false, 11},
         InputFormat::as_stored,
         InputFormat::as_stored,
         true}};
    const std::int64_t lengths[] = {64, 128, 256, 512, 1024, 2048};
    std::map<std::string, std::pair<int, int>> right;
    int total = 0;
    for (int call = 0; call < calls; ++call) {
        const Used& used = all[call % 5];
        const Distribution distribution = test::kDistributions[call / 5 % 5];
        const std::int64_t k = lengths[call / 25 % 6];
        test::Workload w({12, 12, k, 1}, DataType::f32, DataType::f32, DataType::f32, DataType::f32);
        w.fill(test::draws(distribution, g));
        compute(w, used.how);
        const Contract contract = contract_for(CallFacts{});
        const PrecisionFinding found =
            find_precision(test::run_precision(w.problem, contract, g()), contract, w.problem);
        const bool good = (found.inputs == used.inputs || found.inputs == used.other) &&
                          found.accumulator_below == used.accumulator;
        auto& [count, of] = right[used.name];
        count += good ? 1 : 0;
        ++of;
        total += good ? 1 : 0;
        if (!good)
            fmt::print("  not named: {}, {}, K {}: {}\n", used.name, test::name(distribution), k, found.text);
    }
    for (const auto& [name, counts] : right)
        fmt::print("{}: {} of {} named rightly\n", name, counts.first, counts.second);
    fmt::print("{} of {} named rightly: {} %\n", total, calls, rate(total, calls));
    return 100 * total >= 98 * calls ? 0 : 1;
}

int run(int argc, char** argv) {
    std::int64_t size = 1024;
    int trials = kLocalTrials, precision = 0;
    bool bits = false, all_distributions = false;
    std::uint64_t seed = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto value = [&](const char* name) {
            return argument.starts_with(name) ? argv[i] + std::strlen(name) : nullptr;
        };
        if (const char* v = value("--size=")) size = std::atoll(v);
        if (const char* v = value("--trials=")) trials = std::atoi(v);
        if (const char* v = value("--precision=")) precision = std::atoi(v);
        if (const char* v = value("--seed=")) seed = std::strtoull(v, nullptr, 10);
        bits = bits || argument == "--bits";
        all_distributions = all_distributions || argument == "--distributions";
    }
    std::mt19937_64 g(seed);
    bool right = true;
    if (precision > 0) return name_precisions(precision, g);
    for (const DataType type : {DataType::f32, DataType::bf16, DataType::f16}) {
        for (const Distribution distribution : test::kDistributions) {
            if (!all_distributions && distribution != Distribution::normal) continue;
            right = detect(type, size, distribution, trials, bits, g) && right;
        }
    }
    return right ? 0 : 1;
}

}  // namespace
}  // namespace fumi::bench

int main(int argc, char** argv) {
    return fumi::bench::run(argc, argv);
}
