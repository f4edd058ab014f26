#include "mapping/comparison_reference.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <optional>
#include <span>

#include "fumi_api_names.h"
#include "mapping/api_table.h"
#include "mapping/attention_bound.h"
#include "mapping/operation_check.h"
#include "mapping/operation_linear.h"
#include "mapping/operation_question.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {
namespace {

constexpr const char* attention_op = "aten::scaled_dot_product_attention";

// ---- from a name to an operator
// -----------------------------------------------------------------------------

const char* canonical(const std::string& name) {
    for (const ApiName& known : api_names) {
        if (name == known.name) {
            return known.canonical;
        }
    }
    return nullptr;
}

// The first of the ops of an API that has its last name, else its first op.
const Operation* operation_of_api(const std::string& api) {
    const Operation* found = nullptr;
    const std::string last = api.substr(api.rfind('.') + 1);
    for (const Operation& row : operations()) {
        if (api != row.api) {
            continue;
        }
        if (last == row.op + std::strlen("aten::")) {
            return &row;
        }
        found = found != nullptr ? found : &row;
    }
    return found;
}

// ---- from arguments of Python to those of a schema
// -------------------------------------------------------------

// What torch's Python functions call otherwise than its schemas.
bool same_name(const std::string& given, const std::string& formal) {
    return given == formal || (given == "input" && formal == "self") ||
           (given == "self" && formal == "input");
}

std::optional<c10::IValue> fit(const c10::IValue& value, const c10::Argument& formal) {
    const c10::Type* type = formal.type().get();
    if (type->kind() == c10::TypeKind::OptionalType) {
        if (value.isNone()) {
            return value;
        }
        type = type->castRaw<c10::OptionalType>()->getElementType().get();
    }
    switch (type->kind()) {
        case c10::TypeKind::TensorType:
            return value.isTensor() ? std::optional(value) : std::nullopt;
        case c10::TypeKind::BoolType:
            return value.isBool() ? std::optional(value) : std::nullopt;
        case c10::TypeKind::IntType:
        case c10::TypeKind::SymIntType:
            return value.isInt() ? std::optional(value) : std::nullopt;
        case c10::TypeKind::FloatType:
            return value.isInt()      ? std::optional(c10::IValue(static_cast<double>(value.toInt())))
                   : value.isDouble() ? std::optional(value)
                                      : std::nullopt;
        case c10::TypeKind::NumberType:
            return value.isInt() || value.isDouble() ? std::optional(value) : std::nullopt;
        case c10::TypeKind::StringType:
            return value.isString() ? std::optional(value) : std::nullopt;
        case c10::TypeKind::ListType:
            if (value.isInt() && formal.N().has_value()) {
                return c10::IValue(
                    std::vector<std::int64_t>(static_cast<std::size_t>(*formal.N()), value.toInt()));
            }
            return value.isIntList() ? std::optional(value) : std::nullopt;
        default:
            return std::nullopt;
    }
}

std::optional<Arguments> bind(const c10::FunctionSchema& schema, const std::vector<GivenArgument>& given) {
    const auto& formal = schema.arguments();
    std::vector<std::optional<c10::IValue>> bound(formal.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
        std::size_t at = i;
        if (!given[i].name.empty()) {
            at = 0;
            while (at < formal.size() && !same_name(given[i].name, formal[at].name())) {
                ++at;
            }
        }
        // Options that torch's Python has and its schemas have not may stand at their None or default.
        if (at >= formal.size() || bound[at].has_value()) {
            if (given[i].value.isNone() || given[i].name == "_stacklevel") {
                continue;
            }
            return std::nullopt;
        }
        bound[at] = fit(given[i].value, formal[at]);
        if (!bound[at].has_value()) {
            return std::nullopt;
        }
    }
    Arguments result;
    for (std::size_t i = 0; i < formal.size(); ++i) {
        const std::optional<c10::IValue>& value = bound[i].has_value() ? bound[i] : formal[i].default_value();
        if (!value.has_value()) {
            return std::nullopt;
        }
        result.push_back(*value);
    }
    return result;
}

std::optional<RunningOperation> bound_operation(const char* op, const std::vector<GivenArgument>& given) {
    c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
    for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
        if (name.name != op || name.overload_name.find("out") != std::string::npos) {
            continue;
        }
        const auto handle = dispatcher.findSchema(name);
        if (!handle.has_value() || handle->schema().is_mutable()) {
            continue;
        }
        if (auto arguments = bind(handle->schema(), given); arguments.has_value()) {
            return RunningOperation{*handle, std::move(*arguments), {}, {}};
        }
    }
    return std::nullopt;
}

c10::IValue argument(const RunningOperation& operation, const char* name) {
    const auto& formal = operation.handle.schema().arguments();
    for (std::size_t i = 0; i < formal.size(); ++i) {
        if (formal[i].name() == name) {
            return operation.arguments[i];
        }
    }
    return {};
}

// ---- the reference
// ------------------------------------------------------------------------------------------

const char* obstacle_of(const RunningOperation& operation) {
    const c10::IValue dropout = argument(operation, "dropout_p");
    const bool random = dropout.isDouble() ? dropout.toDouble() != 0
                                           : operation.handle.hasTag(at::Tag::nondeterministic_seeded);
    if (random) {
        return "it draws random numbers, in fp64 others than in fp32";
    }
    const char* found = nullptr;
    for (const c10::IValue& value : operation.arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            const bool in_parts = is_linear(operation.handle, false) && tensor.layout() == at::kStrided;
            if (tensor.is_complex() || (is_double(tensor) && !in_parts)) {
                found = "torch has no wider type to rerun its operands in";
            }
        });
    }
    return found;
}

// Autocast rounds what it hands on to the type that the result has: that is the program's choice, no error.
void cast_as_autocast(RunningOperation* operation, at::ScalarType output) {
    if (output != at::kHalf && output != at::kBFloat16) {
        return;
    }
    for (c10::IValue& value : operation->arguments) {
        value = with_tensors(value, [&](const at::Tensor& tensor) {
            return tensor.scalar_type() == at::kFloat &&
                           at::autocast::is_autocast_enabled(tensor.device().type())
                       ? tensor.to(output)
                       : tensor;
        });
    }
}

// The rows' bounds are in units of u: where each step rounds to the operands' type, u is that type's.
// given: the operation with the program's own arguments, and its result in the program's type.
void bound_by_row(const Operation& row, const RunningOperation& given,
                  const RunningOperation& raised_operation, KnownReference* known) {
    const Question question{
        row, raised_operation.handle, raised_operation.arguments, dense(known->results[0]), &given, 0x1p-24};
    const int bits = precision_of_operands(given);
    if (row.bound == Bound::attention) {
        known->allowed = attention_bound(question, Steps::fused);
        known->composed = bits < 24 ? attention_bound(question, Steps::composed) : Allowance{};
        return;
    }
    known->allowed = widened(question, latitude_of(question));
    if (known->allowed.value.defined()) {
        known->allowed = {};  // a residual of torch's own result
    }
    if (known->allowed.allowed.defined() && bits < 24) {
        known->composed = {known->allowed.allowed * std::ldexp(1.0, 24 - bits), known->allowed.magnitude, ""};
    }
}

std::int64_t bytes_needed(const RunningOperation& operation) {
    std::int64_t elements = 0;
    for (const c10::IValue& value : operation.arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) { elements += tensor.numel(); });
    }
    std::int64_t bytes = elements * 8 * (has_doubles(operation.arguments) ? 10 : 4);
    if (operation.handle.schema().name() == attention_op) {
        bytes += attention_bound_bytes(argument(operation, "query").toTensor(),
                                       argument(operation, "key").toTensor());
    }
    return bytes;
}

KnownReference reference(const Operation& row, RunningOperation operation, at::ScalarType output,
                         std::int64_t scratch_bytes) {
    KnownReference known;
    if (const char* const found = obstacle_of(operation); found != nullptr) {
        known.obstacle = found;
        return known;
    }
    if (bytes_needed(operation) > scratch_bytes) {
        known.obstacle = "its copies in fp64 need more than limits.scratch";
        return known;
    }
    cast_as_autocast(&operation, output);
    const Unseen unseen;
    RunningOperation given = operation;
    if (has_doubles(operation.arguments)) {
        operation.arguments = raised(operation, at::kDouble, false);
        given.results = {at::empty_like(run(operation.handle, operation.arguments).at(0).toTensor())};
        Doubled doubled = rerun_in_parts(
            {row, operation.handle, operation.arguments, given.results[0].toTensor(), &given, 0x1p-53});
        known.results = {doubled.reference};
        known.allowed = std::move(doubled.allowed);
        known.unit = 0x1p-53;
        return known;
    }
    operation.arguments = raised(operation, row.bound == Bound::exact ? output : at::kFloat, false);
    for (const c10::IValue& value : run(operation.handle, operation.arguments)) {
        each_tensor(value, [&](const at::Tensor& tensor) { known.results.push_back(tensor); });
    }
    if (known.results.empty()) {
        known.obstacle = "its result is no tensor";
    } else if (row.bound == Bound::exact) {
        known.exact = true;
    } else if (at::isFloatingType(output)) {
        given.results = {known.results[0].to(output)};
        bound_by_row(row, given, operation, &known);
    }
    return known;
}

}  // namespace

std::string api_of_name(const std::string& name) {
    for (const std::string& spelling :
         {name, "torch.nn.functional." + name, "torch." + name, "torch.Tensor." + name}) {
        if (const char* const api = canonical(spelling); api != nullptr) {
            return api;
        }
    }
    const Operation* const row = operation_of(name.c_str());
    return row != nullptr ? row->api : name;
}

KnownReference known_reference(const std::string& api, const std::vector<GivenArgument>& given,
                               at::ScalarType output, std::int64_t scratch_bytes) noexcept {
    KnownReference known;
    try {
        const Operation* const row = operation_of_api(api);
        if (row == nullptr) {
            known.obstacle = "torch has no function " + api;
            return known;
        }
        auto operation = bound_operation(row->op, given);
        if (!operation.has_value()) {
            known.obstacle = "the arguments are not those of " + api;
            return known;
        }
        return reference(*row, std::move(*operation), output, scratch_bytes);
    } catch (const c10::Error& error) {
        known.obstacle = std::string("its run in fp64 failed: ") + error.what_without_backtrace();
    } catch (const std::exception& error) {
        known.obstacle = std::string("its run in fp64 failed: ") + error.what();
    }
    known.obstacle.resize(std::min(known.obstacle.find('\n'), known.obstacle.size()));
    return known;
}

}  // namespace fumi::mapping
