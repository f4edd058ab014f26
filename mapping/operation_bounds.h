// What the results of an operation may differ by from its fp64 rerun (docs/numerics.md section 11).
#pragma once
#include <string>
#include <vector>

#include "mapping/api_table.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {

// Of the first result, element by element, in units of u. allowed undefined: no bound.
struct Allowance {
    at::Tensor allowed;    // B / u, without the rounding of the result itself
    at::Tensor magnitude;  // G, in which eta is counted
    std::string words;
};

// arguments: raised. reference: the results of the rerun with them. Needs an Unseen; throws what torch
// throws.
Allowance allowance(const Operation& row, const c10::OperatorHandle& handle, const Arguments& arguments,
                    const std::vector<c10::IValue>& reference);

}  // namespace fumi::mapping
