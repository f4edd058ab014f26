#include "kernels/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host_target.h"

namespace fumi {
namespace {

// Eta of the element that lies nearest to (or furthest over) its own bound, so that eta / bound is the ratio
// judged. The largest eta of all can belong to another element: where the output is rounded, bounds differ
// from element to element.
double worst_eta(const ErrorStats& stats) noexcept {
    const double eta = stats.max_ratio * stats.bound_at_max;
    return std::isfinite(eta) && eta > 0 ? eta : stats.max_eta;
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// rms of the relative error of rounding to p bits, in units of 2^-p, over numbers with a uniform significand.
constexpr double kRoundingRms = 0.4247;
constexpr std::uint64_t kFewestForBits = 8;
constexpr std::uint64_t kFewestForPrecisionWarning = 64;
// A residual whose variance is this many times what accumulation and output rounding explain is a lower
// precision: two bits. (measured) legal kernels stay below 2, bf16x3 passed off as fp32 is at 14 or more for
// K <= 4096.
constexpr double kPrecisionWarning = 12;

// What is left of e after its regression on s and z. The slope on z is the bias of truncating sums, the slope
// on s that of truncating inputs: cutting the inputs to p bits makes every product smaller by 1.44 * 2^-p on
// average.
double residual_variance(const ErrorStats& stats) noexcept {
    double explained = 0, freedom = static_cast<double>(stats.bits_elements), szz = stats.szz,
           sez = stats.sez;
    const auto remove = [&](double product, double square) {
        explained += product * product / square;
        freedom -= freedom > 2 ? 1 : 0;
    };
    if (stats.sss > 0) {
        remove(stats.ses, stats.sss);
        szz -= stats.szs * stats.szs / stats.sss;
        sez -= stats.szs * stats.ses / stats.sss;
    }
    // Where z is a multiple of s (K = 1), nothing of it is left but rounding errors.
    if (szz > 1e-10 * stats.szz) remove(sez, szz);
    return std::max(0.0, stats.see - explained) / freedom;
}

std::string element_name(const ErrorStats& stats, const GemmProblem& problem) {
    const std::int64_t in_matrix = problem.m * problem.n;
    if (in_matrix <= 0 || stats.worst_index < 0) return "an element";
    const std::int64_t batch = stats.worst_index / in_matrix, rest = stats.worst_index % in_matrix;
    std::string name = fmt::format("row {}, column {}", rest % problem.m, rest / problem.m);
    if (problem.batch > 1) name += fmt::format(", batch {}", batch);
    return name;
}

// Is a breach of B no more than what partial sums stored in the output type may add?
bool explained_by_reduction(const ErrorStats& stats, const Contract& contract) {
    if (contract.reduction_error <= 0 || stats.nonfinite_unexpected > 0 || stats.aux_mismatches > 0)
        return false;
    const double allowed = stats.bound_at_max + contract.reduction_error / contract.bound.u;
    return stats.max_ratio * stats.bound_at_max <= allowed && stats.max_eta <= allowed;
}

// An error within B that no order of rounding explains counts, where all other errors are of the size that
// the model of rounding expects (legal kernels: 0.5 to 1 of it).
bool shows_unlikely(const ErrorStats& stats) noexcept {
    constexpr double as_expected = 2;
    return stats.unlikely_ratio > 1 && stats.max_ratio <= 1 && stats.nonfinite_unexpected == 0 &&
           stats.see - stats.unlikely_share <= as_expected * stats.sum_floor;
}

// The unlikely element as the worst: its bound is what rounding gives.
ErrorStats with_unlikely_worst(ErrorStats stats) noexcept {
    stats.max_ratio = stats.unlikely_ratio;
    stats.bound_at_max = stats.unlikely_eta / stats.unlikely_ratio;
    stats.worst_index = stats.unlikely_index;
    stats.worst_value = stats.unlikely_value;
    stats.worst_reference = stats.unlikely_reference;
    stats.mismatches = 1;
    return stats;
}

std::string unlikely_reason(const ErrorStats& stats, const Contract& contract, const std::string& where) {
    return fmt::format(
        "{} is {:.9g} where the reference is {:.9g}: {:.3g} times what rounding in {} gives in any order "
        "tried (8 "
        "standard deviations; eta {:.3g} u): a fault of the kernel, not of the data",
        where, stats.worst_value, stats.worst_reference, stats.max_ratio, contract.name, worst_eta(stats));
}

std::string breach(const ErrorStats& stats, const Contract& contract, const std::string& where) {
    if (stats.nonfinite_unexpected > 0 && std::isinf(stats.max_ratio)) {
        return fmt::format(
            "{} is {} where the reference is {:.9g} ({} such elements): a fault of the kernel, not of the "
            "data",
            where, stats.worst_value, stats.worst_reference, stats.nonfinite_unexpected);
    }
    if (contract.bound.exact != 0) {
        return fmt::format(
            "{} is {:.0f} where {:.0f} is exact ({} of {} elements differ): a fault of the kernel, not of "
            "the data",
            where, stats.worst_value, stats.worst_reference, stats.mismatches, stats.elements);
    }
    const char* output = stats.aux_mismatches > 0 ? " (auxiliary output counted)" : "";
    return fmt::format(
        "{} is {:.9g} where the reference is {:.9g}: {:.3g} times the error that {} allows ({} of {} "
        "elements over{}; eta "
        "{:.3g} u): a fault of the kernel, not of the data",
        where, stats.worst_value, stats.worst_reference, stats.max_ratio, contract.name, stats.mismatches,
        stats.elements, output, worst_eta(stats));
}

std::string within(const ErrorStats& stats, const Contract& contract) {
    const char* cause =
        stats.nonfinite_inputs > 0 ? "as the inputs were not" : "they left the range of their type";
    if (stats.elements == 0)
        return stats.nonfinite > 0
                   ? fmt::format("no element is finite ({} of them): {}", stats.nonfinite, cause)
                   : fmt::format("no element could be compared ({} of them): their references are not finite",
                                 stats.nonfinite_reference);
    if (contract.bound.exact != 0) return fmt::format("equal to the exact result ({})", contract.name);
    std::string text = fmt::format("within {}: eta {:.3g} u, at most {:.3g} of the bound", contract.name,
                                   worst_eta(stats), stats.max_ratio);
    if (stats.max_rel_err > 1000 * contract.bound.u && stats.max_kappa > 100) {
        text += fmt::format("; relative errors up to {:.2g} come from the data (kappa up to {:.2g})",
                            stats.max_rel_err, stats.max_kappa);
    }
    if (stats.nonfinite > 0) text += fmt::format("; {} elements are not finite: {}", stats.nonfinite, cause);
    return text;
}

// Direct sums that round to nearest, and inputs that nothing converts: then the residual tells a lower
// precision.
bool precision_is_below(const ErrorStats& stats, const Contract& contract) {
    const bool telling = contract.direct && contract.bound.beta_t == 0 && !contract.inputs_converted &&
                         contract.bound.exact == 0 &&
                         precision_bits(contract.output) >= contract.bound.accumulator_bits;
    if (!telling || stats.bits_elements < kFewestForPrecisionWarning || stats.sum_floor <= 0) return false;
    return residual_variance(stats) >
           kPrecisionWarning * stats.sum_floor / static_cast<double>(stats.bits_elements);
}

void judge(Assessment& a, const ErrorStats& stats, const Contract& contract, const std::string& where) {
    const bool broken = stats.nonfinite_unexpected > 0 || stats.max_ratio > 1;
    if (broken && explained_by_reduction(stats, contract)) {
        a.verdict = Judgement::warn;
        a.reason = fmt::format(
            "eta {:.3g} u: more than {} allows, and what partial sums in {} explain (reduced-precision "
            "reduction is allowed "
            "for this call)",
            worst_eta(stats), contract.name, type_name(contract.output));
    } else if (broken) {
        a.verdict =
            contract.componentwise || stats.nonfinite_unexpected > 0 ? Judgement::fail : Judgement::warn;
        a.reason = breach(stats, contract, where);
    } else if (stats.elements == 0 && stats.nonfinite_reference == 0) {
        a.verdict = Judgement::warn;
        a.reason = "no element was compared";
    } else if (precision_is_below(stats, contract)) {
        a.verdict = Judgement::warn;
        a.reason = fmt::format(
            "within the bound, but with about {:.1f} effective bits: lower than {} gives on such data",
            a.effective_bits, contract.name);
    } else {
        a.verdict = Judgement::pass;
        a.reason = within(stats, contract);
    }
}

}  // namespace

void merge_stats(ErrorStats& into, const ErrorStats& from) noexcept {
    baseline::host_bodies().merge(into, from);
}

Assessment::Assessment()
    : max_abs_err(kNaN),
      max_rel_err(kNaN),
      rms_rel_err(kNaN),
      backward_error(kNaN),
      bound(kNaN),
      ratio(kNaN),
      effective_bits(kNaN),
      kappa(kNaN),
      max_kappa(kNaN) {}

double effective_bits(const ErrorStats& stats, DataType output) noexcept {
    const int most = precision_bits(output);
    if (stats.bits_elements < kFewestForBits || most == 0) return kNaN;
    // What a legal accumulation and the output's rounding explain is not a lack of precision of the products.
    const double variance =
        residual_variance(stats) - stats.sum_floor / static_cast<double>(stats.bits_elements);
    if (!(variance > 0)) return most;
    const double bits = -std::log2(std::sqrt(variance) / (kRoundingRms * std::sqrt(2.0)));
    return std::clamp(bits, 0.0, static_cast<double>(most));
}

Assessment assess(const ErrorStats& stats, const Contract& contract, const GemmProblem& problem) {
    if (!shows_unlikely(stats)) return assess(stats, contract, element_name(stats, problem));
    const ErrorStats worst = with_unlikely_worst(stats);
    const std::string where = element_name(worst, problem);
    Assessment a = assess(worst, contract, where);
    a.reason = unlikely_reason(worst, contract, where);
    return a;
}

Assessment assess(const ErrorStats& stats, const Contract& contract, const std::string& worst_element) {
    Assessment a;
    a.elements = static_cast<std::int64_t>(stats.elements);
    a.mismatches = static_cast<std::int64_t>(stats.mismatches);
    a.nonfinite = static_cast<std::int64_t>(stats.nonfinite);
    a.launches = static_cast<std::int64_t>(stats.launches);
    if (stats.elements > 0) {
        a.max_abs_err = stats.max_abs_err;
        a.backward_error = worst_eta(stats);
        a.bound = stats.bound_at_max;
        if (stats.sum_abs_r > 0) a.kappa = stats.sum_g / stats.sum_abs_r;
    }
    if (stats.rel_elements > 0) {
        a.max_rel_err = stats.max_rel_err;
        a.rms_rel_err = std::sqrt(stats.sum_rel_err2 / static_cast<double>(stats.rel_elements));
        a.max_kappa = stats.max_kappa;
    }
    a.ratio = stats.max_ratio;
    a.effective_bits = effective_bits(stats, contract.output);
    judge(a, stats, contract, worst_element);
    return a;
}

}  // namespace fumi
