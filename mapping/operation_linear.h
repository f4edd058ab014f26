// Operations that are linear in their operands, run on other operands than their own: fp64 with more bits
// than it has, and how the products of a sum repeat themselves (docs/numerics.md section 11).
#pragma once
#include "mapping/operation_question.h"

namespace fumi::mapping {

// complex: of operands in complex128.
bool is_linear(const c10::OperatorHandle& operation, bool complex);

struct Doubled {
    at::Tensor reference;
    Allowance allowed;  // in units of 2^-53
};

// Of an fp64 or complex128 operation that is linear. Needs an Unseen; throws what torch throws.
Doubled rerun_in_parts(const Question& q);

// What equal products may lose together over the bound of a sum of distinct ones, in units of u of the
// magnitude; undefined where that is not known. As dear as 17 reruns.
at::Tensor share_of_repeats(const Question& q);

}  // namespace fumi::mapping
