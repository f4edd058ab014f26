#include "cupti_hook/session/writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <unordered_map>

#include "cupti_hook/session/schema.h"
#include "cupti_hook/session/sqlite.h"

namespace fumi::session {

namespace {

constexpr const char* remedy = "; choose another file with FUMI_OUTPUT or fumi run -o";

// Reasons may hold the values of one element and so differ from call to call: past this many strings the map
// starts anew and the file's own index answers.
constexpr std::size_t max_interned = 1 << 16;

std::string failure(const std::string& path, const std::string& what) {
    return "cannot write the session " + path + ": " + what + remedy;
}

// SQLite would append to what it finds, and would replay a journal that belongs to the file that was there
// before.
bool remove_old(const std::string& path, std::string* error) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
        const std::string file = path + suffix;
        if (unlink(file.c_str()) != 0 && errno != ENOENT) {
            *error = failure(path, "an old " + file + " cannot be removed (" + std::strerror(errno) + ")");
            return false;
        }
    }
    return true;
}

// WAL: a commit is an append, a reader never blocks the writer, and a killed process needs no repair.
// synchronous=OFF: what was committed survives the death of the process; only a power failure can lose it,
// and no fsync may stall the drainer.
bool prepare(sqlite3* db) {
    sqlite3_busy_timeout(db, 2000);
    if (scalar(db, "PRAGMA journal_mode=WAL") != "wal") {
        // File systems without shared memory mappings: WAL works there with its index in this process alone.
        execute(db, "PRAGMA locking_mode=EXCLUSIVE");
        if (scalar(db, "PRAGMA journal_mode=WAL") != "wal") return false;
    }
    const std::string header = "PRAGMA application_id=" + std::to_string(application_id) +
                               "; PRAGMA user_version=" + std::to_string(schema_version);
    return execute(db, "PRAGMA synchronous=OFF") && execute(db, "BEGIN") && execute(db, header.c_str()) &&
           execute(db, schema_sql) && execute(db, "COMMIT") && execute(db, "BEGIN");
}

}  // namespace

struct Writer::Impl {
    Database db;
    std::string path, error;
    Statement insert_string, find_string, insert_value, insert_call, insert_check, set_not_checked;
    std::unordered_map<std::string, std::int64_t> interned;
    pid_t owner = getpid();

    bool compile() {
        sqlite3* d = db.get();
        insert_string = {d, "INSERT OR IGNORE INTO string(text) VALUES(?)"};
        find_string = {d, "SELECT id FROM string WHERE text = ?"};
        insert_value = {d, "INSERT OR REPLACE INTO session_value VALUES(?,?)"};
        insert_call = {d, "INSERT INTO call_row VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"};
        insert_check = {d,
                        "INSERT OR REPLACE INTO check_row VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"};
        set_not_checked = {d, "UPDATE call_row SET not_checked = ? WHERE call_id = ?"};
        return insert_string.ok() && find_string.ok() && insert_value.ok() && insert_call.ok() &&
               insert_check.ok() && set_not_checked.ok();
    }

    bool fail(const char* what) noexcept try {
        if (error.empty())
            error =
                "session " + path + ": " + what + ": " + sqlite3_errmsg(db.get()) + "; later rows are lost";
        return false;
    } catch (const std::bad_alloc&) {
        return false;
    }

    std::int64_t intern(std::string_view text) {
        std::string key(text);
        if (const auto found = interned.find(key); found != interned.end()) return found->second;
        std::int64_t id = 0;
        if (!insert_string.bind(text).run()) {
            fail("a string cannot be stored");
            return 0;
        }
        if (sqlite3_changes(db.get()) == 1) {
            id = sqlite3_last_insert_rowid(db.get());
        } else {
            find_string.bind(text);
            if (find_string.step()) id = find_string.integer(0);
            find_string.reset();
        }
        if (interned.size() >= max_interned) interned.clear();
        interned.emplace(std::move(key), id);
        return id;
    }

    // Every entry of the class: no row after an error, no row from a forked child (the parent's SQLite
    // connection must not be used there), no exception out.
    template <typename Body>
    bool guarded(Body body) noexcept {
        if (!error.empty() || owner != getpid()) return false;
        try {
            return body();
        } catch (const std::exception& exception) {
            return fail(exception.what());
        }
    }
};

Writer::Writer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::unique_ptr<Writer> Writer::create(const std::string& path, std::string* error) {
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    std::error_code code;
    if (!parent.empty()) std::filesystem::create_directories(parent, code);
    if (code) {
        *error = failure(path, "its directory cannot be made (" + code.message() + ")");
        return nullptr;
    }
    if (!remove_old(path, error)) return nullptr;

    auto impl = std::make_unique<Impl>();
    impl->path = path;
    sqlite3* db = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int opened = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
    impl->db.reset(db);
    if (opened != SQLITE_OK || !prepare(db) || !impl->compile()) {
        const int cause = sqlite3_system_errno(db);
        *error = failure(path, cause != 0 ? std::strerror(cause) : sqlite3_errmsg(db));
        return nullptr;
    }
    return std::unique_ptr<Writer>(new Writer(std::move(impl)));
}

Writer::~Writer() {
    if (impl_->owner != getpid()) {
        (void)
            impl_.release();  // closing in a forked child would drop the parent's locks and truncate its log
        return;
    }
    // A finished session is one file, without a log that readers would have to open again.
    impl_->guarded([this] {
        return execute(impl_->db.get(), "COMMIT") && execute(impl_->db.get(), "PRAGMA journal_mode=DELETE");
    });
}

bool Writer::set(std::string_view key, std::string_view value) noexcept {
    return impl_->guarded([&] {
        return impl_->insert_value.bind(key).bind(value).run() ||
               impl_->fail("a session value cannot be stored");
    });
}

bool Writer::add(const CallRecord& c) noexcept {
    return impl_->guarded([&] {
        Impl& w = *impl_;
        const std::int64_t library = w.intern(c.library), function = w.intern(c.function),
                           api = w.intern(c.api), op = w.intern(c.op), location = w.intern(c.location),
                           module = w.intern(c.module), kernel = w.intern(c.kernel),
                           shape = w.intern(c.shape), dtypes = w.intern(c.dtypes),
                           compute = w.intern(c.compute_type), epilogue = w.intern(c.epilogue),
                           algorithm = w.intern(c.algorithm), not_checked = w.intern(c.not_checked);
        w.insert_call.bind(c.call_id)
            .bind(c.start_ns)
            .bind(c.process)
            .bind(std::int64_t{c.rank})
            .bind(c.thread);
        w.insert_call.bind(std::int64_t{c.device}).bind(static_cast<std::int64_t>(c.stream));
        w.insert_call.bind(library).bind(function).bind(api).bind(op).bind(
            static_cast<std::int64_t>(c.phase));
        w.insert_call.bind(location).bind(module).bind(kernel).bind(shape).bind(dtypes).bind(compute);
        return w.insert_call.bind(epilogue).bind(algorithm).bind(not_checked).bind(c.parent).run() ||
               w.fail("a call cannot be stored");
    });
}

bool Writer::add(const CheckRecord& k) noexcept {
    return impl_->guarded([&] {
        Impl& w = *impl_;
        const std::int64_t mode = w.intern(k.mode), reference = w.intern(k.reference),
                           coverage = w.intern(k.coverage), reason = w.intern(k.reason);
        k.check_id > 0 ? w.insert_check.bind(k.check_id) : w.insert_check.bind_null();
        w.insert_check.bind(k.call_id).bind(mode).bind(reference).bind(coverage).bind(k.elements);
        w.insert_check.bind(k.max_abs_err).bind(k.max_rel_err).bind(k.rms_rel_err).bind(k.backward_error);
        w.insert_check.bind(k.bound).bind(k.effective_bits).bind(k.amplification).bind(k.significant_digits);
        w.insert_check.bind(k.mismatches)
            .bind(k.nonfinite)
            .bind(static_cast<std::int64_t>(k.verdict))
            .bind(reason);
        w.insert_check.bind(k.check_ns).bind(k.launches);
        k.inputs_finite < 0 ? w.insert_check.bind_null() : w.insert_check.bind(std::int64_t{k.inputs_finite});
        return w.insert_check.run() || w.fail("a check cannot be stored");
    });
}

bool Writer::update_not_checked(std::int64_t call_id, std::string_view reason) noexcept {
    return impl_->guarded([&] {
        const std::int64_t id = impl_->intern(reason);
        return impl_->set_not_checked.bind(id).bind(call_id).run() ||
               impl_->fail("a reason cannot be stored");
    });
}

bool Writer::flush() noexcept {
    return impl_->guarded([this] {
        if (!execute(impl_->db.get(), "COMMIT") || !execute(impl_->db.get(), "BEGIN"))
            return impl_->fail("rows cannot be committed");
        // The log moves into the file at each flush, so that a file copied away without its -wal is whole
        // too.
        sqlite3_wal_checkpoint_v2(impl_->db.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
        return true;
    });
}

const std::string& Writer::error() const noexcept {
    return impl_->error;
}

}  // namespace fumi::session
