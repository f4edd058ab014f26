// API lists: which torch APIs a run looks at, one name or glob a line.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace fumi::config {

// `name` as sessions write it: torch.Tensor.mm, aten::mm and torch.mm are one API. Globs over such names stay
// as they are; those over other names become the APIs that they match. Where there is none, a fault is added
// that names the nearest.
std::vector<std::string> canonical_apis(const std::string& name, const Fault& where,
                                        std::vector<Fault>* faults);

// One name or glob a line, # starts a comment. Unknown names are faults, and stay in the list (they match
// nothing).
std::vector<std::string> parse_api_list(const std::string& text, const std::string& file,
                                        std::vector<Fault>* faults);
std::vector<std::string> load_api_list(const std::string& path, std::vector<Fault>* faults);

// The text of a file; a fault that says why where it cannot be read, or is a directory.
bool read_file(const std::string& path, std::string* text, std::vector<Fault>* faults);

}  // namespace fumi::config
