// The aggregates of a session.
#include <limits>

#include "cupti_hook/session/reader_impl.h"

namespace fumi::session {

Group::Group()
    : worst_backward_error(std::numeric_limits<double>::quiet_NaN()),
      worst_bound(worst_backward_error),
      min_effective_bits(worst_backward_error),
      max_amplification(worst_backward_error) {}

const char* name(By by) noexcept {
    switch (by) {
        case By::api:
            return "api";
        case By::op:
            return "op";
        case By::function:
            return "function";
        case By::kernel:
            return "kernel";
        case By::location:
            return "location";
        case By::module:
            return "module";
        case By::dtypes:
            return "dtypes";
    }
    return "";
}

Counts Reader::counts() const {
    Statement query(impl_->db.get(), R"sql(
        WITH families AS (SELECT max(k.verdict) AS verdict FROM call_row r
                          LEFT JOIN check_row k ON k.call_id = r.call_id GROUP BY r.root)
        SELECT count(*), count(verdict), coalesce(sum(verdict = 1), 0), coalesce(sum(verdict = 2), 0),
               coalesce(sum(verdict = 3), 0) FROM families)sql");
    Counts counts;
    if (query.step()) {
        int column = 0;
        for (std::int64_t* count : {&counts.calls, &counts.checked, &counts.pass, &counts.warn, &counts.fail})
            *count = query.integer(column++);
    }
    return counts;
}

namespace {

// The grouping column is one of our own names, never text from outside. The second query leans on SQLite's
// promise that a bare column beside a single max() comes from the row that has the maximum: one pass, where a
// window function would sort.
std::string group_query(By by) {
    const std::string column = std::string("r.") + name(by);
    const std::string phase = by == By::api ? "r.phase" : "0";
    const std::string unit = by == By::function || by == By::kernel ? "r.call_id" : "r.root";
    return "WITH families AS (SELECT " + column + " AS key, " + phase +
           " AS phase, max(p.verdict) AS verdict, min(p.bits) AS bits, max(p.kappa) AS kappa, sum(p.ns) AS ns"
           " FROM call_row r LEFT JOIN per_call p ON p.call_id = r.call_id GROUP BY 1, 2, " +
           unit +
           "),"
           " counted AS (SELECT key, phase, count(*) AS calls, count(verdict) AS checked,"
           " coalesce(sum(verdict = 1), 0) AS pass, coalesce(sum(verdict = 2), 0) AS warn,"
           " coalesce(sum(verdict = 3), 0) AS fail, min(bits) AS bits, max(kappa) AS kappa,"
           " coalesce(sum(ns), 0) AS ns FROM families GROUP BY 1, 2),"
           " worst AS (SELECT " +
           column + " AS key, " + phase +
           " AS phase, max(p.badness), p.call_id AS call_id, p.eta AS eta, p.bound AS bound, p.reason AS "
           "reason"
           " FROM per_call p JOIN call_row r ON r.call_id = p.call_id GROUP BY 1, 2)"
           " SELECT (SELECT text FROM string WHERE id = n.key), n.phase, n.calls, n.checked, n.pass, n.warn, "
           "n.fail,"
           " w.eta, w.bound, n.bits, n.kappa, w.call_id, (SELECT text FROM string WHERE id = w.reason), n.ns"
           " FROM counted n LEFT JOIN worst w ON w.key = n.key AND w.phase = n.phase"
           " ORDER BY n.fail DESC, n.warn DESC, n.calls DESC, 1, 2";
}

}  // namespace

// One row for each checked call: its worst check (badness: the verdict first, then the share of the bound,
// which x / (1 + x) brings below 1) and its sums. Made once; every grouping reads it. TEMP: the file itself
// is not touched.
void Reader::Impl::sum_checks() {
    if (summed) return;
    summed = execute(db.get(), R"sql(
        CREATE TEMP TABLE per_call(call_id INTEGER PRIMARY KEY, badness REAL, eta REAL, bound REAL, reason INTEGER,
                                   verdict INTEGER, bits REAL, kappa REAL, ns INTEGER);
        INSERT INTO per_call(call_id, badness, eta, bound, reason)
            SELECT call_id, max(verdict * 2 + coalesce(1 - 1 / (1 + backward_error / nullif(bound, 0)), 0)),
                   backward_error, bound, reason FROM check_row GROUP BY call_id;
        WITH sums AS (SELECT call_id, max(verdict) AS verdict, min(effective_bits) AS bits,
                             max(amplification) AS kappa, sum(check_ns) AS ns FROM check_row GROUP BY call_id)
        UPDATE per_call SET verdict = sums.verdict, bits = sums.bits, kappa = sums.kappa, ns = sums.ns
            FROM sums WHERE sums.call_id = per_call.call_id)sql");
}

std::vector<Group> Reader::groups(By by) const {
    impl_->sum_checks();
    Statement query(impl_->db.get(), group_query(by));
    std::vector<Group> groups;
    while (query.step()) {
        Group group;
        group.key = query.text(0);
        if (by == By::api) group.phase = name(static_cast<Phase>(query.integer(1)));
        int column = 2;
        for (std::int64_t* count : {&group.calls, &group.checked, &group.pass, &group.warn, &group.fail})
            *count = query.integer(column++);
        for (double* measure : {&group.worst_backward_error, &group.worst_bound, &group.min_effective_bits,
                                &group.max_amplification})
            *measure = query.real(column++);
        group.worst_call_id = query.integer(column++);
        group.worst_reason = query.text(column++);
        group.check_ns = query.integer(column);
        groups.push_back(std::move(group));
    }
    return groups;
}

std::vector<Missed> Reader::missed() const {
    Statement query(impl_->db.get(), R"sql(
        WITH families AS (
            SELECT not_checked, min(call_id <> root), total(EXISTS (
                SELECT 1 FROM check_row k WHERE k.call_id = r.call_id)) AS checked FROM call_row r GROUP BY root)
        SELECT (SELECT text FROM string WHERE id = not_checked), count(*) FROM families
        WHERE NOT checked GROUP BY not_checked ORDER BY 2 DESC, 1)sql");
    std::vector<Missed> missed;
    while (query.step()) missed.push_back({query.text(0), query.integer(1)});
    return missed;
}

}  // namespace fumi::session
