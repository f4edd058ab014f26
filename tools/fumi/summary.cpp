#include "tools/fumi/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/fumi/cause.h"

namespace fumi::tool {

using session::Counts;
using session::Suspect;
using session::Verdict;

namespace {

constexpr std::size_t shown_calls = 5;
constexpr int considered_checks = 500;
constexpr std::size_t shown_apis = 8;

struct Family {  // checks of one place, of which the worst is shown
    Suspect worst;
    std::int64_t others = 0;
};

// A loop makes the same call a thousand times: one line each for the worst of every place.
std::vector<Family> families(const session::Reader& session, bool suspects_only) {
    std::vector<Family> found;
    for (Suspect& suspect : session.worst(considered_checks)) {
        if (suspects_only && suspect.check.verdict < Verdict::warn) break;
        const auto same = std::find_if(found.begin(), found.end(), [&](const Family& family) {
            const auto& a = family.worst.call;
            const auto& b = suspect.call;
            return a.api == b.api && a.phase == b.phase && a.location == b.location && a.module == b.module &&
                   a.function == b.function && family.worst.check.verdict == suspect.check.verdict;
        });
        if (same == found.end())
            found.push_back({std::move(suspect), 0});
        else
            ++same->others;
    }
    return found;
}

Colour colour_of(Verdict verdict) {
    return verdict == Verdict::fail ? Colour::red : verdict == Verdict::warn ? Colour::yellow : Colour::green;
}

std::string or_unknown(const std::string& text, const char* unknown) {
    return text.empty() ? unknown : text;
}

std::string first_kernel(const std::string& kernels, std::size_t width) {
    return shorten_middle(kernels.substr(0, kernels.find(';')), width);
}

std::string measures(const session::CheckRecord& check) {
    if (check.mode == "add_noise")
        return fmt::format("noise of the inputs' rounding amplified {} times   significant digits {:.1f}",
                           number(check.amplification), check.significant_digits);
    std::string text = fmt::format("eta {} u", number(check.backward_error));
    if (!std::isnan(check.bound)) {
        text += fmt::format(", bound {} u", number(check.bound));
        if (const double share = check.backward_error / check.bound; std::isfinite(share))
            text += share > 1 ? fmt::format(" ({} times over)", number(share))
                              : fmt::format(" ({:.0f}% of it)", share * 100);
    }
    if (!std::isnan(check.amplification)) text += fmt::format("   kappa {}", number(check.amplification));
    if (!std::isnan(check.effective_bits))
        text += fmt::format("   effective bits {:.1f}", check.effective_bits);
    return text;
}

std::string describe(const session::Reader& session, const Family& family, const Painter& paint) {
    const auto& call = family.worst.call;
    const auto& check = family.worst.check;
    const auto width = static_cast<std::size_t>(std::max(60, paint.width() - 8));
    std::string where = or_unknown(shorten_path(call.location), "line unknown");
    if (!call.module.empty()) where += "  in " + call.module;
    std::string text =
        fmt::format("  {}  {}", paint(colour_of(check.verdict), fmt::format("{:<4}", name(check.verdict))),
                    paint(Colour::bold, or_unknown(call.api, "no torch API")));
    if (call.phase != session::Phase::none) text += fmt::format(" {}", name(call.phase));
    text += fmt::format("  {}\n", where);
    text += fmt::format("        {}\n", measures(check));
    std::string library =
        fmt::format("call {}: {}  {}  {}", call.call_id, call.function, call.shape, call.dtypes);
    if (!call.kernel.empty())
        library +=
            "  " + first_kernel(call.kernel, width > library.size() + 34 ? width - library.size() - 2 : 32);
    text += fmt::format("        {}\n", paint(Colour::dim, library));
    if (check.verdict >= Verdict::warn && !check.reason.empty())
        text += fmt::format("        {}\n", check.reason);
    if (const std::string whose = cause(session.checks_of(call.call_id)); !whose.empty())
        text += fmt::format("        cause: {}\n", whose);
    if (family.others > 0 && check.verdict >= Verdict::warn)
        text += fmt::format("        and {} more like it\n", count(family.others));
    return text;
}

std::string coverage(const session::Reader& session, const Counts& counts) {
    std::string text = fmt::format(
        "  calls      {} seen, {} checked ({}), {} not checked\n", count(counts.calls), count(counts.checked),
        percent(counts.checked, counts.calls), count(counts.calls - counts.checked));
    const auto missed = session.missed();
    std::int64_t rest = 0;
    for (std::size_t i = 0; i < missed.size(); ++i) {
        if (i < 6)
            text += fmt::format("  {:>9}  not checked: {}\n", count(missed[i].calls),
                                or_unknown(missed[i].reason, "no reason recorded"));
        else
            rest += missed[i].calls;
    }
    if (rest > 0)
        text += fmt::format("  {:>9}  not checked: other reasons (fumi report shows all)\n", count(rest));
    return text;
}

std::string verdicts(const Counts& counts, const Painter& paint) {
    const auto part = [&](std::int64_t calls, const char* verdict, Colour colour) {
        return paint(calls > 0 ? colour : Colour::dim, fmt::format("{} {}", count(calls), verdict));
    };
    return fmt::format("  verdicts   {}   {}   {}\n", part(counts.pass, "pass", Colour::green),
                       part(counts.warn, "warn", Colour::yellow), part(counts.fail, "fail", Colour::red));
}

// What was called, so that it can be seen whether all that should be watched was: fails first, then the most
// frequent.
std::string apis(const session::Reader& session) {
    const auto groups = session.groups(session::By::api);
    std::vector<std::vector<std::string>> rows;
    std::int64_t rest = 0;
    for (const session::Group& group : groups) {
        if (rows.size() == shown_apis) {
            rest += group.calls;
            continue;
        }
        const double share = group.worst_backward_error / group.worst_bound;
        rows.push_back(
            {"  " + or_unknown(group.key, "no torch API"), group.phase, count(group.calls),
             percent(group.checked, group.calls), count(group.pass), count(group.warn), count(group.fail),
             std::isfinite(share) ? number(share) : "-",
             std::isnan(group.min_effective_bits) ? "-" : fmt::format("{:.1f}", group.min_effective_bits)});
    }
    if (rows.empty()) return {};
    std::string text = "\n" + table({{"  API"},
                                     {"phase"},
                                     {"calls", true},
                                     {"checked", true},
                                     {"pass", true},
                                     {"warn", true},
                                     {"fail", true},
                                     {"worst eta/bound", true},
                                     {"least bits", true}},
                                    rows);
    if (rest > 0)
        text += fmt::format("  {} of {} more (fumi stats shows all)\n", plural(rest, "call"),
                            plural(static_cast<std::int64_t>(groups.size() - rows.size()), "API"));
    return text;
}

std::string worst_calls(const session::Reader& session, const Painter& paint) {
    auto found = families(session, true);
    const bool suspects = !found.empty();
    if (!suspects) found = families(session, false);
    if (found.empty()) return {};
    std::string text = suspects ? "\n  worst calls" : "\n  closest to their bound";
    text += paint(Colour::dim,
                  "   eta: the kernel's own error; bound: what its arithmetic may lose, both in roundoffs u;"
                  "\n                kappa: how much the data amplify any error") +
            "\n";
    const std::size_t shown = suspects ? shown_calls : std::min<std::size_t>(3, shown_calls);
    for (std::size_t i = 0; i < std::min(found.size(), shown); ++i)
        text += describe(session, found[i], paint);
    if (suspects && found.size() > shown)
        text += fmt::format("        and {} more (fumi report shows all)\n",
                            plural(static_cast<std::int64_t>(found.size() - shown), "place"));
    return text;
}

std::string nonfinite_part(const session::Reader& session, const Painter& paint) {
    const std::string said = first_nonfinite(session);
    return said.empty() ? said : "\n  " + paint(Colour::yellow, "NaN or infinity") + "   " + said + "\n";
}

std::string place(const Suspect& suspect) {
    if (!suspect.call.location.empty()) return shorten_path(suspect.call.location);
    return suspect.call.api.empty() ? suspect.call.function : suspect.call.api;
}

}  // namespace

std::string device_name(const session::Reader& session) {
    const std::string device = session.value("device");
    return or_unknown(device, "device unknown");
}

std::string first_nonfinite(const session::Reader& session) {
    const auto first = session.first_nonfinite();
    if (!first) return {};
    const auto& call = first->call;
    std::string text =
        fmt::format("first in call {}, {}", call.call_id, or_unknown(call.api, call.function.c_str()));
    if (call.phase != session::Phase::none) text += fmt::format(" {}", name(call.phase));
    text += fmt::format("  {}", or_unknown(shorten_path(call.location), "line unknown"));
    if (!call.module.empty()) text += "  in " + call.module;
    text += fmt::format(": {}", plural(first->elements, "element"));
    if (first->inputs == "not finite")
        text += "; its inputs already had NaN or infinity, made by what computed them";
    else if (first->inputs == "finite")
        text += first->verdict == Verdict::fail
                    ? "; its inputs were finite and no sum leaves the range: the kernel made it"
                    : "; its inputs were finite: its sums leave the range of their type";
    else
        text += "; whether its inputs had one was not looked at";
    return text;
}

std::string advice(const session::Reader& session, bool name_report) {
    const Counts counts = session.counts();
    if (counts.calls == 0)
        return "no library call was seen: did the program compute on the device? `fumi doctor` shows what "
               "can be seen here";
    const auto worst = session.worst(1);
    const auto missed = session.missed();
    if (worst.empty())
        return "nothing was checked (" +
               or_unknown(missed.empty() ? std::string() : missed[0].reason, "no reason recorded") +
               "): add --mode improve_precision, or choose other APIs";
    const std::string report =
        name_report ? "; `fumi report " + shorten_path(session.path()) + "` has the details" : std::string();
    if (counts.fail > 0 && worst[0].check.mode == "thresholds")
        return "look at " + place(worst[0]) + " (" + worst[0].check.reason + ", set in the configuration)" +
               report;
    const std::string whose = cause(session.checks_of(worst[0].call.call_id));
    if (counts.warn + counts.fail > 0 && whose.empty())  // limits of the user's own
        return "look at " + place(worst[0]) + " (" + worst[0].check.reason + ")" + report;
    if (counts.fail > 0)
        return "start at " + place(worst[0]) +
               ": eta is over its bound, so the kernel or the hardware is wrong there, not the data" + report;
    if (counts.warn > 0) return "look at " + place(worst[0]) + ": " + whose + report;
    if (counts.checked < counts.calls / 2)
        return "no check found anything, but most calls were not checked, for the reasons given" + report;
    return "nothing: every checked call is within its bound" + report;
}

std::string summary(const session::Reader& session, double seconds, const Painter& paint) {
    const Counts counts = session.counts();
    std::string text = paint(Colour::bold, "FuMi: " + shorten_path(session.path())) + "\n";
    text += fmt::format("  device     {}", device_name(session));
    if (seconds >= 0) text += fmt::format("   wall time {}", duration(seconds));
    text += "\n";
    if (session.value("ended").empty())
        text += "  " +
                paint(Colour::yellow, "the program was killed or crashed: what was flushed before is shown") +
                "\n";
    if (const std::string dropped = session.value("dropped"); !dropped.empty() && dropped != "0")
        text += "  " +
                paint(Colour::yellow,
                      dropped + " calls are missing: they came faster than they could be recorded") +
                "\n";
    text += coverage(session, counts);
    text += verdicts(counts, paint);
    text += apis(session);
    text += nonfinite_part(session, paint);
    text += worst_calls(session, paint);
    text += fmt::format("\n  next: {}\n", advice(session, true));
    return text;
}

}  // namespace fumi::tool
