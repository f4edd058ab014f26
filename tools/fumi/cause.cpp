#include "tools/fumi/cause.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/fumi/text.h"

namespace fumi::tool {

using session::CheckRecord;
using session::Verdict;

namespace {

const CheckRecord* of_mode(const std::vector<CheckRecord>& checks, const char* mode) {
    const auto found = std::find_if(checks.begin(), checks.end(),
                                    [mode](const CheckRecord& check) { return check.mode == mode; });
    return found == checks.end() ? nullptr : &*found;
}

Verdict worst_of_kernel(const std::vector<CheckRecord>& checks) {
    Verdict worst = Verdict::none;
    for (const CheckRecord& check : checks)
        if (check.mode != "add_noise" && check.mode != "thresholds") worst = std::max(worst, check.verdict);
    return worst;
}

// What is known of the data: " (kappa up to 3e+06; their rounding amplified 2.1e+04 times, 1.3 digits left)".
std::string of_data(const CheckRecord* noise, const CheckRecord* exact) {
    std::string facts;
    if (exact != nullptr && !std::isnan(exact->amplification))
        facts = fmt::format("kappa up to {}", number(exact->amplification));
    if (noise != nullptr && !std::isnan(noise->amplification))
        facts +=
            fmt::format("{}noise of the inputs' rounding amplified {} times, {:.1f} digits left",
                        facts.empty() ? "" : "; ", number(noise->amplification), noise->significant_digits);
    return facts.empty() ? facts : " (" + facts + ")";
}

std::string of_kernel(const CheckRecord* exact) {
    if (exact == nullptr || std::isnan(exact->backward_error) || std::isnan(exact->bound)) return {};
    const double share = exact->backward_error / exact->bound;
    return share > 1 ? fmt::format(": eta is {} times its bound", number(share))
                     : fmt::format(": eta {} u is within its bound of {} u", number(exact->backward_error),
                                   number(exact->bound));
}

// Of two functions of the program, each against fp64.
std::string of_functions(const std::vector<CheckRecord>& checks) {
    std::string suspects;
    for (const CheckRecord& check : checks)
        for (const char* which : {"first", "second"})
            if (check.reference == fmt::format("{} against fp64", which) && check.verdict >= Verdict::warn)
                suspects += fmt::format("{}the {} function", suspects.empty() ? "" : " and ", which);
    const bool differ = worst_of_kernel(checks) >= Verdict::warn;
    return suspects.empty() && differ ? "one of the two functions; no fp64 reference says which" : suspects;
}

}  // namespace

std::string cause(const std::vector<CheckRecord>& checks) {
    if (of_mode(checks, "custom_function") != nullptr) return of_functions(checks);
    const CheckRecord *noise = of_mode(checks, "add_noise"), *exact = of_mode(checks, "improve_precision");
    const Verdict kernel = worst_of_kernel(checks);
    const bool ill = noise != nullptr && noise->verdict >= Verdict::warn;
    const std::string data = of_data(noise, exact);
    if (kernel == Verdict::fail)
        return (ill ? "the kernel, on data that are ill-conditioned besides" : "the kernel, not the data") +
               of_kernel(exact) + data;
    if (ill && kernel == Verdict::none) return "the data" + data + "; no mode looked at the kernel";
    if (ill) return "the data, not the kernel" + of_kernel(exact) + data;
    if (kernel == Verdict::warn) return "what the kernel promises, not the data" + of_kernel(exact) + data;
    return {};
}

}  // namespace fumi::tool
