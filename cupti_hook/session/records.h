// The rows of a session: what the hook writes and the tools read. Strings are UTF-8; "" where unknown.
#pragma once
#include <cstdint>
#include <string>

namespace fumi::session {

enum class Phase : std::int32_t { none = 0, forward = 1, backward = 2 };
enum class Verdict : std::int32_t { none = 0, pass = 1, warn = 2, fail = 3 };

const char* name(Phase phase) noexcept;      // none | forward | backward
const char* name(Verdict verdict) noexcept;  // "" | pass | warn | fail

// One intercepted library call: the columns of the view `calls`.
struct CallRecord {
    std::int64_t call_id = 0;   // unique in the session, in order of issue
    std::int64_t start_ns = 0;  // CLOCK_REALTIME when the call was made
    std::int64_t process = 0;
    std::int32_t rank = -1;
    std::int64_t thread = 0;  // gettid()
    std::int32_t device = 0;
    std::uint64_t stream = 0;
    std::string library;                    // cublas | cublasLt | cudnn
    std::string function;                   // cublasSgemm_v2
    std::string api, op, location, module;  // see mapping/origin.h
    Phase phase = Phase::none;
    std::string kernel;        // names seen by CUPTI during the call, ';' between them
    std::string shape;         // m=64 n=128 k=32 batch=1 TN
    std::string dtypes;        // A,B,C,D: bf16,bf16,bf16,bf16
    std::string compute_type;  // 32F | 32F_FAST_TF32 | 16F | 64F | 32I | 32F_PEDANTIC | ...
    std::string epilogue;      // DEFAULT | BIAS | RELU_BIAS | GELU_BIAS | ...
    std::string algorithm;     // what is known of the algorithm or engine
    std::string not_checked;   // the reason why there is no check, "" where there is one
    std::int64_t parent =
        0;  // the call_id of the operation of torch that made this library call; 0: no row of its own
};

// One check of one call: the columns of the view `checks`. Measures that do not apply are NaN (NULL in the
// file).
struct CheckRecord {
    std::int64_t check_id = 0;  // 0: the writer numbers it
    std::int64_t call_id = 0;
    std::string mode;       // improve_precision
    std::string reference;  // fp64 | double-double | exact integer
    std::string coverage;   // full | sampled
    std::int64_t elements = 0;
    double max_abs_err, max_rel_err, rms_rel_err;
    double backward_error;  // |e| / (u G) at the element nearest to (or furthest over) its bound
    double bound;           // B / (u G) there
    double effective_bits;
    double amplification;  // kappa = G / |R|, the worst element's
    double significant_digits;
    std::int64_t mismatches = 0;
    std::int64_t nonfinite = 0;
    std::int32_t inputs_finite = -1;  // where nonfinite > 0: whether their inputs were all finite; -1 unknown
    Verdict verdict = Verdict::none;
    std::string
        reason;  // one sentence: what is wrong or what contract was used; worst element and values on a fail
    std::int64_t check_ns = 0;
    std::int64_t launches = 1;  // graph launches merged into this row
    CheckRecord();              // every measure NaN
};

}  // namespace fumi::session
