// The rerun of operations on quantised tensors, which have no fp64 form: in numbers.
#pragma once
#include "mapping/operation_bounds.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {

// quantized::linear. value: the result's integers above the zero point; expected: x w^T + b over the scale,
// not rounded, within what the type can hold. Needs an Unseen; throws what torch throws.
Allowance quantised_linear(const RunningOperation& operation);

}  // namespace fumi::mapping
