// Makes one file of a session whose writer has ended.
#pragma once
#include <string>

namespace fumi::session {

// Folds the log that a killed or hurried process left beside the file (-wal, -shm) into it, so that the file
// can be copied alone. Harmless while the session is still being written or cannot be written here: then the
// log stays.
void fold_log(const std::string& path) noexcept;

}  // namespace fumi::session
