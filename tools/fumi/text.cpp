#include "tools/fumi/text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace fumi::tool {

void say(const std::string& message) {
    fmt::print(stderr, "fumi: {}\n", message);
}

Painter::Painter(std::FILE* stream) : stream_(stream) {
    const char* terminal = std::getenv("TERM");
    const char* refused = std::getenv("NO_COLOR");
    colours_ = isatty(fileno(stream)) == 1 && (refused == nullptr || *refused == '\0') &&
               terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

std::string Painter::operator()(Colour colour, const std::string& text) const {
    if (!colours_ || colour == Colour::plain) return text;
    const char* code = "0";
    switch (colour) {
        case Colour::bold:
            code = "1";
            break;
        case Colour::dim:
            code = "2";
            break;
        case Colour::red:
            code = "1;31";
            break;
        case Colour::yellow:
            code = "33";
            break;
        case Colour::green:
            code = "32";
            break;
        case Colour::plain:
            break;
    }
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

int Painter::width() const {
    winsize size{};
    if (ioctl(fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
    return 100;
}

std::string number(double value) {
    if (std::isnan(value)) return "-";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    const double magnitude = std::fabs(value);
    if (magnitude != 0 && (magnitude >= 1e5 || magnitude < 1e-3)) return fmt::format("{:.2e}", value);
    return fmt::format("{:.3g}", value).find('e') == std::string::npos ? fmt::format("{:.3g}", value)
                                                                       : fmt::format("{:.0f}", value);
}

std::string count(std::int64_t value) {
    std::string digits = std::to_string(value);
    for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0);
         at -= 3)
        digits.insert(static_cast<std::size_t>(at), 1, ',');
    return digits;
}

std::string plural(std::int64_t value, const char* noun) {
    return fmt::format("{} {}{}", count(value), noun, value == 1 ? "" : "s");
}

std::string percent(std::int64_t part, std::int64_t whole) {
    if (whole == 0) return "0%";
    if (part == whole) return "100%";
    return fmt::format("{:.1f}%",
                       std::min(99.9, 100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

std::string duration(double seconds) {
    if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
    if (seconds < 60) return fmt::format("{:.1f} s", seconds);
    const std::int64_t whole = std::llround(seconds);
    if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
    return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string shorten_middle(const std::string& text, std::size_t width) {
    if (text.size() <= width || width < 8) return text;
    const std::size_t tail = (width - 3) / 2;
    return text.substr(0, width - 3 - tail) + "..." + text.substr(text.size() - tail);
}

std::string shorten_path(const std::string& location) {
    std::error_code code;
    const std::string here = std::filesystem::current_path(code).string() + "/";
    return !code && here.size() > 1 && location.starts_with(here) ? location.substr(here.size()) : location;
}

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        widths.push_back(display_width(columns[i].title));
        for (const auto& row : rows) widths[i] = std::max(widths[i], display_width(row[i]));
    }
    std::string text;
    const auto line = [&](std::size_t i, const std::string& cell) {
        const std::string blanks(widths[i] - display_width(cell), ' ');
        const bool last = i + 1 == columns.size();
        text += columns[i].numeric ? blanks + cell : last ? cell : cell + blanks;
        text += last ? "\n" : "  ";
    };
    for (std::size_t i = 0; i < columns.size(); ++i) line(i, columns[i].title);
    for (const auto& row : rows)
        for (std::size_t i = 0; i < columns.size(); ++i) line(i, row[i]);
    return text;
}

std::string csv_field(const std::string& text, char separator) {
    if (text.find_first_of(std::string("\"\r\n") + separator) == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

}  // namespace fumi::tool
