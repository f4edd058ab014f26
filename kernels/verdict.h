// From what the check kernels counted to what is said about the call (docs/numerics.md, sections 1 and 2).
// Host code.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/contract.h"
#include "kernels/error_stats.h"
#include "kernels/gemm_problem.h"

namespace fumi {

// Values are those of session::Verdict.
enum class Judgement : std::int32_t { pass = 1, warn = 2, fail = 3 };

// Measures that do not apply are NaN. The fields are those of session::CheckRecord.
struct Assessment {
    Judgement verdict = Judgement::pass;
    std::string reason;  // one sentence
    std::int64_t elements = 0, mismatches = 0, nonfinite = 0;
    double max_abs_err, max_rel_err, rms_rel_err;
    double backward_error;  // |e| / (u G) of the element nearest to its bound
    double bound;           // B / (u G) at the element of the largest |e| / B
    double ratio;           // the largest |e| / B: above 1 is a fail
    double effective_bits;  // NaN where too few elements are usable
    double kappa;           // typical amplification: sum G / sum |R|
    double max_kappa;       // the worst element's
    std::int64_t launches = 1;
    Assessment();
};

// The stats of two parts of a check, or of two runs of it, as one.
void merge_stats(ErrorStats& into, const ErrorStats& from) noexcept;

Assessment assess(const ErrorStats& stats, const Contract& contract, const GemmProblem& problem);
// The same with the worst element already named.
Assessment assess(const ErrorStats& stats, const Contract& contract, const std::string& worst_element);

// The significand bits that the inputs would have to be rounded to for an error of this size: -log2( r /
// (0.4247 sqrt 2) ) with r^2 the variance of e / sqrt(Q), less its regression on z and s (truncation of sums
// and inputs) and less what a legal accumulation and the output's rounding explain. At most the bits of the
// output type, which is what a legal kernel gets. NaN under 8 usable elements and for integers.
double effective_bits(const ErrorStats& stats, DataType output) noexcept;

}  // namespace fumi
