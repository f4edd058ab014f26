#include "tests/bench/detection_rates.h"

#include <fmt/format.h>

#include <cmath>

namespace fumi::bench {
namespace {

double tail(int count, int trials, double p) {  // P(X <= count)
    double sum = 0;
    for (int i = 0; i <= count; ++i)
        sum += std::exp(std::lgamma(trials + 1.0) - std::lgamma(i + 1.0) - std::lgamma(trials - i + 1.0) +
                        i * std::log(p) + (trials - i) * std::log1p(-p));
    return sum;
}

}  // namespace

double rate_limit(int count, int trials, bool upper) {
    if (upper ? count == trials : count == 0) return upper ? 1 : 0;
    double low = 1e-12, high = 1 - 1e-12;
    for (int step = 0; step < 60; ++step) {
        const double p = (low + high) / 2;
        const bool right = upper ? tail(count, trials, p) > 0.025 : 1 - tail(count - 1, trials, p) < 0.025;
        (right ? low : high) = p;
    }
    return low;
}

std::string rate_text(int count, int trials) {
    const auto percent = [](double rate) { return fmt::format("{:.3g}", 100 * rate); };
    return percent(static_cast<double>(count) / trials) + " (" + percent(rate_limit(count, trials, false)) +
           "-" + percent(rate_limit(count, trials, true)) + ")";
}

}  // namespace fumi::bench
