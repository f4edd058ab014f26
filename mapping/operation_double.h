// fp64 operations that are linear in their operands, rerun with more bits than fp64 has (docs/numerics.md
// section 11).
#pragma once
#include "mapping/operation_bounds.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {

// complex: of operands in complex128.
bool is_linear(const c10::OperatorHandle& operation, bool complex);

struct Doubled {
    at::Tensor reference;
    Allowance allowed;  // in units of 2^-53
};

// Needs an Unseen; throws what torch throws. arguments: copies that may be written.
Doubled rerun_in_parts(const Operation& row, const RunningOperation& operation, const Arguments& arguments);

}  // namespace fumi::mapping
