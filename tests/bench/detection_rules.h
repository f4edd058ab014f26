// What others call wrong, on the same numbers (docs/numerics.md, section 9).
#pragma once
#include "tests/bench/detection_faults.h"

namespace fumi::bench {

// One element at a time; a call is flagged where more than `allowed` of its elements are.
struct ElementRule {
    const char* name;
    double allowed;
    bool (*flags)(const Product& product, std::int64_t index, double value);
};
inline constexpr int kElementRules = 6;
extern const ElementRule kRules[kElementRules];

// Counts of flagged elements, so that a fault costs what it changed.
class Judge {
  public:
    explicit Judge(const Product& product);
    bool clean_is_flagged(int rule) const { return over(rule, counts_[rule]); }
    bool flags(int rule, const Changes& changes) const;

  private:
    bool over(int rule, std::int64_t count) const;
    const Product& product_;
    std::int64_t counts_[kElementRules] = {};
};

}  // namespace fumi::bench
