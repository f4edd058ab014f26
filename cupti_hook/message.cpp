#include "cupti_hook/message.h"

#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace fumi {

namespace {

constexpr int max_keys = 64;
std::atomic<const char*> said[max_keys];

// True for the first caller with this key. Lock-free: messages come from every thread and from forked
// children.
bool first(const char* key) noexcept {
    for (auto& place : said) {
        const char* there = nullptr;
        if (place.compare_exchange_strong(there, key)) return true;
        if (std::strcmp(there, key) == 0) return false;
    }
    return false;
}

// One write, so that lines of several threads and processes do not mix.
void print(const char* format, va_list arguments) noexcept {
    char line[2048];
    constexpr std::size_t prefix = sizeof "fumi: " - 1;
    std::memcpy(line, "fumi: ", prefix);
    (void)std::vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
    const std::size_t length = std::strlen(line);
    line[length] = '\n';
    [[maybe_unused]] const auto written = write(STDERR_FILENO, line, length + 1);
}

}  // namespace

void say(const char* format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
}

void say_once(const char* key, const char* format, ...) noexcept {
    if (!first(key)) return;
    va_list arguments;
    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
}

}  // namespace fumi
