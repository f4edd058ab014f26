// What the files of bounds (operation_bounds*.cpp) share.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "mapping/operation_bounds.h"

namespace fumi::mapping {

// An operation that has been rerun, with its arguments by name.
struct Question {
    const Operation& row;
    const c10::OperatorHandle& handle;
    const Arguments& arguments;
    at::Tensor reference;
    const RunningOperation* operation = nullptr;
    double unit = 0;  // u of the arithmetic
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
    // Of the program's own run.
    const at::Tensor& result() const { return operation->results.at(0).toTensor(); }
    // u of the type of the result: fp16 and bf16 are coarser than their arithmetic.
    double own() const;
    // The largest number of that type, and half of its least.
    double most() const;
    double least() const;
    at::Tensor first(const Arguments& changed) const { return run(handle, changed).at(0).toTensor(); }
};

at::Tensor dense(const at::Tensor& tensor);

// 0 where x has no number: x = infinity, or a derivative that does not exist.
at::Tensor usable(const at::Tensor& tensor);

double largest(const at::Tensor& tensor);
double root(std::int64_t terms);  // 2 sqrt(n)

// K of a sum of products: those, and what they are added to.
double summed_terms(const Question& q);

// p (2 sqrt(K) + 4) of a sum of products; p (2 sqrt(K) + 8) of one of positive terms.
double product_share(const Question& q);
double positive_share(const Question& q);

std::string number(double value);

// Of what a sum or product of fp16 or bf16 numbers rounds to its own type in between where its kernel's
// numbers (alpha, a scalar) are; in units of u.
at::Tensor rounded_numbers(const Question& q, const Arguments& arguments, const at::Tensor& reference);

// sum |x dy/dx| over the arguments, each moved as a whole.
at::Tensor condition(const Question& q, const Arguments& arguments, const at::Tensor& reference);

// By the word of the row; operation_bounds_rows.cpp has those of whole rows of numbers,
// operation_bounds_norms.cpp those of normalisations.
Allowance softmax(const Question& q, bool logarithm);
Allowance logsumexp(const Question& q);
Allowance normalisation(const Question& q);
Allowance cross_entropy(const Question& q);

// operation_bounds_losses.cpp
Allowance multi_margin(const Question& q);
Allowance multilabel_margin(const Question& q);
Allowance triplet_margin(const Question& q);
Allowance cosine_embedding(const Question& q);
Allowance ctc(const Question& q);
Allowance logits_entropy(const Question& q);
Allowance poisson(const Question& q);
Allowance soft_margin(const Question& q);

// operation_bounds_matrices.cpp
Allowance cholesky(const Question& q);
Allowance covariance(const Question& q);
Allowance matrix_exponential(const Question& q);
Allowance inverse_power(const Question& q);

// operation_bounds_special.cpp
Allowance incomplete_gamma(const Question& q);
Allowance running_logsumexp(const Question& q);

}  // namespace fumi::mapping
