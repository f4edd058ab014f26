#include "mapping/operation_judge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "mapping/operations.h"

namespace fumi::mapping {
namespace {

double spacing(double x, const NumberFormat& format) noexcept {
    const double size = std::fabs(x);
    const int exponent = size > 0 && std::isfinite(size) ? std::ilogb(size) : format.least_exponent;
    return std::ldexp(1.0, std::max(exponent, format.least_exponent) - format.precision + 1);
}

double rounded(double x, const NumberFormat& format) noexcept {
    if (!std::isfinite(x)) {
        return x;
    }
    const double ulp = spacing(x, format);
    const double result = std::nearbyint(x / ulp) * ulp;
    return std::fabs(result) > format.largest ? std::copysign(HUGE_VAL, x) : result;
}

bool same(double a, double b) noexcept {
    return a == b || (std::isnan(a) && std::isnan(b));
}

// What B allows; infinity is legal where the exact result, or a partial result as large as G, leaves the
// format.
bool not_finite_is_right(double value, double reference, double bound, double magnitude,
                         const NumberFormat& format) noexcept {
    if (!std::isfinite(reference)) {
        return same(value, reference);
    }
    return std::fabs(reference) + bound >= format.largest || magnitude >= format.largest;
}

void note_worst(Outcome* outcome, std::size_t index, double value, double reference, double ratio) noexcept {
    outcome->worst = static_cast<std::int64_t>(index);
    outcome->worst_value = value;
    outcome->worst_reference = reference;
    outcome->worst_ratio = ratio;
}

double value_at(const Comparison& results, std::size_t i) noexcept {
    return results.fp32 != nullptr ? static_cast<double>(results.fp32[i]) : results.value[i];
}

// Element i, whose bound is at place `at` of the bound's arrays.
void compare_one(const Comparison& results, std::size_t i, std::size_t at, Outcome* outcome) noexcept {
    const double value = value_at(results, i);
    const double reference = results.reference[i];
    const bool bounded = results.allowed != nullptr;
    const double share = bounded ? results.allowed[at] : 0;
    const double magnitude = results.magnitude != nullptr ? results.magnitude[at] : share;
    double bound = results.exact ? 0 : results.unit * share;
    if (bounded) {
        // Subnormal numbers may be flushed to zero.
        bound += 0.5 * spacing(std::fabs(reference) + bound, results.format) * (1 + 1e-6) +
                 std::ldexp(1.0, results.format.least_exponent);
    }
    if (!std::isfinite(value) || !std::isfinite(reference)) {
        ++outcome->nonfinite;
        const bool right = results.exact
                               ? same(value, rounded(reference, results.format))
                               : not_finite_is_right(value, reference, bound, magnitude, results.format);
        if (!right) {
            ++outcome->unexpected;
            note_worst(outcome, i, value, reference, HUGE_VAL);
        }
        return;
    }
    const double expected = results.exact ? rounded(reference, results.format) : reference;
    const double error = std::fabs(value - expected);
    outcome->note_error(error, std::fabs(expected));
    const double ratio = results.exact ? (error > 0 ? HUGE_VAL : 0) : bounded ? error / bound : error;
    outcome->mismatches += (results.exact || bounded) && ratio > 1 ? 1 : 0;
    if (ratio > outcome->worst_ratio || std::isnan(ratio)) {
        note_worst(outcome, i, value, expected, ratio);
        if (bounded && magnitude > 0) {
            outcome->backward_error = error / (results.unit * magnitude);
            outcome->bound = bound / (results.unit * magnitude);
        }
    }
    if (bounded && magnitude > 0 && reference != 0) {
        const double kappa = magnitude / std::fabs(reference);
        outcome->amplification =
            std::isnan(outcome->amplification) ? kappa : std::max(outcome->amplification, kappa);
    }
}

template <class... Arguments>
std::string text(const char* format, Arguments... arguments) {
    std::array<char, 512> buffer{};
    const int length = std::snprintf(buffer.data(), buffer.size(), format, arguments...);
    return length > 0 ? std::string(buffer.data()) : std::string();
}

}  // namespace

double Outcome::rms_rel_err() const noexcept {
    return elements > 0 ? std::sqrt(sum_of_squares / static_cast<double>(elements)) : 0;
}

void Outcome::note_error(double error, double size) noexcept {
    const double relative = error > 0 ? error / size : 0;
    if (std::isfinite(relative)) {
        max_rel_err = std::max(max_rel_err, relative);
        sum_of_squares += relative * relative;
    }
    max_abs_err = std::max(max_abs_err, error);
}

void Outcome::add(const Outcome& other) noexcept {
    elements += other.elements;
    mismatches += other.mismatches;
    nonfinite += other.nonfinite;
    unexpected += other.unexpected;
    max_abs_err = std::max(max_abs_err, other.max_abs_err);
    max_rel_err = std::max(max_rel_err, other.max_rel_err);
    sum_of_squares += other.sum_of_squares;
    amplification = std::fmax(amplification, other.amplification);
    if (other.worst >= 0 && (other.worst_ratio > worst_ratio || std::isnan(other.worst_ratio))) {
        worst = other.worst;
        worst_value = other.worst_value;
        worst_reference = other.worst_reference;
        worst_ratio = other.worst_ratio;
        backward_error = other.backward_error;
        bound = other.bound;
    }
}

void compare(const Comparison& results, std::size_t begin, std::size_t end, Outcome* outcome) noexcept {
    for (std::size_t i = begin; i < end; i += block_size) {
        const std::size_t count = std::min(block_size, end - i);
        const std::size_t whole = results.exact ? count / 4 * 4 : 0;
        const std::size_t done = same_numbers(results, i, whole) ? whole : 0;
        for (std::size_t k = done; k < count; ++k) {
            compare_one(results, i + k, i + k, outcome);
        }
        outcome->elements += static_cast<std::int64_t>(count);
    }
}

void compare_at(const Comparison& results, const Places& places, bool picked, Outcome* outcome) noexcept {
    for (std::size_t k = 0; k < places.size(); ++k) {
        const auto i = static_cast<std::size_t>(places[k]);
        compare_one(results, i, picked ? k : i, outcome);
    }
    outcome->elements += static_cast<std::int64_t>(places.size());
}

std::int32_t judge(const Outcome& outcome, const std::string& words, bool exact, std::string* reason) {
    const auto where = [&outcome] {
        return text("element %lld is %.9g where the reference is %.9g", static_cast<long long>(outcome.worst),
                    outcome.worst_value, outcome.worst_reference);
    };
    if (outcome.unexpected > 0) {
        *reason = where() + text(" (%lld elements): not finite where it should be, or the other way round",
                                 static_cast<long long>(outcome.unexpected));
        return FUMI_VERDICT_FAIL;
    }
    if (outcome.mismatches > 0) {
        const auto over = static_cast<long long>(outcome.mismatches);
        const auto all = static_cast<long long>(outcome.elements);
        *reason =
            exact ? where() +
                        text(", and the operation rounds nothing (%lld of %lld elements differ)", over, all)
                  : where() +
                        text(": %.3g times the error that %s allows (%lld of %lld elements over; eta %.3g u)",
                             outcome.worst_ratio, words.c_str(), over, all, outcome.backward_error);
        return FUMI_VERDICT_FAIL;
    }
    if (exact) {
        *reason = "the same numbers as in fp64: the operation rounds nothing";
        return FUMI_VERDICT_PASS;
    }
    if (words.empty()) {
        *reason = text("no bound for this operation: largest error %.3g, relative %.3g", outcome.max_abs_err,
                       outcome.max_rel_err);
        if (outcome.max_abs_err > 0) {
            *reason += "; " + where();
        }
        return FUMI_VERDICT_NONE;
    }
    *reason = text("within %.2g of the bound %s", std::max(outcome.worst_ratio, 0.0), words.c_str());
    return FUMI_VERDICT_PASS;
}

}  // namespace fumi::mapping
