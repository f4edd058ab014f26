// The check of one operation that has run: rerun in fp64, bounded, compared.
#pragma once
#include <string>

#include "mapping/api_table.h"
#include "mapping/operation_judge.h"
#include "mapping/operation_rerun.h"
#include "mapping/operation_sample.h"

namespace fumi::mapping {

struct Finding {
    std::string not_checked;  // why there is no verdict; "" where there is one
    std::string reason;
    std::int32_t verdict = 0;
    Outcome outcome;
};

// Why the operation cannot be rerun, as far as its arguments say; nullptr where it can. Static.
const char* obstacle(const c10::OperatorHandle& handle, c10::ArrayRef<const c10::IValue> arguments);

// Never throws; needs no guard. sample: the part of it that is checked; nullptr: all of it.
Finding check_operation(const Operation& row, const RunningOperation& operation, Sample* sample,
                        std::int64_t scratch_bytes) noexcept;

// fp32, fp16, bf16, fp64; nullptr for other types.
const NumberFormat* format_of(at::ScalarType type) noexcept;

// fp64 or complex128, and no mere number.
bool is_double(const at::Tensor& tensor);
bool has_doubles(const Arguments& arguments);

// The bits of the narrowest floating operand or result, 24 at most.
int precision_of_operands(const RunningOperation& operation);

std::string sizes_text(const at::Tensor& tensor);  // [64, 32]
std::string type_text(const at::Tensor& tensor);   // fp32

// "[64, 32] [32] -> [64, 32]" and "fp32,fp32,fp32".
std::string shape_text(const RunningOperation& operation);
std::string dtypes_text(const RunningOperation& operation);

}  // namespace fumi::mapping
