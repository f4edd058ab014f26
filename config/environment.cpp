#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

#include "config/api_list.h"
#include "config/keys.h"

namespace fumi::config {

Config parse(const std::string& text, const std::string& file, std::vector<Fault>* faults,
             const Beside& beside) {
    if (file.ends_with(".txt")) {
        Config config = start(beside, "", false);
        config.apis = parse_api_list(text, file, faults);
        return config;
    }
    return file.ends_with(".env") ? parse_env_file(text, file, faults, beside)
                                  : parse_yaml(text, file, faults, beside);
}

Config load(const std::string& path, std::vector<Fault>* faults, const Beside& beside) {
    std::string text;
    if (!read_file(path, &text, faults)) return start(beside, "", false);
    return parse(text, path, faults, beside);
}

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

Config read_environment(std::vector<Fault>* faults) {
    const std::string modes = variable("FUMI_MODE");
    Beside beside{variable("FUMI_PROFILE"), !modes.empty()};
    if (!beside.profile.empty() && !check_profile(beside.profile, "FUMI_PROFILE", faults))
        beside.profile.clear();
    Config config = start(beside, "", false);
    if (const std::string file = variable("FUMI_CONFIG"); !file.empty()) config = load(file, faults, beside);
    if (!modes.empty()) parse_modes(modes, "FUMI_MODE", &config.modes, faults);
    const std::pair<const char*, const char*> single[] = {{"FUMI_COVERAGE", "improve_precision.coverage"},
                                                          {"FUMI_OPERATIONS", "operations"}};
    for (const auto& [name, key_name] : single)
        if (const std::string value = variable(name); !value.empty())
            for (const Key& key : keys())
                if (std::string_view(key.name) == key_name)
                    key.set(&config, {{value, {name, 0, 0, ""}}}, faults);
    if (const std::string apis = variable("FUMI_APIS"); !apis.empty())
        config.apis = load_api_list(apis, faults);
    if (const std::string output = variable("FUMI_OUTPUT"); !output.empty()) {
        config.output = output;
        config.output_dir.clear();  // FUMI_OUTPUT is the whole path
    }
    return config;
}

}  // namespace

Config from_environment(std::vector<Fault>* faults) {
    std::vector<Fault> found;
    Config config;
    try {
        config = read_environment(&found);
    } catch (const std::exception& exception) {
        found.push_back({"FUMI_CONFIG", 0, 0, exception.what()});
    }
    if (variable("FUMI_LAUNCHED").empty()) faults->insert(faults->end(), found.begin(), found.end());
    return config;
}

}  // namespace fumi::config
