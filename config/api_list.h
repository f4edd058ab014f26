// API lists: which torch APIs a run looks at, one name or glob a line.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace fumi::config {

// `name` as a session writes it: torch.Tensor.mm and torch.mm are one API. Globs stay as they are. A fault
// that names the nearest known API is added where there is none, or none that the glob matches. foreign: the
// name may come from FuMi's torch_api.txt, which lists APIs too that reach no library and so are in no table;
// then only a name that is plainly a misspelt known one is a fault.
std::string canonical_api(const std::string& name, const Fault& where, bool foreign,
                          std::vector<Fault>* faults);

// One name or glob a line, # starts a comment. Unknown names are faults, and stay in the list (they match
// nothing).
std::vector<std::string> parse_api_list(const std::string& text, const std::string& file,
                                        std::vector<Fault>* faults);
std::vector<std::string> load_api_list(const std::string& path, std::vector<Fault>* faults);

// The text of a file; a fault that says why where it cannot be read, or is a directory.
bool read_file(const std::string& path, std::string* text, std::vector<Fault>* faults);

}  // namespace fumi::config
