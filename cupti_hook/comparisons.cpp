#include "cupti_hook/comparisons.h"

#include <unistd.h>

#include <cstring>

#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/origin_client.h"
#include "cupti_hook/thresholds.h"

namespace fumi {

namespace {

std::atomic<Comparisons*> current{nullptr};

std::int32_t wanted(const char* api) {
    Comparisons* const now = current.load(std::memory_order_acquire);
    return now == nullptr || now->wanted(api) ? 1 : 0;
}

void enter() {
    ++interpose::detail::guard_depth;
}

void leave() {
    --interpose::detail::guard_depth;
}

void record(const FumiComparisonResult* told, std::int64_t start_ns, std::int64_t check_ns) {
    if (Comparisons* const now = current.load(std::memory_order_acquire); now != nullptr)
        now->add(*told, start_ns, check_ns);
}

session::Verdict verdict_of(const char* word) {
    for (const auto verdict : {session::Verdict::pass, session::Verdict::warn, session::Verdict::fail})
        if (std::strcmp(word, session::name(verdict)) == 0) return verdict;
    return session::Verdict::none;
}

session::CallRecord call_of(const FumiComparisonResult& told, std::int64_t start_ns) {
    session::CallRecord call;
    call.start_ns = start_ns;
    call.process = getpid();
    call.thread = gettid();
    call.device = -1;
    call.library = "torch";
    call.function = "custom_function";
    call.api = told.name;
    call.location = told.location;
    call.module = told.module;
    call.phase = session::Phase::forward;
    call.shape = told.shape;
    call.dtypes = told.dtypes;
    call.not_checked = told.not_checked;
    return call;
}

session::CheckRecord check_of(const FumiMeasure& measure) {
    session::CheckRecord check;
    check.mode = config::name(config::Mode::custom_function);
    check.reference = measure.what;
    check.coverage = "full";
    check.elements = measure.elements;
    check.max_abs_err = measure.max_abs_err;
    check.max_rel_err = measure.max_rel_err;
    check.rms_rel_err = measure.rms_rel_err;
    check.backward_error = measure.eta;
    check.bound = measure.bound;
    check.amplification = measure.kappa;
    check.mismatches = measure.mismatches;
    check.nonfinite = measure.nonfinite;
    check.verdict = verdict_of(measure.verdict);
    check.reason = measure.reason;
    return check;
}

DataType type_of(const char* dtypes) {
    const char* const comma = std::strrchr(dtypes, ',');
    const char* const name = comma != nullptr ? comma + 1 : dtypes;
    for (const DataType type : {DataType::f64, DataType::f32, DataType::f16, DataType::bf16})
        if (std::strcmp(name, type_name(type)) == 0) return type;
    return DataType::i32;
}

ErrorStats stats_of(const FumiMeasure& measure) {
    ErrorStats stats;
    stats.max_ratio = measure.ratio;
    stats.max_abs_err = measure.max_abs_err;
    stats.max_rel_err = measure.max_rel_err;
    stats.max_symmetric = measure.symmetric;
    stats.sum_abs_c = measure.sum_value;
    stats.sum_abs_r = measure.sum_reference;
    stats.max_abs_c = measure.max_value;
    stats.max_abs_r = measure.max_reference;
    return stats;
}

}  // namespace

Comparisons::Comparisons(const config::Config& config, Recorder& recorder, Operations& rows)
    : config_(config),
      recorder_(recorder),
      rows_(rows),
      apis_(config.apis),
      callbacks_{fumi::wanted, enter, leave, record, config.limits.scratch_bytes} {}

void Comparisons::start() noexcept {
    current.store(this, std::memory_order_release);
    record_comparisons(&callbacks_);
}

void Comparisons::stop() noexcept {
    current.store(nullptr, std::memory_order_release);
}

bool Comparisons::wanted(const char* api) noexcept {
    return recorder_.active() && config_.compares_functions() && apis_.accepts(api);
}

void Comparisons::add(const FumiComparisonResult& told, std::int64_t start_ns, std::int64_t check_ns) noexcept
    try {
    const std::int64_t number = recorder_.next_call();
    if (number == 0) return;
    OperationRow row{call_of(told, start_ns), {}};
    row.call.call_id = number;
    const std::int64_t count = row.call.not_checked.empty() ? told.count : 0;
    for (std::int64_t i = 0; i < count; ++i) {
        session::CheckRecord check = check_of(told.measures[i]);
        check.call_id = number;
        check.check_ns = i == 0 ? check_ns : 0;
        row.checks.push_back(check);
        if (i == 0 && config_.thresholds.any())
            row.checks.push_back(threshold_record(config_.thresholds, check, stats_of(told.measures[i]),
                                                  type_of(told.dtypes)));
    }
    rows_.push(std::move(row));
} catch (...) {
    recorder_.count_dropped();
}

}  // namespace fumi
