// What the results of an operation may differ by from its fp64 rerun (docs/numerics.md section 11).
#pragma once
#include <string>
#include <vector>

#include "mapping/api_table.h"
#include "mapping/operation_device.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {

// Of the first result, element by element, in units of u. allowed undefined: no bound.
struct Allowance {
    at::Tensor allowed;    // B / u, without the rounding of the result itself
    at::Tensor magnitude;  // G, in which eta is counted
    std::string words;
    bool picked = false;  // of the places that were asked for alone, in their order
    // What is compared instead of the result and the reference; undefined: these.
    at::Tensor value{}, expected{};
};

// Needs an Unseen; throws what torch throws.
struct Question;
Allowance allowance(const Question& question);

// The same, and what the libraries' kernels may round besides; `latitude` is that of the question.
Allowance widened(const Question& question, const Latitude& latitude);
Latitude latitude_of(const Question& question);

}  // namespace fumi::mapping
