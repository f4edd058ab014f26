#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "tools/softcuda/core/device.h"

namespace softcuda {
namespace {

// "" where the variable is not set.
std::string_view variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read once, at first use
    return value == nullptr ? std::string_view{} : std::string_view{value};
}

// One of two words, or a message and the first one.
bool is_second(const char* name, std::string_view first, std::string_view second) {
    const std::string_view value = variable(name);
    if (value == second) return true;
    if (!value.empty() && value != first) {
        (void)std::fprintf(stderr, "softcuda: %s=%s is not known (%s, %s); taking %s\n", name,
                           std::string(value).c_str(), std::string(first).c_str(),
                           std::string(second).c_str(), std::string(first).c_str());
    }
    return false;
}

Settings read_settings() {
    Settings settings{};
    settings.numerics =
        is_second("SOFTCUDA_NUMERICS", "ieee", "tensorcore") ? Numerics::tensorcore : Numerics::ieee;
    settings.compute_null = is_second("SOFTCUDA_COMPUTE", "full", "null");
    settings.adversarial = is_second("SOFTCUDA_SCHEDULE", "plain", "adversarial");
    settings.capability = 90;
    if (const std::string_view value = variable("SOFTCUDA_CAPABILITY"); !value.empty()) {
        const int capability = std::atoi(std::string(value).c_str());
        if (capability >= 50 && capability <= 129) {
            settings.capability = capability;
        } else {
            (void)std::fprintf(
                stderr, "softcuda: SOFTCUDA_CAPABILITY=%s is no compute capability (as 90); taking 90\n",
                std::string(value).c_str());
        }
    }
    return settings;
}

// True the first time that `key` is seen. Never destroyed: messages come until the very end of the process.
bool first_time(const std::string& key) {
    static auto* mutex = new std::mutex;
    static auto* seen = new std::unordered_set<std::string>;
    const std::scoped_lock lock(*mutex);
    return seen->insert(key).second;
}

}  // namespace

const Settings& settings() noexcept {
    static const Settings settings = read_settings();
    return settings;
}

void warn_once(const char* key, const char* format, ...) noexcept {
    try {
        if (!first_time(key)) return;
    } catch (...) {
        return;
    }
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)std::fprintf(stderr, "softcuda: %s\n", line);
}

void report_missing(const char* library, const char* entry) noexcept {
    warn_once(entry, "%s of %s is not there", entry, library);
}

}  // namespace softcuda
