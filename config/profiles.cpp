// Profiles: how much is checked, as one word. Keys that are named override them.
#include <algorithm>

#include "config/config.h"
#include "config/keys.h"
#include "config/nearest.h"

namespace fumi::config {

namespace {

const std::vector<std::string> names = {"quick", "always_on", "thorough", "paranoid"};

void check_all_in_full(Config& config) {
    config.improve_precision.coverage = Coverage::full;
    config.improve_precision.every = 1;
    config.limits.operations = config.limits.overhead = 0;
}

Config of_profile(const std::string& name) {
    Config config;
    config.profile = name;
    if (name == "quick") {
        config.checksum.every = 4;
        config.improve_precision.every = 32;
        config.limits.operations = 0.03;
        config.limits.overhead = 0.01;
    } else if (name == "thorough") {
        config.modes = {Mode::trace, Mode::improve_precision, Mode::checksum, Mode::repeat};
        check_all_in_full(config);
    } else if (name == "paranoid") {
        config.modes = {Mode::trace, Mode::improve_precision, Mode::checksum, Mode::repeat};
        check_all_in_full(config);
        config.checksum.columns = 16;
        config.checksum.vectors = 4;
    }
    return config;
}

}  // namespace

bool check_profile(std::string_view name, const std::string& file, std::vector<Fault>* faults) {
    const std::string text(name);
    if (std::find(names.begin(), names.end(), text) != names.end()) return true;
    add_fault({file, 0, 0, ""}, "profile: '" + text + "' is not a value of it" + suggestion(text, names),
              faults);
    return false;
}

Config start(const Beside& beside, const std::string& profile_of_file, bool file_names_modes) {
    const std::string& name = beside.profile.empty() ? profile_of_file : beside.profile;
    if (std::find(names.begin(), names.end(), name) != names.end()) return of_profile(name);
    if (!beside.modes && !file_names_modes) return of_profile("always_on");
    Config config;
    check_all_in_full(config);
    return config;
}

}  // namespace fumi::config
