// Rules that call a result wrong: FuMi's, and those of others on the same numbers (docs/numerics.md, section
// 9).
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/contract.h"

namespace fumi::bench {

// A square product with everything that a rule may look at. Row-major.
struct Product {
    std::int64_t size = 0;
    DataType type = DataType::f32;
    Contract contract;
    std::vector<float> a, b;
    std::vector<float> c;               // as a legal kernel gave it
    std::vector<double> r, g, q;        // exact result, |A||B|, (A o A)(B o B)
    std::vector<double> bound, sigma2;  // of each element: B, and the variance that a checksum expects
    std::int64_t at(std::int64_t row, std::int64_t column) const { return row * size + column; }
};

// Elements of C that a fault changed.
struct Change {
    std::int64_t index;
    float value;
};

// One element at a time; a call is flagged where more than `allowed` of its elements are.
struct ElementRule {
    const char* name;
    double allowed;
    bool (*flags)(const Product& product, std::int64_t index, double value);
};
inline constexpr int kElementRules = 7;
extern const ElementRule kRules[kElementRules];

// Counts of flagged elements, so that a fault costs what it changed.
class Judge {
  public:
    explicit Judge(const Product& product);
    bool clean_is_flagged(int rule) const { return over(rule, counts_[rule]); }
    bool flags(int rule, const std::vector<Change>& changes) const;
    // FuMi's cheap checks, with fresh signs and a fresh sample each time.
    bool checksum_flags(const std::vector<Change>& changes, int block, std::mt19937_64& g) const;
    bool cross_flags(const std::vector<Change>& changes, std::mt19937_64& g) const;

  private:
    bool over(int rule, std::int64_t count) const;
    const Product& product_;
    std::int64_t counts_[kElementRules] = {};
};

}  // namespace fumi::bench
