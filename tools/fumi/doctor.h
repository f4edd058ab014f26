// fumi doctor: what is hooked on this machine, what is not, and why.
#pragma once
#include <string>
#include <vector>

namespace fumi::tool {

// With a command: runs it once in trace mode and lists what was intercepted. 1 where something that `fumi
// run` needs is missing, else 0.
int doctor(bool json, const std::vector<std::string>& command);

}  // namespace fumi::tool
