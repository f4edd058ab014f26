// Starts the program under test and waits for it as a shell would: the terminal stays its own, signals reach
// it.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace fumi::tool {

struct Ended {
    int status =
        0;  // the program's own; 128 + signal where one ended it; 126, 127 where it could not be started
    std::string failure;  // why it could not be started, "" where it was
    double seconds = 0;
};

// `environment` is added to this process's; an empty value removes the variable.
Ended launch(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment);

}  // namespace fumi::tool
