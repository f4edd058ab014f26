// The little of SQLite that the session needs: owned handles, and statements bound by position. Nothing
// throws.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace fumi::session {

struct CloseDatabase {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

class Statement {
  public:
    Statement() = default;
    Statement(sqlite3* db, std::string_view sql) noexcept;  // ok() is false where the SQL does not compile
    bool ok() const noexcept { return statement_ != nullptr; }
    sqlite3_stmt* get() const noexcept { return statement_.get(); }

    // Parameters in order, from the first after each reset.
    Statement& bind(std::int64_t value) noexcept;
    Statement& bind(double value) noexcept;            // NaN becomes NULL
    Statement& bind(std::string_view value) noexcept;  // not copied: must live until run() or the last step()
    Statement& bind_null() noexcept;

    bool run() noexcept;   // executes, resets; false on error
    bool step() noexcept;  // true where there is a row
    void reset() noexcept;

    std::int64_t integer(int column) const noexcept;
    double real(int column) const noexcept;  // NULL is NaN
    std::string text(int column) const;

  private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    int next_ = 1;
};

bool execute(sqlite3* db, const char* sql) noexcept;
std::string scalar(sqlite3* db,
                   const char* sql);  // the first column of the first row, "" where there is none

}  // namespace fumi::session
