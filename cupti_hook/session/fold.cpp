#include "cupti_hook/session/fold.h"

#include <exception>
#include <filesystem>

#include "cupti_hook/session/schema.h"
#include "cupti_hook/session/sqlite.h"

namespace fumi::session {

void fold_log(const std::string& path) noexcept try {
    std::error_code code;
    if (!std::filesystem::exists(path + "-wal", code)) return;
    sqlite3* raw = nullptr;
    const int opened =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    const Database db(raw);
    if (opened != SQLITE_OK || scalar(raw, "PRAGMA application_id") != std::to_string(application_id)) return;
    // Out of WAL altogether: else every later reader would leave an empty log beside the file again.
    execute(raw, "PRAGMA journal_mode=DELETE");
} catch (const std::exception&) {
    return;  // the log stays where it is, and is read from there
}

}  // namespace fumi::session
