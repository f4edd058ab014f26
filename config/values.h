// Values with units, as people write them in a config.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fumi::config {

std::optional<std::int64_t> parse_integer(std::string_view text);  // 64
std::optional<std::int64_t> parse_size(
    std::string_view text);  // 256MiB, 1.5 GiB, 4096 (bytes); KB and MB are decimal
std::optional<double> parse_number(std::string_view text);    // 1e-5: 0 or more
std::optional<double> parse_share(std::string_view text);     // 3% is 0.03, 0.03 is 0.03; 0 to 100%
std::optional<double> parse_duration(std::string_view text);  // 500ms, 1s, 2min in seconds; 0 needs no unit
std::optional<bool> parse_bool(std::string_view text);        // true, false, yes, no, on, off

std::string print_number(double number);     // 1e-05
std::string print_size(std::int64_t bytes);  // 256MiB: the largest unit that divides it
std::string print_share(double share);       // 3%
std::string print_duration(double seconds);  // 500ms, 1s

}  // namespace fumi::config
