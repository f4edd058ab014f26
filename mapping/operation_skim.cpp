// The first look at all elements of a result: a block at a time by a part of the bound that needs no array,
// element by element only where the block has something to tell.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "mapping/operation_judge.h"

namespace fumi::mapping {
namespace {

constexpr std::size_t lanes = 4;
// GCC's vectors: of 4 numbers in one register with AVX2, in two without.
typedef double Numbers __attribute__((vector_size(lanes * sizeof(double))));
typedef std::int64_t Bits __attribute__((vector_size(lanes * sizeof(double))));

// What the bound is made of: (slope u) G' + rest + half an ulp of R.
struct Terms {
    double slope, rest, half_ulp, smallest;
    double ratio_so_far = 0;  // the largest |e| / bound of the blocks before
};

// Of a block; ratio: the largest of it and of those before.
struct Found {
    double error = 0, relative = 0, squares = 0, ratio = 0;
    bool odd = false;  // an element that is not finite
};

template <class Value>
__attribute__((always_inline)) inline Numbers load(const Value* from) noexcept {
    Numbers numbers;
    if constexpr (sizeof(Value) == sizeof(double)) {
        std::memcpy(&numbers, from, sizeof numbers);
    } else {
        typedef float Narrow __attribute__((vector_size(lanes * sizeof(float))));
        Narrow narrow;
        std::memcpy(&narrow, from, sizeof narrow);
        numbers = __builtin_convertvector(narrow, Numbers);
    }
    return numbers;
}

__attribute__((always_inline)) inline Numbers masked(Numbers x, std::int64_t mask) noexcept {
    return reinterpret_cast<Numbers>(reinterpret_cast<Bits>(x) & mask);
}

__attribute__((always_inline)) inline bool any(Bits mask) noexcept {
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
}

constexpr std::int64_t sign_off = 0x7fffffffffffffff;
constexpr std::int64_t exponent_alone = 0x7ff0000000000000;

// `count` is a multiple of `lanes`.
template <class Value>
__attribute__((always_inline)) inline Found look(const Value* value, const double* reference,
                                                 const float* magnitude, std::size_t count,
                                                 const Terms& terms) noexcept {
    Numbers error{}, relative{}, squares{};
    Numbers ratio = Numbers{} + terms.ratio_so_far;
    Bits odd{};
    for (std::size_t i = 0; i < count; i += lanes) {
        const Numbers r = load(reference + i);
        const Numbers size = masked(r, sign_off);
        const Numbers e = masked(load(value + i) - r, sign_off);
        Numbers scale = size;
        if (magnitude != nullptr) {
            const Numbers g = load(magnitude + i);
            scale = ((g > size) & (g <= 3e38)) ? g : size;
        }
        Numbers ulp = masked(size, exponent_alone);
        ulp = ulp > terms.smallest ? ulp : Numbers{} + terms.smallest;
        const Numbers bound = terms.slope * scale + terms.rest + terms.half_ulp * ulp;
        const Numbers its_relative = size > 1e-290 ? e / size : Numbers{};
        // Divided only where it is larger than those before: divisions are most of what this costs.
        const Bits larger = e > ratio * bound;
        if (any(larger)) {
            ratio = larger ? e / bound : ratio;
        }
        odd |= ~(e <= std::numeric_limits<double>::max());
        error = e > error ? e : error;
        relative = its_relative > relative ? its_relative : relative;
        squares += its_relative * its_relative;
    }
    Found found;
    for (std::size_t j = 0; j < lanes; ++j) {
        found.error = std::max(found.error, error[j]);
        found.relative = std::max(found.relative, relative[j]);
        found.squares += squares[j];
        found.ratio = std::max(found.ratio, ratio[j]);
        found.odd = found.odd || odd[j] != 0;
    }
    return found;
}

template <class Value>
using Look = Found (*)(const Value*, const double*, const float*, std::size_t, const Terms&);

template <class Value>
__attribute__((target("avx2"))) Found look_avx2(const Value* value, const double* reference,
                                                const float* magnitude, std::size_t count,
                                                const Terms& terms) noexcept {
    return look(value, reference, magnitude, count, terms);
}

template <class Value>
Found look_plain(const Value* value, const double* reference, const float* magnitude, std::size_t count,
                 const Terms& terms) noexcept {
    return look(value, reference, magnitude, count, terms);
}

class Skim {
  public:
    Skim(const Comparison& results, const CheapBound& bound, Outcome* outcome, Places* over)
        : results_(results),
          bound_(bound),
          // Subnormal numbers may be flushed to zero.
          terms_{results.unit * bound.slope,
                 results.unit * bound.offset + std::ldexp(1.0, results.format.least_exponent),
                 std::ldexp(1.0, -results.format.precision), std::ldexp(1.0, results.format.least_exponent)},
          outcome_(outcome),
          over_(over) {}

    template <class Value>
    void run(const Value* value, std::size_t begin, std::size_t end) {
        static const Look<Value> look_at =
            __builtin_cpu_supports("avx2") != 0 ? look_avx2<Value> : look_plain<Value>;
        for (std::size_t i = begin; i < end; i += block_size) {
            const std::size_t count = std::min(block_size, end - i);
            const std::size_t whole = count - count % lanes;
            const float* const magnitude = bound_.magnitude != nullptr ? bound_.magnitude + i : nullptr;
            terms_.ratio_so_far = std::max(0.0, outcome_->worst_ratio);
            const Found found = look_at(value + i, results_.reference + i, magnitude, whole, terms_);
            if (found.odd || found.ratio > 1) {
                one_by_one(value, i, i + whole);
            } else {
                take(value, found, i, whole);
            }
            one_by_one(value, i + whole, i + count);
        }
    }

  private:
    struct Element {
        double error, scale, bound;
    };

    Element element(std::size_t i, double value) const noexcept {
        const double size = std::fabs(results_.reference[i]);
        const double other = bound_.magnitude != nullptr ? static_cast<double>(bound_.magnitude[i]) : 0;
        std::int64_t bits = 0;
        std::memcpy(&bits, &size, sizeof bits);
        bits &= exponent_alone;
        double ulp = 0;
        std::memcpy(&ulp, &bits, sizeof ulp);
        const double scale = other > size && other <= 3e38 ? other : size;
        return {std::fabs(value - results_.reference[i]), scale,
                terms_.slope * scale + terms_.rest + terms_.half_ulp * std::max(ulp, terms_.smallest)};
    }

    // A block without anything to tell but its measures.
    template <class Value>
    void take(const Value* value, const Found& found, std::size_t begin, std::size_t count) noexcept {
        outcome_->elements += static_cast<std::int64_t>(count);
        outcome_->max_abs_err = std::max(outcome_->max_abs_err, found.error);
        outcome_->max_rel_err = std::max(outcome_->max_rel_err, found.relative);
        outcome_->sum_of_squares += found.squares;
        if (found.ratio > outcome_->worst_ratio) {
            for (std::size_t i = begin; i < begin + count; ++i) {
                const auto here = static_cast<double>(value[i]);
                note(i, here, element(i, here));
            }
        }
    }

    void note(std::size_t i, double value, const Element& element) noexcept {
        if (element.error <= outcome_->worst_ratio * element.bound) {
            return;
        }
        outcome_->worst = static_cast<std::int64_t>(i);
        outcome_->worst_value = value;
        outcome_->worst_reference = results_.reference[i];
        outcome_->worst_ratio = element.error / element.bound;
        if (element.scale > 0) {
            outcome_->backward_error = element.error / (results_.unit * element.scale);
            outcome_->bound = element.bound / (results_.unit * element.scale);
        }
    }

    template <class Value>
    void one_by_one(const Value* value, std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            const auto here = static_cast<double>(value[i]);
            const Element found = element(i, here);
            if (!(found.error <= found.bound)) {
                over_->push_back(static_cast<std::int64_t>(i));
                continue;
            }
            ++outcome_->elements;
            outcome_->note_error(found.error, std::fabs(results_.reference[i]));
            note(i, here, found);
        }
    }

    const Comparison& results_;
    const CheapBound& bound_;
    Terms terms_;
    Outcome* outcome_;
    Places* over_;
};

// Of a multiple of `lanes`: whether all are finite and the reference rounded to their type.
template <class Value>
__attribute__((always_inline)) inline bool same(const Value* value, const double* reference,
                                                std::size_t count) noexcept {
    typedef Value Narrow __attribute__((vector_size(lanes * sizeof(Value))));
    // inf - inf is no number, and a sum with a difference in it is not 0.
    Numbers others{};
    for (std::size_t i = 0; i < count; i += lanes) {
        const Numbers rounded =
            __builtin_convertvector(__builtin_convertvector(load(reference + i), Narrow), Numbers);
        const Numbers here = load(value + i);
        others += masked(here - rounded, sign_off);
    }
    return others[0] + others[1] + others[2] + others[3] == 0;
}

__attribute__((always_inline)) inline void widen_all(const float* from, double* to,
                                                     std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; i += lanes) {
        const Numbers numbers = load(from + i);
        std::memcpy(to + i, &numbers, sizeof numbers);
    }
}

__attribute__((target("avx2"))) void widen_avx2(const float* from, double* to, std::size_t count) noexcept {
    widen_all(from, to, count);
}

void widen_plain(const float* from, double* to, std::size_t count) noexcept {
    widen_all(from, to, count);
}

template <class Value>
using Same = bool (*)(const Value*, const double*, std::size_t);

template <class Value>
__attribute__((target("avx2"))) bool same_avx2(const Value* value, const double* reference,
                                               std::size_t count) noexcept {
    return same(value, reference, count);
}

template <class Value>
bool same_plain(const Value* value, const double* reference, std::size_t count) noexcept {
    return same(value, reference, count);
}

template <class Value>
bool all_the_same(const Value* value, const double* reference, std::size_t count) noexcept {
    static const Same<Value> same_at =
        __builtin_cpu_supports("avx2") != 0 ? same_avx2<Value> : same_plain<Value>;
    return same_at(value, reference, count);
}

}  // namespace

void compare_cheaply(const Comparison& results, const CheapBound& bound, std::size_t begin, std::size_t end,
                     Outcome* outcome, Places* over) {
    Skim skim(results, bound, outcome, over);
    if (results.fp32 != nullptr) {
        skim.run(results.fp32, begin, end);
    } else {
        skim.run(results.value, begin, end);
    }
}

void widen(const float* from, double* to, std::size_t count) noexcept {
    const std::size_t whole = count / lanes * lanes;
    (__builtin_cpu_supports("avx2") != 0 ? widen_avx2 : widen_plain)(from, to, whole);
    for (std::size_t i = whole; i < count; ++i) {
        to[i] = static_cast<double>(from[i]);
    }
}

bool same_numbers(const Comparison& results, std::size_t begin, std::size_t count) noexcept {
    return results.fp32 != nullptr ? all_the_same(results.fp32 + begin, results.reference + begin, count)
                                   : all_the_same(results.value + begin, results.reference + begin, count);
}

}  // namespace fumi::mapping
