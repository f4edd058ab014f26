// Rates with their 95% limits.
#pragma once
#include <string>

namespace fumi::bench {

// Clopper and Pearson's limits: each end is beyond the true rate in at most 2.5% of cases.
double rate_limit(int count, int trials, bool upper);
std::string rate_text(int count, int trials);  // "98.5 (97.1-99.3)", per cent

}  // namespace fumi::bench
