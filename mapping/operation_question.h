// What the files of bounds (operation_bounds*.cpp) share.
#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <string>

#include "mapping/operation_bounds.h"

namespace fumi::mapping {

// An operation that has been rerun, with its arguments by name.
struct Question {
    const Operation& row;
    const c10::OperatorHandle& handle;
    const Arguments& arguments;
    at::Tensor reference;
    // Where only some elements are asked for: their places in the reference. An Allowance of those alone says
    // so (`picked`).
    const std::vector<std::int64_t>* places = nullptr;

    std::size_t place(const char* name) const {
        const auto& formal = handle.schema().arguments();
        for (std::size_t i = 0; i < formal.size(); ++i) {
            if (formal[i].name() == name) {
                return i;
            }
        }
        return formal.size();
    }
    c10::IValue get(const char* name) const {
        const std::size_t at = place(name);
        return at < arguments.size() ? arguments[at] : c10::IValue();
    }
    at::Tensor tensor(const char* name) const {
        const c10::IValue value = get(name);
        return value.isTensor() ? value.toTensor() : at::Tensor();
    }
    at::Tensor first(const Arguments& changed) const { return run(handle, changed).at(0).toTensor(); }
};

at::Tensor dense(const at::Tensor& tensor);

// 0 where x has no number: x = infinity, or a derivative that does not exist.
at::Tensor usable(const at::Tensor& tensor);

double largest(const at::Tensor& tensor);

// p (2 sqrt(K) + 4) of a sum of products, nullopt where it is no sum; p (2 sqrt(K) + 8) of one of positive
// terms.
std::optional<double> product_share(const Question& q);
double positive_share(const Question& q);

std::string number(double value);

// By the word of the row; operation_bounds_rows.cpp has those of whole rows of numbers,
// operation_bounds_norms.cpp those of normalisations.
Allowance softmax(const Question& q, bool logarithm);
Allowance logsumexp(const Question& q);
Allowance normalisation(const Question& q);
Allowance cross_entropy(const Question& q);

}  // namespace fumi::mapping
