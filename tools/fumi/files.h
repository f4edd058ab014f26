// Which session files a run writes.
#pragma once
#include <ctime>
#include <string>
#include <vector>

namespace fumi::tool {

// The files that a run with this output path (absolute, %p not yet replaced) can write: NAME with %p as any
// number, and, for a name without %p, NAME-PID.EXT beside it (config::session_path). Those changed since
// `since`, in order of their names.
std::vector<std::string> session_files(const std::string& output, std::timespec since);

// Makes way for a new file at `path`: "" on success, else why not. Only a session is removed, never
// somebody's other file.
std::string clear_old_session(const std::string& path);

// NAME.fumi of a run that was killed before its first flush, and FuMi's own claim of a name, are empty.
bool is_empty_file(const std::string& path);

}  // namespace fumi::tool
