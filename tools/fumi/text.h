// Words and numbers for the terminal.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace fumi::tool {

// A message of the command itself: "fumi: ..." on stderr, one line.
void say(const std::string& message);

enum class Colour { plain, bold, dim, red, yellow, green };

// Paints where `stream` is a terminal and neither NO_COLOR nor TERM=dumb asks otherwise.
class Painter {
  public:
    explicit Painter(std::FILE* stream);
    std::string operator()(Colour colour, const std::string& text) const;
    int width() const;  // columns of the terminal, 100 where there is none

  private:
    std::FILE* stream_;
    bool colours_;
};

std::string number(double value);       // 3 significant digits: 0.0123, 12.3, 1.23e+05; "-" for NaN
std::string count(std::int64_t value);  // 1,234,567
std::string plural(std::int64_t value, const char* noun);                // 1 call, 1,234 calls
std::string percent(std::int64_t part, std::int64_t whole);              // 97.2%, never rounded up to 100%
std::string duration(double seconds);                                    // 850 ms, 12.3 s, 4 min 10 s
std::size_t display_width(std::string_view text);                        // in characters, not bytes
std::string shorten_middle(const std::string& text, std::size_t width);  // abcd...wxyz
std::string shorten_path(const std::string& location);  // a path below the current directory, relative to it

// Columns of equal width, two blanks between them; the numeric ones aligned to the right.
struct Column {
    std::string title;
    bool numeric = false;
};
std::string table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows);

std::string csv_field(const std::string& text, char separator);

}  // namespace fumi::tool
