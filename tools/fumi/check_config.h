// fumi check-config: each fault of a config with its line and column.
#pragma once
#include <string>

namespace fumi::tool {

// 0 where the file has no fault, else 1. With `print` the whole effective config goes to stdout.
int check_config(const std::string& file, bool print);

}  // namespace fumi::tool
