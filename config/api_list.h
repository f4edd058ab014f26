// API lists: which torch APIs a run looks at, one name or glob a line.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace fumi::config {

// The torch APIs that FuMi can name, sorted, ended by nullptr; generated from mapping's tables.
const char* const* api_names() noexcept;

// Says nothing where `name` is a known API or a glob that matches one; else adds a fault that names the
// nearest.
void check_api(const std::string& name, const Fault& where, std::vector<Fault>* faults);

// One name or glob a line, # starts a comment. Unknown names are faults, and stay in the list (they match
// nothing).
std::vector<std::string> parse_api_list(const std::string& text, const std::string& file,
                                        std::vector<Fault>* faults);
std::vector<std::string> load_api_list(const std::string& path, std::vector<Fault>* faults);

// The text of a file; a fault that says why where it cannot be read, or is a directory.
bool read_file(const std::string& path, std::string* text, std::vector<Fault>* faults);

}  // namespace fumi::config
