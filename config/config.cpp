#include "config/config.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace fumi::config {

namespace fs = std::filesystem;

bool Config::has(Mode mode) const noexcept {
    return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

const char* name(Mode mode) noexcept {
    switch (mode) {
        case Mode::trace:
            return "trace";
        case Mode::improve_precision:
            return "improve_precision";
        case Mode::repeat:
            return "repeat";
        case Mode::checksum:
            return "checksum";
        case Mode::add_noise:
            return "add_noise";
        case Mode::custom_function:
            return "custom_function";
    }
    return "";
}

const char* name(NoiseKind kind) noexcept {
    switch (kind) {
        case NoiseKind::relative:
            return "relative";
        case NoiseKind::bits:
            return "bits";
        case NoiseKind::fixed:
            return "fixed";
        case NoiseKind::ulp:
            break;
    }
    return "ulp";
}

const char* name(Coverage coverage) noexcept {
    return coverage == Coverage::full ? "full" : "sampled";
}

const char* name(Severity severity) noexcept {
    switch (severity) {
        case Severity::warn:
            return "warn";
        case Severity::fail:
            return "fail";
        case Severity::none:
            break;
    }
    return "none";
}

std::string Fault::text() const {
    std::string where = file;
    if (line > 0) where += ":" + std::to_string(line) + ":" + std::to_string(column);
    return where + ": " + message;
}

bool chosen(const std::vector<std::string>& globs, const std::string& name) noexcept {
    return globs.empty() || std::any_of(globs.begin(), globs.end(), [&name](const std::string& glob) {
               return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
           });
}

std::string session_path(const Config& config, std::int64_t pid) {
    std::string file = config.output.empty() ? "fumi-%p.fumi" : config.output;
    const std::string number = std::to_string(pid);
    for (std::size_t at = 0; (at = file.find("%p", at)) != std::string::npos; at += number.size())
        file.replace(at, 2, number);
    fs::path path(file);
    if (!config.output_dir.empty() && path.is_relative()) path = fs::path(config.output_dir) / path;
    if (const char* launched = std::getenv("FUMI_LAUNCHED"); launched == nullptr || *launched == '\0')
        return path.string();

    std::error_code code;
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), code);
    const int claim = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (claim >= 0) {
        close(claim);
    } else if (errno == EEXIST) {
        path.replace_filename(path.stem().string() + "-" + number + path.extension().string());
    }
    return path.string();
}

}  // namespace fumi::config
