#include "tools/fumi/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cupti_hook/session/reader.h"

namespace fumi::tool {

namespace fs = std::filesystem;

namespace {

bool all_digits(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

bool matches(const std::string& name, const fs::path& pattern) {
    const std::string wanted = pattern.filename().string();
    const std::size_t place = wanted.find("%p");
    std::string before, after;
    if (place != std::string::npos) {
        before = wanted.substr(0, place);
        after = wanted.substr(place + 2);
    } else {
        if (name == wanted) return true;
        before = pattern.stem().string() + "-";
        after = pattern.extension().string();
    }
    return name.size() > before.size() + after.size() && name.starts_with(before) && name.ends_with(after) &&
           all_digits(name.substr(before.size(), name.size() - before.size() - after.size()));
}

bool changed_since(const fs::path& path, std::timespec since) {
    // The log of a file that was left open is what changed last.
    for (const char* suffix : {"", "-wal"}) {
        struct stat about {};
        if (stat((path.string() + suffix).c_str(), &about) != 0) continue;
        // A second of grace: some file systems keep whole seconds.
        if (about.st_mtim.tv_sec + 1 >= since.tv_sec) return true;
    }
    return false;
}

}  // namespace

std::vector<std::string> session_files(const std::string& output, std::timespec since) {
    const fs::path pattern(output);
    std::vector<std::string> files;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(pattern.parent_path(), code)) {
        const std::string name = entry.path().filename().string();
        if (matches(name, pattern) && changed_since(entry.path(), since))
            files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    return files;
}

bool is_empty_file(const std::string& path) {
    std::error_code code;
    return fs::is_regular_file(path, code) && fs::file_size(path, code) == 0 &&
           !fs::exists(path + "-wal", code);
}

std::string clear_old_session(const std::string& path) {
    std::error_code code;
    if (!fs::exists(path, code)) return {};
    std::string error;
    if (!is_empty_file(path) && session::Reader::open(path, &error) == nullptr)
        return path +
               " is there already and is not a FuMi session; it is left alone: choose another file with -o";
    for (const char* suffix : {"", "-wal", "-shm"}) {
        const std::string file = path + suffix;
        if (unlink(file.c_str()) != 0 && errno != ENOENT)
            return "the old " + file + " cannot be removed: " + std::strerror(errno);
    }
    return {};
}

}  // namespace fumi::tool
