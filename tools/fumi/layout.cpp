#include "tools/fumi/layout.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace fumi::tool {

namespace fs = std::filesystem;

std::string executable_path() {
    std::error_code code;
    return fs::read_symlink("/proc/self/exe", code).string();
}

std::vector<std::string> library_directories() {
    std::vector<std::string> directories;
    if (const char* chosen = std::getenv("FUMI_LIB_DIR"); chosen != nullptr && *chosen != '\0')
        directories.emplace_back(chosen);
    const fs::path prefix = fs::path(executable_path()).parent_path().parent_path();
    directories.push_back((prefix / "lib").string());
    std::error_code code;
    for (const char* lib : {"lib", "lib64"})
        for (const auto& entry : fs::directory_iterator(prefix / lib, code))
            if (entry.path().filename().string().starts_with("python3"))
                directories.push_back((entry.path() / "site-packages" / "fumi" / "lib").string());
    return directories;
}

std::string find_library(const std::string& name) {
    for (const std::string& directory : library_directories()) {
        const fs::path path = fs::path(directory) / name;
        if (access(path.c_str(), R_OK) == 0) return path.string();
    }
    return {};
}

std::string find_program(const std::string& command) {
    if (command.find('/') != std::string::npos)
        return access(command.c_str(), X_OK) == 0 ? command : std::string();
    const char* variable = std::getenv("PATH");
    const std::string path = variable == nullptr ? "/usr/local/bin:/usr/bin:/bin" : variable;
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const fs::path candidate = fs::path(end == begin ? "." : path.substr(begin, end - begin)) / command;
        std::error_code code;
        if (access(candidate.c_str(), X_OK) == 0 && !fs::is_directory(candidate, code))
            return candidate.string();
        begin = end + 1;
    }
    return {};
}

}  // namespace fumi::tool
