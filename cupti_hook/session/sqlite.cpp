#include "cupti_hook/session/sqlite.h"

#include <limits>

namespace fumi::session {

Statement::Statement(sqlite3* db, std::string_view sql) noexcept {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                           &statement, nullptr) == SQLITE_OK)
        statement_.reset(statement);
}

Statement& Statement::bind(std::int64_t value) noexcept {
    sqlite3_bind_int64(get(), next_++, value);
    return *this;
}

Statement& Statement::bind(double value) noexcept {
    sqlite3_bind_double(get(), next_++, value);
    return *this;
}

Statement& Statement::bind(std::string_view value) noexcept {
    const char* text = value.data() == nullptr ? "" : value.data();
    sqlite3_bind_text(get(), next_++, text, static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind_null() noexcept {
    sqlite3_bind_null(get(), next_++);
    return *this;
}

bool Statement::run() noexcept {
    const int result = sqlite3_step(get());
    reset();
    return result == SQLITE_DONE || result == SQLITE_ROW;
}

bool Statement::step() noexcept {
    return sqlite3_step(get()) == SQLITE_ROW;
}

void Statement::reset() noexcept {
    sqlite3_reset(get());
    next_ = 1;
}

std::int64_t Statement::integer(int column) const noexcept {
    return sqlite3_column_int64(get(), column);
}

double Statement::real(int column) const noexcept {
    if (sqlite3_column_type(get(), column) == SQLITE_NULL) return std::numeric_limits<double>::quiet_NaN();
    return sqlite3_column_double(get(), column);
}

std::string Statement::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(get(), column));
    if (text == nullptr) return {};
    return {text, static_cast<std::size_t>(sqlite3_column_bytes(get(), column))};
}

bool execute(sqlite3* db, const char* sql) noexcept {
    return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

std::string scalar(sqlite3* db, const char* sql) {
    Statement statement(db, sql);
    return statement.ok() && statement.step() ? statement.text(0) : std::string();
}

}  // namespace fumi::session
