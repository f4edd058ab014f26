#include "tools/fumi/report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "cupti_hook/session/reader.h"
#include "tools/fumi/cause.h"
#include "tools/fumi/report_page.h"
#include "tools/fumi/summary.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

using nlohmann::ordered_json;
using session::By;
using session::Suspect;
using session::Verdict;

namespace {

// A page must open in a second: past these the worst stay, and of the rest an even sample. The page says so.
constexpr std::size_t max_points = 4000;
constexpr int max_suspects = 300;
constexpr std::size_t max_groups = 2000;

ordered_json measure(double value) {
    if (std::isnan(value)) return nullptr;
    if (std::isinf(value)) return value > 0 ? 1e300 : -1e300;  // drawn and printed as "inf" by the page
    return value;
}

ordered_json measure_digits(double value) {  // 5 digits are plenty for a plot, and a quarter of the bytes
    const ordered_json exact = measure(value);
    return exact.is_null() ? exact : ordered_json(std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr));
}

// The k of "m=64 n=128 k=32 batch=1 TN": the length of the sums that a bound is about. 0 where there is none.
std::int64_t inner_length(const std::string& shape) {
    const std::size_t at = (" " + shape).find(" k=");
    if (at == std::string::npos) return 0;
    char* end = nullptr;
    const std::int64_t length = std::strtoll(shape.c_str() + at + 2, &end, 10);
    return *end == '\0' || *end == ' ' ? length : 0;  // the k of an attention is a tensor: k=2x8x128x64
}

ordered_json group_rows(const session::Reader& session, By by) {
    ordered_json rows = ordered_json::array();
    for (const session::Group& group : session.groups(by)) {
        if (rows.size() == max_groups) break;
        rows.push_back({{"key", group.key},
                        {"phase", group.phase},
                        {"calls", group.calls},
                        {"checked", group.checked},
                        {"pass", group.pass},
                        {"warn", group.warn},
                        {"fail", group.fail},
                        {"eta", measure(group.worst_backward_error)},
                        {"bound", measure(group.worst_bound)},
                        {"bits", measure(group.min_effective_bits)},
                        {"kappa", measure(group.max_amplification)},
                        {"call", group.worst_call_id}});
    }
    return rows;
}

ordered_json suspect_row(const session::Reader& session, const Suspect& suspect) {
    const auto& call = suspect.call;
    const auto& check = suspect.check;
    return {{"call", call.call_id},
            {"verdict", name(check.verdict)},
            {"api", call.api},
            {"op", call.op},
            {"phase", name(call.phase)},
            {"location", call.location},
            {"module", call.module},
            {"function", call.library + " " + call.function},
            {"kernel", call.kernel},
            {"shape", call.shape},
            {"dtypes", call.dtypes},
            {"compute_type", call.compute_type},
            {"epilogue", call.epilogue},
            {"algorithm", call.algorithm},
            {"where", fmt::format("process {}, rank {}, thread {}, device {}, stream {:#x}", call.process,
                                  call.rank, call.thread, call.device, call.stream)},
            {"mode", check.mode},
            {"reference", check.reference},
            {"coverage", check.coverage},
            {"elements", check.elements},
            {"mismatches", check.mismatches},
            {"nonfinite", check.nonfinite},
            {"eta", measure(check.backward_error)},
            {"bound", measure(check.bound)},
            {"kappa", measure(check.amplification)},
            {"bits", measure(check.effective_bits)},
            {"max_abs", measure(check.max_abs_err)},
            {"max_rel", measure(check.max_rel_err)},
            {"rms_rel", measure(check.rms_rel_err)},
            {"digits", measure(check.significant_digits)},
            {"reason", check.reason},
            {"cause", cause(session.checks_of(call.call_id))}};
}

class Points {
  public:
    explicit Points(std::int64_t total) : stride_(1 + total / static_cast<std::int64_t>(max_points)) {}

    void add(const Suspect& suspect) {
        const auto& [call, check] = suspect;
        if (check.verdict >= Verdict::warn && suspects_++ >= max_points) return;
        if (std::isnan(check.backward_error)) return;
        rows_.push_back({call.call_id, inner_length(call.shape), measure_digits(check.backward_error),
                         measure_digits(check.bound), measure_digits(check.amplification),
                         measure_digits(check.effective_bits), static_cast<int>(check.verdict),
                         text(call.api), name(call.phase), text(call.location), text(call.shape),
                         text(call.dtypes), text(call.compute_type)});
    }

    std::int64_t stride() const { return stride_; }

    void store(ordered_json* data) {
        (*data)["points"] = std::move(rows_);
        (*data)["strings"] = std::move(strings_);
        (*data)["point_stride"] = stride_;
    }

  private:
    std::size_t text(const std::string& value) {
        const auto [found, added] = index_.emplace(value, index_.size());
        if (added) strings_.push_back(value);
        return found->second;
    }

    std::int64_t stride_;
    std::size_t suspects_ = 0;
    ordered_json rows_ = ordered_json::array(), strings_ = ordered_json::array();
    std::unordered_map<std::string, std::size_t> index_;
};

ordered_json collect(const session::Reader& session) {
    ordered_json data;
    const session::Counts counts = session.counts();
    data["file"] = session.path().substr(session.path().rfind('/') + 1);
    data["fumi"] = FUMI_VERSION;
    data["device"] = device_name(session);
    data["advice"] = advice(session, false);
    data["nonfinite"] = first_nonfinite(session);
    data["counts"] = {{"calls", counts.calls},
                      {"checked", counts.checked},
                      {"pass", counts.pass},
                      {"warn", counts.warn},
                      {"fail", counts.fail}};
    data["values"] = ordered_json::array();
    for (const auto& [key, value] : session.values()) data["values"].push_back({key, value});
    for (const By by : {By::api, By::op, By::function, By::kernel, By::location, By::module, By::dtypes})
        data["groups"][name(by)] = group_rows(session, by);
    data["missed"] = ordered_json::array();
    for (const auto& missed : session.missed())
        data["missed"].push_back({{"reason", missed.reason}, {"calls", missed.calls}});
    data["suspects"] = ordered_json::array();
    data["closest"] = ordered_json::array();
    for (const Suspect& suspect : session.worst(max_suspects)) {
        if (suspect.check.verdict >= Verdict::warn)
            data["suspects"].push_back(suspect_row(session, suspect));
        else if (data["closest"].size() < 10)
            data["closest"].push_back(suspect_row(session, suspect));
    }
    Points points(counts.checked);
    const auto add = [&points](const Suspect& suspect) {
        points.add(suspect);
        return true;
    };
    session.checks(add, points.stride());
    points.store(&data);
    return data;
}

// Inside <script> only "</" and "<!--" could end the data early.
std::string embeddable(const ordered_json& data) {
    std::string text = data.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos; at += 6)
        text.replace(at, 1, "\\u003c");
    return text;
}

}  // namespace

int report(const std::string& file, const std::string& output) {
    std::string error;
    const auto reader = session::Reader::open(file, &error);
    if (reader == nullptr) {
        say(error);
        return 1;
    }
    std::ofstream page(output, std::ios::binary | std::ios::trunc);
    page << page_before_data << embeddable(collect(*reader)) << page_after_data;
    page.close();
    if (!page) {
        say(output + " cannot be written: " + std::strerror(errno) + "; choose another file with -o");
        return 1;
    }
    fmt::print("{}\n", output);
    return 0;
}

}  // namespace fumi::tool
