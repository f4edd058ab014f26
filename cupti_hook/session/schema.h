// The SQL of a .fumi file. The views are its public face (session, calls, checks, nonfinite, apis); the
// tables under them may change with schema_version, which is the file's PRAGMA user_version.
#pragma once

namespace fumi::session {

inline constexpr int schema_version = 2;
inline constexpr int application_id =
    0x46754D69;  // "FuMi", so that file(1) and the reader know a session from any database

extern const char* const schema_sql;  // creates tables and views in an empty database

}  // namespace fumi::session
