// Compares the results of an operation with those of its fp64 rerun, and words the verdict. Plain arrays;
// knows no torch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace fumi::mapping {

// A binary format: p bits of precision, the exponent of the smallest normal number, the largest number.
struct NumberFormat {
    const char* name;  // fp32
    int precision;
    int least_exponent;
    double largest;
};

// One result; its numbers are at value, or at fp32 where that is set. allowed: B / u without the rounding of
// the result itself; nullptr: no bound. magnitude: G, in which eta is counted; nullptr: allowed. exact: the
// result must be the reference rounded to `format`.
struct Comparison {
    const double* value = nullptr;
    const float* fp32 = nullptr;
    const double* reference = nullptr;
    const double* allowed = nullptr;
    const double* magnitude = nullptr;
    std::size_t count = 0;
    NumberFormat format{};
    double unit = 0;  // u of the arithmetic
    bool exact = false;
};

// A part of B / u that is known of every element at once: slope G' + offset, G' the larger of |R| and, where
// given and finite, magnitude.
struct CheapBound {
    double slope = 0, offset = 0;
    const float* magnitude = nullptr;
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
    void add(const Outcome& other) noexcept;
    void note_error(double error, double size) noexcept;  // |e| of a number as large as |R|
};

inline constexpr std::size_t block_size = 512;  // elements that are looked at as one first

using Places = std::vector<std::int64_t>;

// Elements [begin, end).
void compare(const Comparison& results, std::size_t begin, std::size_t end, Outcome* outcome) noexcept;

// Elements [begin, end) by a part of the bound; those that it does not cover, and those that are not finite
// as they should be, are left out of the outcome and named in *over.
void compare_cheaply(const Comparison& results, const CheapBound& bound, std::size_t begin, std::size_t end,
                     Outcome* outcome, Places* over);

void widen(const float* from, double* to, std::size_t count) noexcept;

// Whether `count` elements (a multiple of 4) are finite and the reference rounded to their type.
bool same_numbers(const Comparison& results, std::size_t begin, std::size_t count) noexcept;

// The elements at `places` by the whole bound. picked: its arrays have those alone, in the same order.
void compare_at(const Comparison& results, const Places& places, bool picked, Outcome* outcome) noexcept;

// FUMI_VERDICT_* and one sentence. words: the bound's own, such as "4 u (|y| + sum |x dy/dx|)"; "": no bound.
std::int32_t judge(const Outcome& outcome, const std::string& words, bool exact, std::string* reason);

}  // namespace fumi::mapping
