// Errors below the bound that rounding does not give either (docs/numerics.md, section 3, "Unlikely errors"):
// the noise of a legal sum of given products, in the orders in which kernels add.
#pragma once
#include "kernels/device/repeats.h"

namespace fumi::FUMI_TARGET {

inline constexpr double kUnlikelySigmas = 8;
// Second looks of one thread that found an excuse; where there are so many the test says nothing of the data.
inline constexpr std::uint64_t kMostExcused = 2;

// Product k is added to partial sum (k / chunk) mod parts; the partial sums are then added in turn.
struct SumOrder {
    std::int64_t chunk, parts;
};

// What the roundings of one order come to: their variance where they are independent (each is uniform over
// the spacing of its sum), and what they were on these products, the errors of 16 parts of K without their
// signs.
struct OrderNoise {
    double variance = 0, strayed = 0;
};

class OrderReplay {
  public:
    FUMI_DEVICE OrderReplay(std::int64_t k, int bits) : part_((k + 15) / 16), bits_(bits) {}
    FUMI_DEVICE double add(double sum, double term) {
        const Wide exact = two_sum(sum, term);
        const double rounded = quantised(exact.hi, bits_, false);
        const double half = half_ulp(Format{bits_, -1022, INFINITY, INFINITY, false}, exact.hi);
        noise_.variance += exact.hi == 0 ? 0.0 : half * half / 3;
        error_ += (rounded - exact.hi) - exact.lo;
        if (++added_ % part_ == 0) {
            noise_.strayed += fabs(error_);
            error_ = 0;
        }
        return rounded;
    }
    FUMI_DEVICE OrderNoise noise() const { return {noise_.variance, noise_.strayed + fabs(error_)}; }

  private:
    std::int64_t part_, added_ = 0;
    int bits_;
    OrderNoise noise_;
    double error_ = 0;
};

template <class Product>
FUMI_DEVICE_CALL OrderNoise noise_of(const SumOrder& order, std::int64_t k, int bits,
                                     const Product& product) {
    OrderReplay replay(k, bits);
    double total = 0;
    for (std::int64_t part = 0; part < order.parts; ++part) {
        double sum = 0;
        for (std::int64_t first = part * order.chunk; first < k; first += order.parts * order.chunk)
            for (std::int64_t i = first; i < k && i < first + order.chunk; ++i)
                sum = replay.add(sum, product(i).re);
        total = order.parts > 1 ? replay.add(total, sum) : sum;
    }
    return replay.noise();
}

// One chain, slices of K, and partial sums that take chunks in turn. visit(order): true ends it.
template <class Visit>
FUMI_DEVICE void for_each_order(std::int64_t k, const Visit& visit) {
    if (visit(SumOrder{k, 1})) return;
    for (std::int64_t parts = 2; parts <= 16; parts *= 2)
        if (visit(SumOrder{(k + parts - 1) / parts, parts})) return;
    for (std::int64_t chunk = 1; chunk <= 16; chunk *= 4)
        for (std::int64_t parts = 2; parts * chunk <= 512 && parts * chunk < k; parts *= 2)
            if (visit(SumOrder{chunk, parts})) return;
}

}  // namespace fumi::FUMI_TARGET
