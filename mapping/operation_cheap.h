// The cheapest part of a bound: what is known of B without a further run of the operation. Most elements are
// within it; the whole bound (operation_bounds.h) is for the others.
#pragma once
#include <optional>
#include <string>

#include "mapping/operation_judge.h"
#include "mapping/operation_question.h"

namespace fumi::mapping {

struct Cheap {
    CheapBound bound;
    at::Tensor magnitude;  // owns bound.magnitude
    std::string words;
};

// Of the normalisations, with their statistics.
CheapBound cheap_normalisation(const Question& question);

// nullopt where the bound has no such part. Needs an Unseen; throws what torch throws.
std::optional<Cheap> cheap_bound(const Question& question);

// Of `tensor`, which can be expanded to `shape`: the numbers at `places` of that shape, in order. fp64.
at::Tensor gather(const at::Tensor& tensor, at::IntArrayRef shape, const Places& places);

}  // namespace fumi::mapping
