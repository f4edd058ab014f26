// Writes a session file. One thread at a time (the hook's drainer); rows become durable at each flush, so
// that a killed process leaves a readable file with all but the last flush interval.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "cupti_hook/session/records.h"

namespace fumi::session {

class Writer {
  public:
    // Creates the file at `path` (its directory too) with the schema, and starts a transaction.
    // nullptr with a message that names the path and the remedy in *error on failure. An existing file is
    // replaced.
    static std::unique_ptr<Writer> create(const std::string& path, std::string* error);
    ~Writer();  // flushes
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // All return false after an error (disk full...); error() says which. The writer then drops rows, never
    // throws.
    bool set(std::string_view key, std::string_view value) noexcept;  // the view session(key, value)
    bool add(const CallRecord& call) noexcept;
    bool add(
        const CheckRecord& check) noexcept;  // replaces the row of the same check_id: a graph's check grows
    bool update_not_checked(std::int64_t call_id, std::string_view reason) noexcept;
    bool flush() noexcept;  // commits, and starts the next transaction
    const std::string& error() const noexcept;

  private:
    struct Impl;
    explicit Writer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace fumi::session
