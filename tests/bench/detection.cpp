// detection: plants faults in products of legal kernels and prints how often each check, each profile and the
// rules of others find them, with 95% limits; the legal kernel itself is the first fault. `detection --help`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "tests/bench/detection_checks.h"
#include "tests/bench/detection_precision.h"
#include "tests/bench/detection_rates.h"
#include "tests/bench/detection_rules.h"

namespace fumi::bench {
namespace {

const char* const kProfiles[] = {"quick", "always_on", "thorough", "paranoid"};
constexpr int kProfileCount = 4;

struct Options {
    Shape shape;
    std::vector<std::int64_t> sizes;
    std::vector<std::string> types = {"fp32", "bf16", "fp16"}, distributions = {"normal"}, faults;
    int trials = 320, precision = 0;
    bool bits = false;
    std::uint64_t seed = 1;
};

// How many of the trials each rule flagged.
struct Counts {
    int trials = 0, invisible = 0, missed_visible = 0;
    int checksum = 0, cross = 0, full = 0;
    int call[kProfileCount] = {}, turn[kProfileCount] = {}, once[kProfileCount] = {};
    int others[kElementRules] = {};
};

std::vector<config::Config> all_profiles() {
    std::vector<config::Config> all;
    for (const char* name : kProfiles) all.push_back(config::start({name, false}, "", false));
    return all;
}

Counts count(Product& product, const Judge& judge, const Fault& fault,
             const std::vector<config::Config>& profiles, int trials, std::mt19937_64& g) {
    Counts counts;
    for (int trial = 0; trial < trials; ++trial) {
        if (trial % 32 == 0)
            fmt::print(stderr, "\r{}, {}: trial {} of {}   ", product.operands.name, fault.name, trial,
                       trials);
        const Changes changes = fault.plant(product, g);
        CheckedCall checked(product, changes, fault.whole, g());
        const config::Config& usual = profiles[1];
        ++counts.trials;
        counts.checksum += checked.checksum(usual.checksum.columns, usual.checksum.vectors) ? 1 : 0;
        counts.cross +=
            checked.cross(usual.improve_precision.sample_rows, usual.improve_precision.sample_columns) ? 1
                                                                                                       : 0;
        counts.full += checked.full() ? 1 : 0;
        for (int i = 0; i < kProfileCount; ++i) {
            const auto& profile = profiles[static_cast<std::size_t>(i)];
            counts.call[i] += profile_finds(profile, checked, trial, false) ? 1 : 0;
            counts.turn[i] += profile_finds(profile, checked, -1, false) ? 1 : 0;
            counts.once[i] += profile_finds(profile, checked, trial, true) ? 1 : 0;
        }
        for (int rule = 0; rule < kElementRules; ++rule)
            counts.others[rule] += judge.flags(rule, changes) ? 1 : 0;
        if (!fault.one_element || profile_finds(profiles[2], checked, -1, false)) continue;
        const Change& change = changes.front();
        const double error =
            std::fabs(static_cast<double>(change.value) - static_cast<double>(product.value(change.index)));
        (error < smallest_visible(product, change.index) ? counts.invisible : counts.missed_visible) += 1;
    }
    fmt::print(stderr, "\r{:60}\r", "");
    return counts;
}

void print_header() {
    fmt::print(
        "operands\tm,n,k\tinputs\tfault\ttrials\tmissed below legal error\tmissed above "
        "it\tchecksum\tcross\tfull");
    for (const char* profile : kProfiles) {
        fmt::print("\t{}", profile);
        if (std::string_view(profile) == "quick" || std::string_view(profile) == "always_on")
            fmt::print("\t{}, turn of all its checks", profile);
        else
            fmt::print("\t{}, fault that does not come again", profile);
    }
    for (const ElementRule& rule : kRules) fmt::print("\t{}", rule.name);
    fmt::print("\n");
}

void print_row(const Product& product, const char* distribution, const Fault& fault, const Counts& c,
               const Judge& judge) {
    const auto cell = [&](int found) { fmt::print("\t{}", rate_text(found, c.trials)); };
    fmt::print("{}\t{},{},{}\t{}\t{}\t{}\t{}\t{}", product.operands.name, product.shape.m, product.shape.n,
               product.shape.k, distribution, fault.name, c.trials, c.invisible, c.missed_visible);
    for (const int found : {c.checksum, c.cross, c.full}) cell(found);
    for (int i = 0; i < kProfileCount; ++i) {
        cell(c.call[i]);
        cell(i < 2 ? c.turn[i] : c.once[i]);
    }
    for (int rule = 0; rule < kElementRules; ++rule) {
        // A rule that flags the legal kernel finds nothing.
        if (judge.clean_is_flagged(rule))
            fmt::print("\tflags all");
        else
            cell(c.others[rule]);
    }
    fmt::print("\n");
    std::fflush(stdout);
}

bool wanted(const Options& options, const std::string& fault) {
    return options.faults.empty() ||
           std::any_of(options.faults.begin(), options.faults.end(),
                       [&](const std::string& part) { return fault.find(part) != std::string::npos; });
}

// False where a legal kernel is flagged by FuMi, or what no size of the product can hide is missed.
bool detect(const Options& options, const Operands& operands, const Shape& shape,
            test::Distribution distribution, std::mt19937_64& g) {
    Product product(operands, shape, distribution, g);
    const Judge judge(product);
    const std::vector<config::Config> profiles = all_profiles();
    const Fault clean_fault = no_fault();
    const auto row = [&](const Fault& fault) {
        // Of the legal kernel a full check is the same each time.
        const int trials = &fault == &clean_fault ? std::min(options.trials, 32) : options.trials;
        const Counts counts = count(product, judge, fault, profiles, trials, g);
        print_row(product, test::name(distribution), fault, counts, judge);
        return counts;
    };
    const Counts clean = row(clean_fault);
    bool right = clean.turn[1] == 0 && clean.turn[2] == 0 && clean.turn[3] == 0;
    for (const Fault& fault : options.bits ? bit_faults_for(operands) : faults_for(operands)) {
        if (!wanted(options, fault.name)) continue;
        const Counts counts = row(fault);
        right = right && (!fault.sure || counts.full == counts.trials);
    }
    return right;
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("--size", options.sizes, "m = n = k of each product (1024); several: --size 64 1024");
    app.add_option("--m", options.shape.m, "Rows, where --size is not given");
    app.add_option("--n", options.shape.n, "Columns, where --size is not given");
    app.add_option("--k", options.shape.k, "Length of the sums, where --size is not given");
    app.add_option("--type", options.types,
                   "Of the operands: fp32, tf32 (fp32 where TF32 is allowed), bf16, fp16, fp8")
        ->check(CLI::IsMember({"fp32", "tf32", "bf16", "fp16", "fp8"}));
    app.add_option("--distribution", options.distributions,
                   "Of the inputs: normal, positive, uniform, heavy, cancelling, or all")
        ->check(CLI::IsMember({"normal", "positive", "uniform", "heavy", "cancelling", "all"}));
    app.add_option("--trials", options.trials, "Calls with each fault; profiles take turns over 32 (320)")
        ->check(CLI::PositiveNumber);
    app.add_option("--fault", options.faults, "Only faults with this in their name");
    app.add_flag("--bits", options.bits, "Bit flips at every position instead of the other faults");
    app.add_option("--precision", options.precision, "Names the precision of so many products instead");
    app.add_option("--seed", options.seed, "Of all that is drawn (1)");
    app.footer(
        "Prints one row a fault, tab-separated: per cent of the calls flagged, with 95% limits. checksum: "
        "128 columns, "
        "1 vector; cross:\n64 x 64 elements; full: all of them. A profile's column is per call, each check "
        "in its "
        "turn. `missed below legal error`: of one\nwrong element, trials that full and checksum missed and "
        "where the "
        "error is smaller than any rule with less than one false alarm\nin 10^9 calls can tell from "
        "rounding. "
        "`flags all`: the rule flags the legal kernel. Exit status 1 where FuMi does, or misses what\nit "
        "must find.");
}

std::vector<test::Distribution> distributions_of(const Options& options) {
    const char* const names[] = {"normal", "positive", "uniform", "heavy", "cancelling"};
    std::vector<test::Distribution> all;
    for (const std::string& wanted : options.distributions)
        for (std::size_t i = 0; i < std::size(names); ++i)
            if (wanted == "all" || wanted == names[i]) all.push_back(test::kDistributions[i]);
    return all;
}

int run(int argc, char** argv) {
    Options options;
    CLI::App app("Plants faults in matrix products and prints who finds them.", "detection");
    add_options(app, options);
    CLI11_PARSE(app, argc, argv);
    std::mt19937_64 g(options.seed);
    if (options.precision > 0) return name_precisions(options.precision, g);
    std::vector<Shape> shapes;
    for (const std::int64_t size : options.sizes) shapes.push_back({size, size, size});
    if (shapes.empty()) shapes.push_back(options.shape);
    bool right = true;
    print_header();
    for (const Operands& operands : kOperands) {
        if (std::find(options.types.begin(), options.types.end(), operands.name) == options.types.end())
            continue;
        for (const Shape& shape : shapes)
            for (const test::Distribution distribution : distributions_of(options))
                right = detect(options, operands, shape, distribution, g) && right;
    }
    return right ? 0 : 1;
}

}  // namespace
}  // namespace fumi::bench

int main(int argc, char** argv) {
    return fumi::bench::run(argc, argv);
}
