#include "config/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace fumi::config {

namespace {

struct Unit {
    const char* name;  // lower case
    double factor;
};

constexpr std::array<Unit, 13> size_units{{{"", 1},
                                           {"b", 1},
                                           {"k", 1024},
                                           {"m", 1048576},
                                           {"g", 1073741824},
                                           {"kib", 1024},
                                           {"mib", 1048576},
                                           {"gib", 1073741824},
                                           {"tib", 1099511627776},
                                           {"kb", 1e3},
                                           {"mb", 1e6},
                                           {"gb", 1e9},
                                           {"tb", 1e12}}};
constexpr std::array<Unit, 7> duration_units{
    {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"sec", 1}, {"min", 60}, {"m", 60}, {"h", 3600}}};

struct Quantity {
    double number;
    std::string unit;  // lower case, blanks removed
};

std::optional<Quantity> split(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    Quantity quantity{};
    const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), quantity.number);
    if (code != std::errc() || !std::isfinite(quantity.number) || quantity.number < 0) return std::nullopt;
    for (const char* c = rest; c != text.data() + text.size(); ++c)
        if (!std::isspace(static_cast<unsigned char>(*c)))
            quantity.unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    return quantity;
}

template <std::size_t N>
std::optional<double> scaled(std::string_view text, const std::array<Unit, N>& units) {
    const auto quantity = split(text);
    if (!quantity) return std::nullopt;
    for (const Unit& unit : units)
        if (quantity->unit == unit.name) return quantity->number * unit.factor;
    return std::nullopt;
}

std::string print_number(double number, const char* unit) {
    std::array<char, 64> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.10g%s", number, unit);
    return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t value = 0;
    const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || rest != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<double> parse_number(std::string_view text) {
    const auto quantity = split(text);
    if (!quantity || !quantity->unit.empty()) return std::nullopt;
    return quantity->number;
}

std::optional<std::int64_t> parse_size(std::string_view text) {
    const auto bytes = scaled(text, size_units);
    if (!bytes || *bytes > 9e18) return std::nullopt;
    return static_cast<std::int64_t>(*bytes);
}

std::optional<double> parse_share(std::string_view text) {
    const auto quantity = split(text);
    if (!quantity || (!quantity->unit.empty() && quantity->unit != "%")) return std::nullopt;
    const double share = quantity->unit == "%" ? quantity->number / 100 : quantity->number;
    if (share > 1) return std::nullopt;
    return share;
}

std::optional<double> parse_duration(std::string_view text) {
    if (const auto quantity = split(text); quantity && quantity->unit.empty() && quantity->number == 0)
        return 0.0;
    return scaled(text, duration_units);
}

std::optional<bool> parse_bool(std::string_view text) {
    std::string lower;
    for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (lower == "true" || lower == "yes" || lower == "on") return true;
    if (lower == "false" || lower == "no" || lower == "off") return false;
    return std::nullopt;
}

std::string print_number(double number) {
    return print_number(number, "");
}

std::string print_size(std::int64_t bytes) {
    static constexpr std::array<const char*, 4> units{"", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < units.size()) {
        bytes /= 1024;
        ++unit;
    }
    return std::to_string(bytes) + units[unit];
}

std::string print_share(double share) {
    return print_number(share * 100, "%");
}

std::string print_duration(double seconds) {
    if (seconds > 0 && seconds < 1) return print_number(seconds * 1000, "ms");
    return print_number(seconds, "s");
}

}  // namespace fumi::config
