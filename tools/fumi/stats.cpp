#include "tools/fumi/stats.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cupti_hook/session/reader.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

using session::By;
using session::Group;

namespace {

By by_name(const std::string& wanted) {
    for (const By by : {By::api, By::op, By::function, By::kernel, By::location, By::module, By::dtypes})
        if (wanted == session::name(by)) return by;
    return By::api;
}

// JSON has no NaN and no infinity: what does not apply is null, and an infinity its name.
nlohmann::json measure(double value) {
    if (std::isnan(value)) return nullptr;
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    return value;
}

std::string plain(double value) {
    return std::isnan(value) ? std::string() : fmt::format("{}", value);
}

double milliseconds(std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e6;
}

void print_json(const std::vector<Group>& groups, By by) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Group& group : groups) {
        nlohmann::ordered_json row;
        row[session::name(by)] = group.key;
        if (by == By::api) row["phase"] = group.phase;
        row["calls"] = group.calls;
        row["checked"] = group.checked;
        row["pass"] = group.pass;
        row["warn"] = group.warn;
        row["fail"] = group.fail;
        row["worst_backward_error"] = measure(group.worst_backward_error);
        row["worst_bound"] = measure(group.worst_bound);
        row["min_effective_bits"] = measure(group.min_effective_bits);
        row["max_amplification"] = measure(group.max_amplification);
        row["check_ms"] = milliseconds(group.check_ns);
        row["worst_call_id"] = group.worst_call_id == 0 ? nlohmann::ordered_json(nullptr)
                                                        : nlohmann::ordered_json(group.worst_call_id);
        row["worst_reason"] = group.worst_reason;
        rows.push_back(std::move(row));
    }
    fmt::print("{}\n", rows.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_separated(const std::vector<Group>& groups, By by, char separator) {
    const auto line = [separator](const std::vector<std::string>& fields) {
        std::string text;
        for (std::size_t i = 0; i < fields.size(); ++i)
            text += (i > 0 ? std::string(1, separator) : "") + csv_field(fields[i], separator);
        fmt::print("{}\n", text);
    };
    std::vector<std::string> header = {session::name(by)};
    if (by == By::api) header.emplace_back("phase");
    for (const char* title :
         {"calls", "checked", "pass", "warn", "fail", "worst_backward_error", "worst_bound",
          "min_effective_bits", "max_amplification", "check_ms", "worst_call_id", "worst_reason"})
        header.emplace_back(title);
    line(header);
    for (const Group& group : groups) {
        std::vector<std::string> fields = {group.key};
        if (by == By::api) fields.push_back(group.phase);
        for (const std::int64_t number : {group.calls, group.checked, group.pass, group.warn, group.fail})
            fields.push_back(std::to_string(number));
        for (const double value : {group.worst_backward_error, group.worst_bound, group.min_effective_bits,
                                   group.max_amplification})
            fields.push_back(plain(value));
        fields.push_back(plain(milliseconds(group.check_ns)));
        fields.push_back(group.worst_call_id == 0 ? "" : std::to_string(group.worst_call_id));
        fields.push_back(group.worst_reason);
        line(fields);
    }
}

void print_table(const std::vector<Group>& groups, By by) {
    std::vector<Column> columns = {{session::name(by)}};
    if (by == By::api) columns.push_back({"phase"});
    for (const char* title : {"calls", "checked", "pass", "warn", "fail", "eta/u", "bound/u", "min bits",
                              "max kappa", "worst call"})
        columns.push_back({title, true});
    std::vector<std::vector<std::string>> rows;
    for (const Group& group : groups) {
        std::vector<std::string> row = {
            group.key.empty() ? "(unknown)"
                              : shorten_middle(by == By::location ? shorten_path(group.key) : group.key, 60)};
        if (by == By::api) row.push_back(group.phase);
        for (const std::int64_t number : {group.calls, group.checked, group.pass, group.warn, group.fail})
            row.push_back(count(number));
        row.push_back(number(group.worst_backward_error));
        row.push_back(number(group.worst_bound));
        row.push_back(std::isnan(group.min_effective_bits) ? "-"
                                                           : fmt::format("{:.1f}", group.min_effective_bits));
        row.push_back(number(group.max_amplification));
        row.push_back(group.worst_call_id == 0 ? "-" : std::to_string(group.worst_call_id));
        rows.push_back(std::move(row));
    }
    fmt::print("{}", table(columns, rows));
}

}  // namespace

int stats(const std::string& file, const std::string& by_text, const std::string& format) {
    std::string error;
    const auto reader = session::Reader::open(file, &error);
    if (reader == nullptr) {
        say(error);
        return 1;
    }
    const By by = by_name(by_text);
    const std::vector<Group> groups = reader->groups(by);
    if (format == "json")
        print_json(groups, by);
    else if (format == "table")
        print_table(groups, by);
    else
        print_separated(groups, by, format == "tsv" ? '\t' : ',');
    return 0;
}

}  // namespace fumi::tool
