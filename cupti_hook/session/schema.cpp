#include "cupti_hook/session/schema.h"

namespace fumi::session {

// Strings are interned: a training run makes millions of calls from a few hundred lines.
// `worst` in the view apis is one check, so that its reason, backward error and call belong together: the
// highest verdict first, then the largest share of its bound. pass, warn and fail count calls by the worst
// verdict among their checks. A library call that an operation with a row made (parent) is no call of its own
// there: a family, of one root, counts once, by the worst verdict in it.
const char* const schema_sql = R"sql(
CREATE TABLE session_value(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE string(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE call_row(
    call_id INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, process INTEGER NOT NULL, rank INTEGER NOT NULL,
    thread INTEGER NOT NULL, device INTEGER NOT NULL, stream INTEGER NOT NULL,
    library INTEGER NOT NULL, function INTEGER NOT NULL, api INTEGER NOT NULL, op INTEGER NOT NULL,
    phase INTEGER NOT NULL, location INTEGER NOT NULL, module INTEGER NOT NULL, kernel INTEGER NOT NULL,
    shape INTEGER NOT NULL, dtypes INTEGER NOT NULL, compute_type INTEGER NOT NULL, epilogue INTEGER NOT NULL,
    algorithm INTEGER NOT NULL, not_checked INTEGER NOT NULL, parent INTEGER NOT NULL,
    root INTEGER AS (CASE parent WHEN 0 THEN call_id ELSE parent END));
CREATE TABLE check_row(
    check_id INTEGER PRIMARY KEY, call_id INTEGER NOT NULL, mode INTEGER NOT NULL, reference INTEGER NOT NULL,
    coverage INTEGER NOT NULL, elements INTEGER NOT NULL, max_abs_err REAL, max_rel_err REAL, rms_rel_err REAL,
    backward_error REAL, bound REAL, effective_bits REAL, amplification REAL, significant_digits REAL,
    mismatches INTEGER NOT NULL, nonfinite INTEGER NOT NULL, verdict INTEGER NOT NULL, reason INTEGER NOT NULL,
    check_ns INTEGER NOT NULL, launches INTEGER NOT NULL, inputs_finite INTEGER);
CREATE INDEX check_of_call ON check_row(call_id);
CREATE INDEX check_not_finite ON check_row(call_id) WHERE nonfinite > 0;

CREATE VIEW session AS SELECT key, value FROM session_value;

CREATE VIEW calls AS SELECT
    r.call_id AS call_id, r.start_ns AS start_ns, r.process AS process, r.rank AS rank, r.thread AS thread,
    r.device AS device, r.stream AS stream,
    (SELECT text FROM string WHERE id = r.library) AS library,
    (SELECT text FROM string WHERE id = r.function) AS function,
    (SELECT text FROM string WHERE id = r.api) AS api,
    (SELECT text FROM string WHERE id = r.op) AS op,
    CASE r.phase WHEN 1 THEN 'forward' WHEN 2 THEN 'backward' ELSE 'none' END AS phase,
    (SELECT text FROM string WHERE id = r.location) AS location,
    (SELECT text FROM string WHERE id = r.module) AS module,
    (SELECT text FROM string WHERE id = r.kernel) AS kernel,
    (SELECT text FROM string WHERE id = r.shape) AS shape,
    (SELECT text FROM string WHERE id = r.dtypes) AS dtypes,
    (SELECT text FROM string WHERE id = r.compute_type) AS compute_type,
    (SELECT text FROM string WHERE id = r.epilogue) AS epilogue,
    (SELECT text FROM string WHERE id = r.algorithm) AS algorithm,
    (SELECT text FROM string WHERE id = r.not_checked) AS not_checked, r.parent AS parent
FROM call_row r;

CREATE VIEW checks AS SELECT
    k.check_id AS check_id, k.call_id AS call_id,
    (SELECT text FROM string WHERE id = k.mode) AS mode,
    (SELECT text FROM string WHERE id = k.reference) AS reference,
    (SELECT text FROM string WHERE id = k.coverage) AS coverage,
    k.elements AS elements, k.max_abs_err AS max_abs_err, k.max_rel_err AS max_rel_err,
    k.rms_rel_err AS rms_rel_err, k.backward_error AS backward_error, k.bound AS bound,
    k.effective_bits AS effective_bits, k.amplification AS amplification,
    k.significant_digits AS significant_digits, k.mismatches AS mismatches, k.nonfinite AS nonfinite,
    CASE k.verdict WHEN 1 THEN 'pass' WHEN 2 THEN 'warn' WHEN 3 THEN 'fail' ELSE '' END AS verdict,
    (SELECT text FROM string WHERE id = k.reason) AS reason,
    k.check_ns AS check_ns
FROM check_row k;

CREATE VIEW nonfinite AS SELECT
    k.call_id AS call_id, c.api AS api, c.phase AS phase, c.location AS location, c.module AS module,
    c.function AS function, max(k.nonfinite) AS elements,
    CASE min(k.inputs_finite) WHEN 1 THEN 'finite' WHEN 0 THEN 'not finite' ELSE '' END AS inputs
FROM check_row k JOIN calls c ON c.call_id = k.call_id WHERE k.nonfinite > 0 GROUP BY k.call_id ORDER BY k.call_id;

CREATE VIEW apis AS
WITH per_call AS (
    SELECT call_id, max(verdict) AS verdict, min(effective_bits) AS bits FROM check_row GROUP BY call_id),
ranked AS (
    SELECT r.api AS api, r.phase AS phase, k.call_id AS call_id, k.reason AS reason,
           k.backward_error AS backward_error,
           row_number() OVER (PARTITION BY r.api, r.phase ORDER BY k.verdict DESC,
               coalesce(k.backward_error / nullif(k.bound, 0), -1) DESC, k.call_id, k.check_id) AS place
    FROM check_row k JOIN call_row r ON r.call_id = k.call_id),
worst AS (SELECT * FROM ranked WHERE place = 1),
families AS (
    SELECT r.api AS api, r.phase AS phase, max(p.verdict) AS verdict, min(p.bits) AS bits
    FROM call_row r LEFT JOIN per_call p ON p.call_id = r.call_id GROUP BY r.api, r.phase, r.root),
counted AS (
    SELECT api, phase, count(*) AS calls, count(verdict) AS checked,
           coalesce(sum(verdict = 1), 0) AS pass, coalesce(sum(verdict = 2), 0) AS warn,
           coalesce(sum(verdict = 3), 0) AS fail, min(bits) AS bits
    FROM families GROUP BY api, phase)
SELECT
    (SELECT text FROM string WHERE id = n.api) AS api,
    CASE n.phase WHEN 1 THEN 'forward' WHEN 2 THEN 'backward' ELSE 'none' END AS phase,
    n.calls AS calls, n.checked AS checked, n.pass AS pass, n.warn AS warn, n.fail AS fail,
    (SELECT text FROM string WHERE id = w.reason) AS worst_reason,
    w.backward_error AS worst_backward_error, n.bits AS min_effective_bits, w.call_id AS worst_call_id
FROM counted n LEFT JOIN worst w ON w.api = n.api AND w.phase = n.phase;
)sql";

}  // namespace fumi::session
