// torch's own function behind the name of a comparison: run in fp64 on the same arguments, and what the
// results of two implementations may differ from it by.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "mapping/operation_bounds.h"

namespace fumi::mapping {

struct GivenArgument {
    std::string name;  // "": by its place
    c10::IValue value;
};

// "scaled_dot_product_attention", "torch.nn.functional.linear", "aten::mm": the API as a session names it, or
// `name` where torch has none.
std::string api_of_name(const std::string& name);

struct KnownReference {
    std::vector<at::Tensor> results;  // in fp64; empty: `obstacle` says why
    Allowance allowed;                // of the first result, where the steps run in fp32; undefined: no bound
    Allowance composed;     // where each step's result is rounded to the operands' type; undefined: no such
    double unit = 0x1p-24;  // u of both
    bool exact = false;     // the function rounds nothing
    std::string obstacle;
};

// output: the type of the program's first result. Never throws.
KnownReference known_reference(const std::string& api, const std::vector<GivenArgument>& given,
                               at::ScalarType output, std::int64_t scratch_bytes) noexcept;

}  // namespace fumi::mapping
