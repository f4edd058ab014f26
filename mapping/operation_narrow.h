// What kernels of fp16 and bf16 products round to that type besides the result: they are sums in fp32
// otherwise.
#pragma once
#include "mapping/operation_question.h"

namespace fumi::mapping {

// u_own / u where a kernel rounds products before it adds them, or its running sums (products); else 1.
double rounded_steps(const Question& q);

// Of a product whose sum is rounded before its bias is added, in units of u. Undefined: it is not.
at::Tensor rounded_before_bias(const Question& q);

// A linear whose rows torch does not flatten to a matrix: it becomes a matmul and an addition.
bool keeps_rows(const at::Tensor& input_of_linear);

}  // namespace fumi::mapping
