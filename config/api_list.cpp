#include "config/api_list.h"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "config/nearest.h"
#include "fumi_api_names.h"

namespace fumi::config {

namespace {

bool is_glob(const std::string& name) {
    return name.find_first_of("*?[") != std::string::npos;
}

bool well_formed(const std::string& name) {
    for (const char c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && std::strchr("._*?[]!-:", c) == nullptr)
            return false;
    return !name.empty();
}

// aten::add.Tensor is aten::add with an overload; the names of Python have their dots.
std::string without_overload(const std::string& name) {
    return name.starts_with("aten::") ? name.substr(0, name.find('.')) : name;
}

// A glob over names under which sessions know an API stays; of what it matches by other names, the APIs.
std::vector<std::string> matched_by(const std::string& glob) {
    std::vector<std::string> apis;
    for (const mapping::ApiName& api : mapping::api_names)
        if (fnmatch(glob.c_str(), api.canonical, 0) == 0) {
            apis.push_back(glob);
            break;
        }
    for (const mapping::ApiName& api : mapping::api_names)
        if (fnmatch(glob.c_str(), api.name, 0) == 0 && fnmatch(glob.c_str(), api.canonical, 0) != 0 &&
            std::find(apis.begin(), apis.end(), api.canonical) == apis.end())
            apis.emplace_back(api.canonical);
    return apis;
}

}  // namespace

std::vector<std::string> canonical_apis(const std::string& name, const Fault& where,
                                        std::vector<Fault>* faults) {
    Fault fault = where;
    if (!well_formed(name)) {
        fault.message =
            "'" + name + "' is not an API name; write names such as torch.nn.functional.linear, or globs";
        faults->push_back(fault);
        return {name};
    }
    if (is_glob(name)) {
        if (std::vector<std::string> apis = matched_by(name); !apis.empty()) return apis;
    }
    const std::string wanted = without_overload(name);
    std::vector<std::string> known;
    for (const mapping::ApiName& api : mapping::api_names) {
        if (wanted == api.name) return {api.canonical};
        known.emplace_back(api.name);
    }
    fault.message = is_glob(name) ? "no API matches '" + name + "'" : "unknown API '" + name + "'";
    fault.message += suggestion(name, known);
    faults->push_back(fault);
    return {name};
}

std::vector<std::string> parse_api_list(const std::string& text, const std::string& file,
                                        std::vector<Fault>* faults) {
    std::vector<std::string> apis;
    std::istringstream lines(text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        line.resize(std::min(line.find('#'), line.size()));
        const std::size_t begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos) continue;
        const std::string name = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
        for (std::string& api : canonical_apis(name, {file, number, static_cast<int>(begin) + 1, ""}, faults))
            apis.push_back(std::move(api));
    }
    return apis;
}

std::vector<std::string> load_api_list(const std::string& path, std::vector<Fault>* faults) {
    std::string text;
    if (!read_file(path, &text, faults)) return {};
    std::vector<std::string> apis = parse_api_list(text, path, faults);
    if (apis.empty())
        faults->push_back({path, 0, 0, "the API list is empty; without a list every API is chosen"});
    return apis;
}

bool read_file(const std::string& path, std::string* text, std::vector<Fault>* faults) {
    std::error_code code;
    if (std::filesystem::is_directory(path, code)) {
        faults->push_back({path, 0, 0, "is a directory, not a file"});
        return false;
    }
    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
        const int cause = errno;
        std::string message = std::string("cannot be read: ") + std::strerror(cause != 0 ? cause : EIO);
        std::vector<std::string> siblings;
        const std::filesystem::path asked(path);
        const auto directory = asked.has_parent_path() ? asked.parent_path() : std::filesystem::path(".");
        for (const auto& entry : std::filesystem::directory_iterator(directory, code))
            siblings.push_back((asked.parent_path() / entry.path().filename()).string());
        if (cause == ENOENT)
            if (const std::string near = nearest(path, siblings); !near.empty())
                message += "; did you mean '" + near + "'?";
        faults->push_back({path, 0, 0, message});
        return false;
    }
    text->assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    return true;
}

}  // namespace fumi::config
