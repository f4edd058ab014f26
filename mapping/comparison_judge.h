// The verdicts of a comparison: each function against the best reference there is, and the two against each
// other.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mapping/comparison_reference.h"
#include "mapping/comparisons.h"
#include "mapping/operation_judge.h"

namespace fumi::mapping {

// By FUMI_OUTPUT_*: the results of each run, in order.
struct ComparedOutputs {
    std::array<std::vector<at::Tensor>, 4> of;
};

struct Judged {
    const char* what = "";
    std::int32_t verdict = 0;  // FUMI_VERDICT_*
    std::string reason;
    Outcome outcome;
    double symmetric = 0, sum_value = 0, sum_reference = 0, max_value = 0, max_reference = 0;
};

// Throws what torch throws.
std::vector<Judged> judge_comparison(const std::string& api, const std::vector<GivenArgument>& arguments,
                                     const ComparedOutputs& outputs, bool known, std::int64_t scratch_bytes);

FumiMeasure measure_of(const Judged& judged);

// A tensor over memory of the caller's; throws where torch has no such type or device.
at::Tensor tensor_of(const FumiTensor& tensor);

}  // namespace fumi::mapping
