// Compares the results of an operation with those of its fp64 rerun, and words the verdict. Plain arrays;
// knows no torch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace fumi::mapping {

// A binary format: p bits of precision, the exponent of the smallest normal number, the largest number.
struct NumberFormat {
    const char* name;  // fp32
    int precision;
    int least_exponent;
    double largest;
};

// One result. allowed: B / u without the rounding of the result itself; nullptr: no bound. magnitude: G, in
// which eta is counted; nullptr: allowed. exact: the result must be the reference rounded to `format`.
struct Comparison {
    const double* value = nullptr;
    const double* reference = nullptr;
    const double* allowed = nullptr;
    const double* magnitude = nullptr;
    std::size_t count = 0;
    NumberFormat format{};
    double unit = 0;  // u of the arithmetic
    bool exact = false;
};

struct Outcome {
    std::int64_t elements = 0, mismatches = 0, nonfinite = 0;
    std::int64_t unexpected = 0;  // not finite where the reference is, or the other way round
    std::int64_t worst = -1;      // the element nearest to its bound; without one that of the largest error
    double worst_value = 0, worst_reference = 0, worst_ratio = -1;
    double max_abs_err = 0, max_rel_err = 0, sum_of_squares = 0;
    double backward_error = std::numeric_limits<double>::quiet_NaN();
    double bound = std::numeric_limits<double>::quiet_NaN();
    double amplification = std::numeric_limits<double>::quiet_NaN();
    double rms_rel_err() const noexcept;
};

void compare(const Comparison& results, Outcome* outcome) noexcept;

// FUMI_VERDICT_* and one sentence. words: the bound's own, such as "4 u (|y| + sum |x dy/dx|)"; "": no bound.
std::int32_t judge(const Outcome& outcome, const std::string& words, bool exact, std::string* reason);

}  // namespace fumi::mapping
