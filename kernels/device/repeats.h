// The second look at an element over its bound (docs/numerics.md, section 3): data whose rounding errors do
// not walk at random. Those of equal products are equal, and add up.
#pragma once
#include "kernels/device/numbers.h"

namespace fumi::FUMI_TARGET {

inline constexpr int kKeysAtOnce = 8;  // compared in registers
// Enough for 2 sqrt(K) of a K of 2^18; the pairs among 2 sqrt(K) are about as many as 2 K.
inline constexpr std::int64_t kFewestLookedAt = 64, kMostLookedAt = 1024;

// How many of the pairs among `count` keys are equal, each counted weight(i, j). key(i) is NaN where it
// equals nothing.
template <class Key, class Weight>
FUMI_DEVICE double equal_pairs(int count, const Key& key, const Weight& weight) {
    double total = 0;
    for (int first = 0; first < count; first += kKeysAtOnce) {
        double mine[kKeysAtOnce];
        FUMI_UNROLL
        for (int i = 0; i < kKeysAtOnce; ++i) mine[i] = first + i < count ? key(first + i) : NAN;
        for (int j = first + 1; j < count; ++j) {
            const double other = key(j);
            unsigned equal = 0;
            FUMI_UNROLL
            for (int i = 0; i < kKeysAtOnce; ++i) equal |= mine[i] == other ? 1U << i : 0U;
            for (int i = 0; equal >> i != 0; ++i)
                if ((equal >> i & 1) != 0 && first + i < j) total += weight(first + i, j);
        }
    }
    return total;
}

// Which products of K are looked at: all of a few, a random choice of many. The same for every element.
struct ProductChoice {
    std::int64_t k;
    int count;
    FUMI_DEVICE explicit ProductChoice(std::int64_t products) : k(products) {
        const auto wanted = static_cast<std::int64_t>(2 * sqrt(static_cast<double>(products)));
        const std::int64_t most = wanted < kFewestLookedAt ? kFewestLookedAt : wanted;
        const std::int64_t fitting = most < kMostLookedAt ? most : kMostLookedAt;
        count = static_cast<int>(fitting < products ? fitting : products);
    }
    FUMI_DEVICE std::int64_t at(int i) const {
        if (count == k) return i;
        return static_cast<std::int64_t>(hash(0, static_cast<std::uint64_t>(i)) %
                                         static_cast<std::uint64_t>(k));
    }
    // (sum r_i^2) / K, r_i how often the product i occurs, from how many pairs of those looked at are equal:
    // two standard deviations on the safe side.
    FUMI_DEVICE double multiplicity_of(double equal) const {
        const double pairs = 0.5 * count * (count - 1.0);
        if (count < k) equal += 2 * sqrt(equal);
        return count < 2 ? 1.0 : 1 + static_cast<double>(k - 1) * fmin(equal / pairs, 1.0);
    }
};

// The spacing of the accumulator's numbers at the largest sum that products of the magnitude g can have.
FUMI_DEVICE double sum_spacing(int accumulator_bits, double g) {
    return 2 * half_ulp(Format{accumulator_bits, -1022, INFINITY, INFINITY, false}, g);
}

// One number for a product, the same for the same products. NaN for one that no sum rounds: 0, and multiples
// of `spacing`.
FUMI_DEVICE double product_key(const Complex& p, double spacing) {
    const double re = p.re / spacing, im = p.im / spacing;
    return re == rint(re) && im == rint(im) ? NAN : p.re + 0.61803398874989485 * p.im;
}

// (sum r_i^2) / K: 1 where all products are distinct, K where all are equal.
template <class Product>
FUMI_DEVICE_CALL double multiplicity(std::int64_t k, double spacing, const Product& product) {
    const ProductChoice choice(k);
    return choice.multiplicity_of(equal_pairs(
        choice.count, [&](int i) { return product_key(product(choice.at(i)), spacing); },
        [&](int i, int j) { return choice.at(i) != choice.at(j) ? 1.0 : 0.0; }));
}

// The significand cut to p bits: to nearest even, or towards zero. Exponents are not limited.
FUMI_DEVICE double quantised(double x, int p, bool truncate) {
    const int drop = 53 - p;
    if (drop == 0) return x;
    std::uint64_t raw = bits_of<std::uint64_t>(x);
    if (!truncate) raw += ((std::uint64_t{1} << (drop - 1)) - 1) + ((raw >> drop) & 1);
    return bits_of<double>(raw & ~((std::uint64_t{1} << drop) - 1));
}

// One chain of sums of so many bits, and how far it strays: the sum over 16 parts of K of each part's error,
// so that parts do not make up for one another as they happen to do in this order.
class ChainReplay {
  public:
    FUMI_DEVICE ChainReplay(std::int64_t k, int bits) : part_((k + 15) / 16), bits_(bits) {}
    FUMI_DEVICE void add(std::int64_t index, double product) {
        const Wide exact = two_sum(sum_, product);
        sum_ = quantised(exact.hi, bits_, false);
        error_ += (sum_ - exact.hi) - exact.lo;
        if ((index + 1) % part_ != 0) return;
        strayed_ += fabs(error_);
        error_ = 0;
    }
    FUMI_DEVICE double strayed() const { return strayed_ + fabs(error_); }

  private:
    std::int64_t part_;
    int bits_;
    double sum_ = 0, error_ = 0, strayed_ = 0;
};

template <class Product>
FUMI_DEVICE_CALL double replayed_error(std::int64_t k, int bits, const Product& product) {
    ChainReplay re(k, bits), im(k, bits);
    for (std::int64_t i = 0; i < k; ++i) {
        const Complex p = product(i);
        re.add(i, p.re);
        im.add(i, p.im);
    }
    return fmax(re.strayed(), im.strayed());
}

}  // namespace fumi::FUMI_TARGET
