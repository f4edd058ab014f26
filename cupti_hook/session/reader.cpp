#include "cupti_hook/session/reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "cupti_hook/session/reader_impl.h"
#include "cupti_hook/session/schema.h"

namespace fumi::session {

namespace fs = std::filesystem;

namespace {

Database open_database(const std::string& name, int flags) {
    sqlite3* db = nullptr;
    const int result =
        sqlite3_open_v2(name.c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, nullptr);
    Database owned(db);
    if (result != SQLITE_OK) return nullptr;
    sqlite3_busy_timeout(db, 5000);
    // Opening touches nothing yet; only a read shows whether the log can be used where the file lies.
    if (!execute(db, "SELECT count(*) FROM sqlite_master")) return nullptr;
    return owned;
}

// file:PATH?immutable=1 with the characters that a URI gives a meaning to escaped.
std::string immutable_uri(const std::string& path) {
    std::string uri = "file:";
    for (const char c : fs::absolute(path).string()) {
        if (c == '%' || c == '?' || c == '#') {
            static const char* const digits = "0123456789ABCDEF";
            const auto byte = static_cast<unsigned char>(c);
            uri += '%';
            uri += digits[byte >> 4];
            uri += digits[byte & 15];
        } else {
            uri += c;
        }
    }
    return uri + "?immutable=1";
}

// A log on a directory where nothing may be created: read a private copy of both files.
std::string copy_aside(const std::string& path, std::string* directory) {
    std::error_code code;
    std::string pattern = (fs::temp_directory_path(code) / "fumi-XXXXXX").string();
    if (code || mkdtemp(pattern.data()) == nullptr) return {};
    *directory = pattern;
    const std::string copy = pattern + "/session.fumi";
    fs::copy_file(path, copy, code);
    if (!code) fs::copy_file(path + "-wal", copy + "-wal", code);
    return code ? std::string() : copy;
}

bool has_log(const std::string& path) {
    std::error_code code;
    const auto size = fs::file_size(path + "-wal", code);
    return !code && size > 0;
}

std::string check_header(sqlite3* db, const std::string& path) {
    if (scalar(db, "PRAGMA application_id") != std::to_string(application_id))
        return path + " is an SQLite database, but not a FuMi session";
    const std::string version = scalar(db, "PRAGMA user_version");
    const long number = std::strtol(version.c_str(), nullptr, 10);
    if (number < schema_version)
        return path + " was written by an older FuMi (schema " + version + ", this one reads " +
               std::to_string(schema_version) + "): record the run anew, or read it with that FuMi";
    if (number > schema_version)
        return path + " was written by a newer FuMi (schema " + version + ", this one reads up to " +
               std::to_string(schema_version) + "): update FuMi to read it";
    return {};
}

CallRecord read_call(const Statement& row, int column) {
    CallRecord call;
    call.call_id = row.integer(column++);
    call.start_ns = row.integer(column++);
    call.process = row.integer(column++);
    call.rank = static_cast<std::int32_t>(row.integer(column++));
    call.thread = row.integer(column++);
    call.device = static_cast<std::int32_t>(row.integer(column++));
    call.stream = static_cast<std::uint64_t>(row.integer(column++));
    for (std::string* text : {&call.library, &call.function, &call.api, &call.op}) *text = row.text(column++);
    const std::string phase = row.text(column++);
    call.phase = phase == "forward" ? Phase::forward : phase == "backward" ? Phase::backward : Phase::none;
    for (std::string* text : {&call.location, &call.module, &call.kernel, &call.shape, &call.dtypes,
                              &call.compute_type, &call.epilogue, &call.algorithm, &call.not_checked})
        *text = row.text(column++);
    call.parent = row.integer(column);
    return call;
}

CheckRecord read_check(const Statement& row, int column) {
    CheckRecord check;
    check.check_id = row.integer(column++);
    check.call_id = row.integer(column++);
    for (std::string* text : {&check.mode, &check.reference, &check.coverage}) *text = row.text(column++);
    check.elements = row.integer(column++);
    for (double* measure :
         {&check.max_abs_err, &check.max_rel_err, &check.rms_rel_err, &check.backward_error, &check.bound,
          &check.effective_bits, &check.amplification, &check.significant_digits})
        *measure = row.real(column++);
    check.mismatches = row.integer(column++);
    check.nonfinite = row.integer(column++);
    const std::string verdict = row.text(column++);
    check.verdict = verdict == "pass"   ? Verdict::pass
                    : verdict == "warn" ? Verdict::warn
                    : verdict == "fail" ? Verdict::fail
                                        : Verdict::none;
    check.reason = row.text(column++);
    check.check_ns = row.integer(column);
    return check;
}

constexpr int call_columns = 22;

}  // namespace

Reader::Impl::~Impl() {
    db.reset();
    std::error_code code;
    if (!copy_directory.empty()) fs::remove_all(copy_directory, code);
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::~Reader() = default;

std::unique_ptr<Reader> Reader::open(const std::string& path, std::string* error) {
    std::error_code code;
    if (!fs::exists(path, code)) {
        *error = "there is no session file " + path;
        return nullptr;
    }
    if (fs::is_directory(path, code)) {
        *error = path + " is a directory; name a .fumi file";
        return nullptr;
    }
    auto impl = std::make_unique<Impl>();
    impl->path = path;
    impl->db = open_database(path, 0);
    if (impl->db == nullptr && !has_log(path)) impl->db = open_database(immutable_uri(path), SQLITE_OPEN_URI);
    if (impl->db == nullptr && has_log(path)) {
        const std::string copy = copy_aside(path, &impl->copy_directory);
        if (!copy.empty()) impl->db = open_database(copy, 0);
    }
    if (impl->db == nullptr) {
        *error = path + " is not a FuMi session, or cannot be read";
        return nullptr;
    }
    *error = check_header(impl->db.get(), path);
    if (!error->empty()) return nullptr;
    return std::unique_ptr<Reader>(new Reader(std::move(impl)));
}

const std::string& Reader::path() const noexcept {
    return impl_->path;
}

std::vector<std::pair<std::string, std::string>> Reader::values() const {
    std::vector<std::pair<std::string, std::string>> values;
    Statement query(impl_->db.get(), "SELECT key, value FROM session ORDER BY key");
    while (query.step()) values.emplace_back(query.text(0), query.text(1));
    return values;
}

std::string Reader::value(const std::string& key) const {
    Statement query(impl_->db.get(), "SELECT value FROM session WHERE key = ?");
    query.bind(std::string_view(key));
    return query.step() ? query.text(0) : std::string();
}

std::vector<Suspect> Reader::worst(int limit) const {
    // The order is found on the bare table: the views resolve nine strings a row, wanted for `limit` rows
    // only.
    Statement query(impl_->db.get(), R"sql(
        WITH chosen AS (
            SELECT check_id AS id, verdict AS v, coalesce(backward_error / nullif(bound, 0), -1) AS share
            FROM check_row ORDER BY v DESC, share DESC, call_id, check_id LIMIT ?)
        SELECT c.*, k.* FROM chosen JOIN checks k ON k.check_id = chosen.id JOIN calls c ON c.call_id = k.call_id
        ORDER BY v DESC, share DESC, c.call_id, k.check_id)sql");
    query.bind(std::int64_t{limit});
    std::vector<Suspect> suspects;
    while (query.step()) suspects.push_back({read_call(query, 0), read_check(query, call_columns)});
    return suspects;
}

std::optional<NonFinite> Reader::first_nonfinite() const {
    Statement query(impl_->db.get(), R"sql(
        SELECT c.*, n.elements, n.inputs, (SELECT max(verdict) FROM check_row WHERE call_id = n.call_id)
        FROM (SELECT * FROM nonfinite LIMIT 1) n JOIN calls c ON c.call_id = n.call_id)sql");
    if (!query.step()) return std::nullopt;
    return NonFinite{read_call(query, 0), query.integer(call_columns), query.text(call_columns + 1),
                     static_cast<Verdict>(query.integer(call_columns + 2))};
}

std::vector<CheckRecord> Reader::checks_of(std::int64_t call_id) const {
    // By rowid of the bare table, which has an index of calls; the view's columns follow.
    Statement query(impl_->db.get(), R"sql(
        SELECT * FROM checks WHERE check_id IN (SELECT check_id FROM check_row WHERE call_id = ?)
        ORDER BY check_id)sql");
    query.bind(call_id);
    std::vector<CheckRecord> found;
    while (query.step()) found.push_back(read_check(query, 0));
    return found;
}

void Reader::checks(const std::function<bool(const Suspect&)>& visit, std::int64_t every) const {
    Statement query(impl_->db.get(), R"sql(
        SELECT c.*, k.* FROM checks k JOIN calls c ON c.call_id = k.call_id
        WHERE k.check_id IN (SELECT check_id FROM check_row WHERE verdict > 1 OR check_id % ?1 = 0)
        ORDER BY k.call_id, k.check_id)sql");
    query.bind(std::max<std::int64_t>(1, every));
    while (query.step())
        if (!visit({read_call(query, 0), read_check(query, call_columns)})) return;
}

void Reader::calls(const std::function<bool(const CallRecord&)>& visit) const {
    Statement query(impl_->db.get(), "SELECT * FROM calls ORDER BY call_id");
    while (query.step())
        if (!visit(read_call(query, 0))) return;
}

std::pair<std::int64_t, std::int64_t> Reader::time_span() const {
    Statement query(impl_->db.get(), "SELECT min(start_ns), max(start_ns) FROM call_row");
    if (!query.step()) return {0, 0};
    return {query.integer(0), query.integer(1)};
}

}  // namespace fumi::session
