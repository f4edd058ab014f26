#include "tests/bench/detection_precision.h"

#include <fmt/format.h>

#include <map>

#include "tests/bench/detection_rates.h"
#include "tests/kernels/models.h"

namespace fumi::bench {
namespace {

using test::Distribution;

struct Used {
    const char* name;
    test::Arithmetic how;
    InputFormat inputs, other;
    bool accumulator;
};

}  // namespace

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
            fmt::print(stderr, "not named: {}, {}, K {}: {}\n", used.name, test::name(distribution), k,
                       found.text);
    }
    fmt::print("used\tnamed rightly\tcalls\t%, 95% limits\n");
    for (const auto& [name, counts] : right)
        fmt::print("{}\t{}\t{}\t{}\n", name, counts.first, counts.second,
                   rate_text(counts.first, counts.second));
    fmt::print("all\t{}\t{}\t{}\n", total, calls, rate_text(total, calls));
    return 100 * total >= 99 * calls ? 0 : 1;
}

}  // namespace fumi::bench
