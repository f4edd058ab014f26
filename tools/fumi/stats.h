// fumi stats: the calls of a session in groups.
#pragma once
#include <string>

namespace fumi::tool {

// by: api, op, function, kernel, location, module, dtypes. format: table, json, csv, tsv. Prints to stdout; 1
// on an error.
int stats(const std::string& file, const std::string& by, const std::string& format);

}  // namespace fumi::tool
