#include "tools/fumi/check_config.h"

#include <fmt/format.h>

#include "config/config.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

int check_config(const std::string& file, bool print) {
    std::vector<config::Fault> faults;
    const config::Config config = config::load(file, &faults);
    for (const config::Fault& fault : faults) fmt::print(stderr, "{}\n", fault.text());
    if (print) fmt::print("{}", config::print(config));
    if (!faults.empty()) {
        say(plural(static_cast<std::int64_t>(faults.size()), "fault") + " in " + file);
        return 1;
    }
    if (!print) fmt::print("{}: no faults\n", file);
    return 0;
}

}  // namespace fumi::tool
