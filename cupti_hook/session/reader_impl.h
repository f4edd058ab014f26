// What the parts of Reader share. Not for users of the session.
#pragma once
#include "cupti_hook/session/reader.h"
#include "cupti_hook/session/sqlite.h"

namespace fumi::session {

struct Reader::Impl {
    Database db;
    std::string path;
    std::string copy_directory;  // where a private copy was needed; removed with the reader
    bool summed = false;         // the temporary table per_call is there
    void sum_checks();           // makes it
    ~Impl();
};

}  // namespace fumi::session
