// gpu_kernels: what repeat, add_noise, checksum and the precision probe launch, on the device and by its host
// bodies.
#include <cmath>
#include <cstring>
#include <functional>
#include <list>
#include <random>
#include <type_traits>

#include "kernels/noise.h"
#include "kernels/precision.h"
#include "tests/kernels/gpu_kernels.h"

namespace fumi::test {
namespace {

using nlohmann::json;
using Launch = std::function<void(const char* kernel, unsigned blocks, unsigned threads, void* params)>;

void launch_on_host(const char* kernel, unsigned blocks, unsigned threads, void* params) {
    void* arguments[] = {params};
    for (unsigned i = 0; i < blocks; ++i) {
        SoftcudaBlock block{{blocks, 1, 1}, {threads, 1, 1}, {i, 0, 0}, arguments, nullptr, 0, 0, 0};
        body_of(kernel)(&block);
    }
}

// Where a sequence of launches runs. take(): zeroed memory that it and the host can read and write.
struct Place {
    Launch launch;
    std::function<void*(std::size_t bytes)> take;
    std::function<void()> finish;
};

ErrorStats merged(const ErrorStats* partials, unsigned blocks) {
    ErrorStats all;
    for (unsigned i = 0; i < blocks; ++i) merge_stats(all, partials[i]);
    return all;
}

ErrorStats checksum(const Place& place, const GemmProblem& problem, const Contract& contract, int vectors) {
    const ChecksumPlan plan =
        plan_checksum(problem, {16, vectors, 5}, std::size_t{1} << 20, std::size_t{1} << 16);
    ChecksumParams params = plan.params;
    params.bound = contract.bound;
    params.reduction_error = contract.reduction_error;
    params.sums = static_cast<double*>(place.take(plan.sums_bytes));
    params.partials = static_cast<ErrorStats*>(place.take(plan.row_blocks * sizeof(ErrorStats)));
    if (plan.column_blocks > 0)
        place.launch(kernel_name::checksum_columns, plan.column_blocks, kCheckThreads, &params);
    place.launch(kernel_name::checksum_rows, plan.row_blocks, kCheckThreads, &params);
    place.finish();
    return merged(params.partials, plan.row_blocks);
}

// D against C, bit by bit or by distance.
ErrorStats compared(const Place& place, const GemmProblem& problem, bool bitwise) {
    CompareParams params;
    params.a = strided(problem.d, problem.m, problem.n, problem.batch);
    params.b = problem.c.data;
    params.bitwise = bitwise ? 1 : 0;
    const unsigned blocks = compare_blocks(count_of(params.a), 16 * sizeof(ErrorStats));
    params.partials = static_cast<ErrorStats*>(place.take(blocks * sizeof(ErrorStats)));
    place.launch(kernel_name::compare, blocks, kCheckThreads, &params);
    place.finish();
    return merged(params.partials, blocks);
}

// Two samples of D's noise: C, and D as it is.
ErrorStats noise_response(const Place& place, const GemmProblem& problem) {
    NoiseResponseParams params;
    params.output = strided(problem.d, problem.m, problem.n, problem.batch);
    params.looked_at = count_of(params.output);
    params.sums =
        static_cast<double*>(place.take(static_cast<std::size_t>(params.looked_at) * 2 * sizeof(double)));
    params.seed = 3;
    params.samples = 2;
    const unsigned blocks = compare_blocks(params.looked_at, 16 * sizeof(ErrorStats));
    params.partials = static_cast<ErrorStats*>(place.take(blocks * sizeof(ErrorStats)));
    for (const void* moved : {problem.c.data, problem.d.data}) {
        params.moved = moved;
        place.launch(kernel_name::noise_response, blocks, kCheckThreads, &params);
        ++params.sample;
    }
    place.finish();
    return merged(params.partials, blocks);
}

PrecisionStats precision(const Place& place, const GemmProblem& problem, const Contract& contract) {
    auto* slot = static_cast<PrecisionSlot*>(place.take(sizeof(PrecisionSlot)));
    PrecisionParams params =
        make_precision_params(problem, contract, 7, place.take(kPrecisionScratch), slot, 1);
    place.launch(kPrecisionKernel, kPrecisionEntries, kPrecisionThreads, &params);
    place.launch(kPrecisionMergeKernel, 1, kPrecisionThreads, &params);
    place.finish();
    return slot->stats;
}

json differences(const PrecisionStats& device, const PrecisionStats& host) {
    json all = json::array();
    const auto compare = [&](const char* field, double a, double b) {
        if (!(std::fabs(a - b) <= 1e-9 * std::fabs(b)) && !(std::isnan(a) && std::isnan(b)))
            all.push_back({{"field", field}, {"device", a}, {"host", b}});
    };
#define COMPARE(field) compare(#field, static_cast<double>(device.field), static_cast<double>(host.field))
    COMPARE(entries);
    COMPARE(inputs);
    COMPARE(residual_none);
    COMPARE(residual);
    COMPARE(accumulator_noise);
    COMPARE(accumulator_largest);
    COMPARE(accumulator_floor);
    COMPARE(rounded_entries);
    COMPARE(mismatches);
    COMPARE(expected_mismatches);
    COMPARE(plain_matches);
    COMPARE(split);
    COMPARE(split_matches);
#undef COMPARE
    return all;
}

class Modes {
  public:
    explicit Modes(Driver& driver) : driver_(driver) {
        device_ = {[&](const char* kernel, unsigned blocks, unsigned threads, void* params) {
                       driver_.launch(kernel, blocks, threads, params);
                   },
                   [&](std::size_t bytes) { return driver_.allocate_pinned(bytes); },
                   [&] { driver_.synchronize(); }};
        host_ = {launch_on_host,
                 [&](std::size_t bytes) { return static_cast<void*>(kept_.emplace_back(bytes).data()); },
                 [] {}};
    }

    void add_type(DataType type) {
        std::mt19937_64 g(11);
        Workload w({70, 36, 300, 2}, type, type, type, type);
        w.lay_out(w.problem.a, Layout::rows, 3, false);
        w.fill(draws(Distribution::normal, g));
        w.problem.beta = {0.5};
        w.compute_exactly();
        write(w.problem.d, 3, 4, 1, 99);  // a fault, to be found alike
        CallFacts facts;
        facts.a = facts.b = facts.output = type;
        const Contract contract = contract_for(facts);
        const GemmProblem there = on_device(driver_, w);
        for (const int vectors : {1, 3})
            add(type, "checksum", checksum(device_, there, contract, vectors),
                checksum(host_, w.problem, contract, vectors));
        for (const bool bitwise : {false, true})
            add(type, "compare", compared(device_, there, bitwise), compared(host_, w.problem, bitwise));
        add(type, "noise response", noise_response(device_, there), noise_response(host_, w.problem));
        add(type, "precision", precision(device_, there, contract), precision(host_, w.problem, contract));
        driver_.release();
        kept_.clear();
    }
    std::vector<json> results;

  private:
    static std::int64_t looked_at(const ErrorStats& stats) {
        return static_cast<std::int64_t>(stats.elements);
    }
    static std::int64_t looked_at(const PrecisionStats& stats) { return stats.entries; }
    template <class Stats>
    void add(DataType type, const char* mode, const Stats& device, const Stats& host) {
        json found;
        if constexpr (std::is_same_v<Stats, ErrorStats>)
            found = test::differences(device, host, false);
        else
            found = differences(device, host);
        const bool ok = found.empty() && looked_at(host) > 0;
        results.push_back(
            {{"case", type_name(type)}, {"mode", mode}, {"ok", ok}, {"differences", std::move(found)}});
    }

    Driver& driver_;
    Place device_, host_;
    std::list<std::vector<char>> kept_;
};

}  // namespace

std::vector<json> compare_mode_kernels(Driver& driver) {
    Modes modes(driver);
    for (const DataType type : {DataType::f32, DataType::f64, DataType::f16, DataType::bf16})
        modes.add_type(type);
    return std::move(modes.results);
}

}  // namespace fumi::test
