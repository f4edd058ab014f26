// fumi report: one HTML page that needs nothing else.
#pragma once
#include <string>

namespace fumi::tool {

// Writes the page of the session `file` to `output`. 1 on an error.
int report(const std::string& file, const std::string& output);

}  // namespace fumi::tool
