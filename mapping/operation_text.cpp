// Operations in words: the shapes and types of what they are given and return.
#include <functional>

#include "mapping/operation_check.h"

namespace fumi::mapping {
namespace {

void add_tensors(const std::vector<c10::IValue>& values,
                 const std::function<std::string(const at::Tensor&)>& word, const char* between,
                 std::string* text) {
    for (const c10::IValue& value : values) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            *text += (text->empty() || text->back() == ' ' ? "" : between) + word(tensor);
        });
    }
}

}  // namespace

std::string sizes_text(const at::Tensor& tensor) {
    std::string text = "[";
    for (const std::int64_t size : tensor.sizes()) {
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    }
    return text + "]";
}

std::string type_text(const at::Tensor& tensor) {
    const NumberFormat* const format = format_of(tensor.scalar_type());
    return format != nullptr ? format->name : c10::toString(tensor.scalar_type());
}

std::string shape_text(const RunningOperation& operation) {
    std::string text;
    add_tensors(operation.arguments, sizes_text, " ", &text);
    text += " -> ";
    add_tensors(operation.results, sizes_text, " ", &text);
    return text;
}

std::string dtypes_text(const RunningOperation& operation) {
    std::string text;
    add_tensors(operation.arguments, type_text, ",", &text);
    add_tensors(operation.results, type_text, ",", &text);
    return text;
}

}  // namespace fumi::mapping
