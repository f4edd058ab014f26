#include "mapping/comparison_judge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "mapping/operation_check.h"
#include "mapping/operations.h"

namespace fumi::mapping {
namespace {

constexpr NumberFormat exact_numbers{"fp64", 53, -1022, HUGE_VAL};

at::Tensor on_host(const at::Tensor& tensor) {
    at::Tensor dense = tensor.is_sparse() ? tensor.to_dense() : tensor;
    if (dense.is_complex()) {
        dense = at::view_as_real(dense);
    }
    return dense.to(at::kCPU, at::kDouble).contiguous();
}

NumberFormat format_in(const at::Tensor& tensor) {
    const NumberFormat* const format = format_of(c10::toRealValueType(tensor.scalar_type()));
    return format != nullptr ? *format : exact_numbers;
}

bool counts(const at::Tensor& tensor) {  // integers and booleans
    return !tensor.is_floating_point() && !tensor.is_complex();
}

// What `second` rounds in the end, beside the rounding of the first, which compare() grants itself.
Allowance of_both(const Allowance& one, double unit, const at::Tensor& reference, const at::Tensor& second) {
    if (!one.allowed.defined()) {
        return {};
    }
    const NumberFormat format = format_in(second);
    const at::Tensor allowed = 2 * one.allowed;
    const at::Tensor rounding = (reference.abs() / unit + allowed) * std::ldexp(1.0, -format.precision) +
                                2 * std::ldexp(1.0, format.least_exponent) / unit;
    return {allowed + rounding, one.magnitude, one.words + " on both sides"};
}

void add_norms(const at::Tensor& value, const at::Tensor& reference, Judged* judged) {
    const auto* const a = value.const_data_ptr<double>();
    const auto* const b = reference.const_data_ptr<double>();
    for (std::int64_t i = 0; i < value.numel(); ++i) {
        const double sum = std::fabs(a[i] + b[i]);
        const double apart = sum > 0 ? std::fabs(a[i] - b[i]) / sum : 0;
        judged->symmetric = std::max(judged->symmetric, apart);
        judged->sum_value += std::fabs(a[i]);
        judged->sum_reference += std::fabs(b[i]);
        judged->max_value = std::max(judged->max_value, std::fabs(a[i]));
        judged->max_reference = std::max(judged->max_reference, std::fabs(b[i]));
    }
}

std::string share(double ratio) {
    std::array<char, 32> text{};
    return std::snprintf(text.data(), text.size(), "%.2g", ratio) > 0 ? text.data() : "";
}

// Of one kind: first against second, say. Several results make one row.
class Row {
  public:
    Row(const char* what, double unit) : unit_(unit) { judged_.what = what; }

    void add(const at::Tensor& value, const at::Tensor& reference, const Allowance& allowed,
             const Allowance& composed, bool exact) {
        if (value.sizes() != reference.sizes()) {
            differ("the results have shapes " + sizes_text(value) + " and " + sizes_text(reference));
            return;
        }
        const at::Tensor a = on_host(value), b = on_host(reference);
        exact_ = exact_ && exact;
        words_ = allowed.words.empty() ? words_ : allowed.words;
        format_ = format_in(value).name;
        run(a, b, format_in(value), allowed, exact, &judged_.outcome);
        if (composed.allowed.defined()) {
            has_composed_ = true;
            run(a, b, format_in(value), composed, exact, &composed_);
        }
        add_norms(a, b, &judged_);
    }

    void differ(const std::string& reason) {
        judged_.verdict = FUMI_VERDICT_FAIL;
        judged_.reason = reason;
    }

    Judged judged(const std::string& without_bound) {
        if (!judged_.reason.empty()) {
            return judged_;
        }
        Outcome& outcome = judged_.outcome;
        judged_.verdict = judge(outcome, words_, exact_, &judged_.reason);
        if (exact_ && judged_.verdict == FUMI_VERDICT_PASS) {
            judged_.reason = "the same numbers";
        }
        if (words_.empty() && !exact_ && judged_.verdict == FUMI_VERDICT_NONE) {
            judged_.reason += without_bound.empty() ? "" : "; " + without_bound;
        }
        if (has_composed_ && judged_.verdict == FUMI_VERDICT_FAIL && outcome.unexpected == 0 &&
            composed_.mismatches == 0) {
            judged_.verdict = FUMI_VERDICT_WARN;
            judged_.reason += std::string("; within ") + share(composed_.worst_ratio) +
                              " of what is allowed where each step (scores, probabilities) is rounded to " +
                              format_;
        }
        return judged_;
    }

  private:
    void run(const at::Tensor& a, const at::Tensor& b, const NumberFormat& format, const Allowance& allowed,
             bool exact, Outcome* outcome) const {
        Comparison comparison;
        comparison.value = a.const_data_ptr<double>();
        comparison.reference = b.const_data_ptr<double>();
        comparison.count = static_cast<std::size_t>(a.numel());
        comparison.format = format;
        comparison.unit = unit_;
        comparison.exact = exact;
        at::Tensor bound, magnitude;
        if (allowed.allowed.defined() && !exact) {
            bound = on_host(allowed.allowed.expand_as(a));
            magnitude = on_host(allowed.magnitude.expand_as(a));
            comparison.allowed = bound.const_data_ptr<double>();
            comparison.magnitude = magnitude.const_data_ptr<double>();
        }
        compare(comparison, 0, comparison.count, outcome);
    }

    const double unit_;
    Judged judged_;
    Outcome composed_;
    std::string words_;
    const char* format_ = "";
    bool exact_ = true, has_composed_ = false;
};

class Judgement {
  public:
    Judgement(const ComparedOutputs& outputs, const KnownReference& known)
        : first_(outputs.of[FUMI_OUTPUT_FIRST]),
          second_(outputs.of[FUMI_OUTPUT_SECOND]),
          outputs_(outputs),
          known_(known) {}

    std::vector<Judged> all() {
        apart();
        if (!known_.results.empty()) {
            against_known("first against fp64", first_);
            against_known("second against fp64", second_);
        }
        alone("first against itself in fp64", first_, FUMI_OUTPUT_FIRST_FP64);
        alone("second against itself in fp64", second_, FUMI_OUTPUT_SECOND_FP64);
        if (!outputs_.of[FUMI_OUTPUT_FIRST_FP64].empty() && !outputs_.of[FUMI_OUTPUT_SECOND_FP64].empty()) {
            alone("first against second, both in fp64", outputs_.of[FUMI_OUTPUT_FIRST_FP64],
                  FUMI_OUTPUT_SECOND_FP64);
        }
        return result_;
    }

  private:
    // The two by themselves: twice the bound of one lies between them.
    void apart() {
        Row row("first against second", known_.unit);
        if (first_.size() != second_.size()) {
            row.differ("the functions return " + std::to_string(first_.size()) + " and " +
                       std::to_string(second_.size()) + " tensors");
        } else {
            for (std::size_t i = 0; i < first_.size(); ++i) {
                const bool exact = known_.exact || counts(first_[i]);
                const bool bounded =
                    i == 0 && !known_.results.empty() && known_.results[0].sizes() == first_[0].sizes();
                row.add(first_[i], second_[i],
                        bounded ? of_both(known_.allowed, known_.unit, known_.results[0], second_[i]) : none,
                        bounded ? of_both(known_.composed, known_.unit, known_.results[0], second_[i]) : none,
                        exact);
            }
        }
        result_.push_back(row.judged(known_.obstacle));
    }

    void against_known(const char* what, const std::vector<at::Tensor>& results) {
        Row row(what, known_.unit);
        const std::size_t count = std::min(results.size(), known_.results.size());
        for (std::size_t i = 0; i < count; ++i) {
            const bool exact = known_.exact || counts(results[i]);
            row.add(results[i], known_.results[i], i == 0 ? known_.allowed : none,
                    i == 0 ? known_.composed : none, exact);
        }
        if (count > 0) {
            result_.push_back(row.judged(""));
        }
    }

    // Measured, and not judged: nothing says what the function may lose.
    void alone(const char* what, const std::vector<at::Tensor>& results, int reference) {
        const std::vector<at::Tensor>& expected = outputs_.of.at(static_cast<std::size_t>(reference));
        if (expected.empty()) {
            return;
        }
        Row row(what, known_.unit);
        for (std::size_t i = 0; i < std::min(results.size(), expected.size()); ++i) {
            row.add(results[i], expected[i], none, none, counts(results[i]));
        }
        result_.push_back(row.judged(""));
    }

    const Allowance none;
    const std::vector<at::Tensor>& first_;
    const std::vector<at::Tensor>& second_;
    const ComparedOutputs& outputs_;
    const KnownReference& known_;
    std::vector<Judged> result_;
};

}  // namespace

std::vector<Judged> judge_comparison(const std::string& api, const std::vector<GivenArgument>& arguments,
                                     const ComparedOutputs& outputs, bool known, std::int64_t scratch_bytes) {
    const std::vector<at::Tensor>& first = outputs.of[FUMI_OUTPUT_FIRST];
    if (first.empty()) {
        throw std::runtime_error("the first function returns no tensor");
    }
    KnownReference reference;
    if (known) {
        reference = known_reference(api, arguments, first[0].scalar_type(), scratch_bytes);
    }
    return Judgement(outputs, reference).all();
}

FumiMeasure measure_of(const Judged& judged) {
    constexpr const char* words[] = {"", "pass", "warn", "fail"};
    const Outcome& outcome = judged.outcome;
    FumiMeasure measure{};
    measure.what = judged.what;
    measure.verdict = words[judged.verdict];
    measure.reason = judged.reason.c_str();
    measure.elements = outcome.elements;
    measure.mismatches = outcome.mismatches;
    measure.nonfinite = outcome.nonfinite;
    measure.max_abs_err = outcome.max_abs_err;
    measure.max_rel_err = outcome.max_rel_err;
    measure.rms_rel_err = outcome.rms_rel_err();
    measure.eta = outcome.backward_error;
    measure.bound = outcome.bound;
    measure.kappa = outcome.amplification;
    measure.ratio = std::isnan(outcome.backward_error) ? outcome.backward_error : outcome.worst_ratio;
    measure.symmetric = judged.symmetric;
    measure.sum_value = judged.sum_value;
    measure.sum_reference = judged.sum_reference;
    measure.max_value = judged.max_value;
    measure.max_reference = judged.max_reference;
    return measure;
}

at::Tensor tensor_of(const FumiTensor& tensor) {
    const auto& types = c10::getStringToDtypeMap();
    const auto type = types.find(tensor.dtype);
    if (type == types.end()) {
        throw std::runtime_error(std::string("torch has no type ") + tensor.dtype);
    }
    const auto count = static_cast<std::size_t>(tensor.dimensions);
    const at::Device device{std::string(tensor.device)};
    return at::from_blob(tensor.data, at::IntArrayRef(tensor.sizes, count),
                         at::IntArrayRef(tensor.strides, count),
                         at::TensorOptions().dtype(type->second).device(device));
}

}  // namespace fumi::mapping
