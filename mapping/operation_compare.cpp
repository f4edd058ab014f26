#include "mapping/operation_compare.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "mapping/parallel.h"

namespace fumi::mapping {
namespace {

at::Tensor in_fp64(const at::Tensor& tensor) {
    const at::Tensor dense = tensor.is_sparse() ? tensor.to_dense() : tensor;
    if (dense.is_complex()) {  // both parts, side by side
        return at::view_as_real(dense.to(at::kCPU, at::kComplexDouble).resolve_conj()).contiguous();
    }
    return dense.to(at::kCPU, at::kDouble).contiguous();
}

struct Part {
    Outcome outcome;
    Places over;
};

// The sum does not depend on how many threads there are.
template <class Function>
Places in_parts(std::size_t count, Outcome* outcome, const Function& function) {
    constexpr std::size_t size = 1U << 14U;
    std::vector<Part> parts((count + size - 1) / size);
    in_parallel(static_cast<std::int64_t>(parts.size()), [&](std::int64_t first, std::int64_t last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
            function(i * size, std::min(count, (i + 1) * size), &parts[i]);
        }
    });
    Places over;
    for (const Part& part : parts) {
        outcome->add(part.outcome);
        over.insert(over.end(), part.over.begin(), part.over.end());
    }
    return over;
}

}  // namespace

Compared::Compared(const at::Tensor& result, const at::Tensor& expected, const NumberFormat& format,
                   double unit, bool exact, Outcome* outcome)
    : outcome_(outcome), reference_(in_fp64(expected)), complex_(expected.is_complex()) {
    if (result.scalar_type() == at::kFloat && result.is_cpu() && !result.is_sparse()) {
        value_ = result.resolve_neg().contiguous();
        arrays_.fp32 = value_.const_data_ptr<float>();
    } else {
        value_ = in_fp64(result);
        arrays_.value = value_.const_data_ptr<double>();
    }
    arrays_.reference = reference_.const_data_ptr<double>();
    arrays_.count = static_cast<std::size_t>(value_.numel());
    arrays_.format = format;
    arrays_.exact = exact;
    arrays_.unit = unit;
}

void Compared::in_full(const Allowance& allowed) {
    bound_by(allowed);
    in_parts(arrays_.count, outcome_, [&](std::size_t begin, std::size_t end, Part* part) {
        compare(arrays_, begin, end, &part->outcome);
    });
}

Places Compared::cheaply(const CheapBound& bound) {
    return in_parts(arrays_.count, outcome_, [&](std::size_t begin, std::size_t end, Part* part) {
        compare_cheaply(arrays_, bound, begin, end, &part->outcome, &part->over);
    });
}

void Compared::at(const Places& places, const Allowance& allowed) {
    bound_by(allowed);
    compare_at(arrays_, places, allowed.picked, outcome_);
}

void Compared::bound_by(const Allowance& allowed) {
    if (!allowed.allowed.defined()) {
        return;
    }
    const auto array = [&](const at::Tensor& tensor) {
        return in_fp64(allowed.picked ? tensor
                       : complex_     ? tensor.unsqueeze(-1).expand_as(reference_)
                                      : tensor.expand_as(reference_));
    };
    allowed_ = array(allowed.allowed);
    magnitude_ = array(allowed.magnitude);
    arrays_.allowed = allowed_.const_data_ptr<double>();
    arrays_.magnitude = magnitude_.const_data_ptr<double>();
}

}  // namespace fumi::mapping
