// Reads a session file: the only way the tools get at one. The file is never changed, may still be written by
// a running program, may have been left behind by a killed one (a -wal file beside it), and may lie on a
// read-only directory.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cupti_hook/session/records.h"

namespace fumi::session {

// How many calls came to which end. pass, warn and fail count calls by the worst verdict among their checks.
// A library call that an operation of torch with a row of its own made counts as part of that operation, but
// for groups by function or kernel.
struct Counts {
    std::int64_t calls = 0, checked = 0, pass = 0, warn = 0, fail = 0;
};

// Calls that share one value of a column.
struct Group : Counts {
    std::string key;              // the value; "" where it is unknown
    std::string phase;            // for By::api, whose groups are one api in one phase; else ""
    double worst_backward_error;  // max |e| / (u G) of the worst check (the one with the highest verdict,
                                  // then the largest share of its bound); NaN where nothing was checked
    double worst_bound;           // that check's bound, in u
    double min_effective_bits;
    double max_amplification;
    std::int64_t worst_call_id = 0;
    std::string worst_reason;
    std::int64_t check_ns = 0;  // time spent on checks
    Group();
};

enum class By { api, op, function, kernel, location, module, dtypes };

struct Missed {  // calls that were not checked, by reason
    std::string reason;
    std::int64_t calls = 0;
};

struct NonFinite {  // of a call whose output was not finite
    CallRecord call;
    std::int64_t elements = 0;        // as many as one of its checks saw
    std::string inputs;               // finite | not finite | "" where that is not known
    Verdict verdict = Verdict::none;  // the call's
};

struct Suspect {  // a check and its call
    CallRecord call;
    CheckRecord check;
};

class Reader {
  public:
    // nullptr with a message that names the path and the remedy in *error: no such file, not a session, made
    // by a newer FuMi.
    static std::unique_ptr<Reader> open(const std::string& path, std::string* error);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    const std::string& path() const noexcept;
    std::vector<std::pair<std::string, std::string>> values() const;  // the view session, by key
    std::string value(const std::string& key) const;                  // "" where absent

    Counts counts() const;
    // Over the checks that were in the file at the first call of groups.
    std::vector<Group> groups(By by) const;  // fails first, then warns, then by the number of calls
    std::vector<Missed> missed() const;      // the most frequent reason first
    std::vector<Suspect> worst(
        int limit) const;  // checks, the worst first: by verdict, then by share of the bound
    std::optional<NonFinite> first_nonfinite() const;  // of the checked calls, in order of issue
    std::vector<CheckRecord> checks_of(std::int64_t call_id) const;
    // Every check with its call in order of issue, until the callback returns false. every > 1: all that warn
    // or fail, and each n-th of the others.
    void checks(const std::function<bool(const Suspect&)>& visit, std::int64_t every = 1) const;
    void calls(const std::function<bool(const CallRecord&)>& visit) const;
    std::pair<std::int64_t, std::int64_t> time_span() const;  // start_ns of the first and the last call

  private:
    struct Impl;
    explicit Reader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// The orders and column names of By: api, op, function, kernel, location, module, dtypes.
const char* name(By by) noexcept;

}  // namespace fumi::session
