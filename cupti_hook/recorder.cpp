#include "cupti_hook/recorder.h"

#include <fnmatch.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "cupti_hook/cupti/kernel_names.h"
#include "cupti_hook/open_operation.h"
#include "cupti_hook/origin_client.h"

namespace fumi {

namespace {

// The call that this thread is in, between before() and after().
struct Current {
    rerun::Entry* entry = nullptr;
    rerun::PendingCheck check;
};
thread_local Current current;

std::int64_t now_ns(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

std::int32_t thread_id() noexcept {
    thread_local const std::int32_t id = gettid();
    return id;
}

constexpr const char* no_elements = "the output has no elements";

}  // namespace

bool NameFilter::accepts(const char* name) noexcept try {
    if (globs_.empty()) return true;
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
    bool accepted = false;
    for (const std::string& glob : globs_) accepted = accepted || fnmatch(glob.c_str(), name, 0) == 0;
    known_.emplace(name, accepted);
    return accepted;
} catch (...) {
    return true;
}

Recorder::Recorder(const config::Config& config, rerun::Ring& ring)
    : ring_(ring),
      checker_(config, ring),
      functions_(config.functions),
      apis_(config.apis),
      improve_precision_(config.has(config::Mode::improve_precision) ? config.improve_precision.every : 0),
      checksum_(config.has(config::Mode::checksum) ? config.checksum.every : 0),
      repeat_(config.has(config::Mode::repeat) ? config.repeat.every : 0),
      add_noise_(config.has(config::Mode::add_noise) ? config.noise.every : 0),
      most_calls_(config.limits.max_calls),
      budget_(config) {}

std::int64_t Recorder::next_call() noexcept {
    const std::int64_t number = calls_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (most_calls_ <= 0 || number <= most_calls_) return number;
    beyond_limit_.fetch_add(1, std::memory_order_relaxed);
    return 0;
}

void Recorder::before(libraries::Call& call) noexcept {
    const std::int64_t begin = now_ns(CLOCK_MONOTONIC);
    Current& now = current;
    now.entry = nullptr;
    if (open_operation.open && open_operation.number == 0) open_operation.number = next_call();
    const std::int64_t number = next_call();
    if (number == 0) return;
    rerun::Entry* entry = ring_.take();
    if (entry == nullptr) return count_dropped();
    now.entry = entry;
    entry->call = call;
    if (call.dnn != nullptr) {
        std::memcpy(entry->dnn_call, call.dnn, libraries::dnn_call_bytes(*call.dnn));
        entry->call.dnn = reinterpret_cast<const libraries::DnnCall*>(entry->dnn_call);
    }
    entry->call_id = number;
    entry->parent = open_operation.number;
    entry->start_ns = now_ns(CLOCK_REALTIME);
    entry->thread = thread_id();
    entry->device = rerun::Checker::current_device();
    if (number == 1 || number % 256 == 0) start_origins();
    entry->origin = current_origin();
    choose_check(*entry);
    entry->host_ns = now_ns(CLOCK_MONOTONIC) - begin;
    cupti::begin_gathering();
}

void Recorder::choose_check(rerun::Entry& entry) noexcept {
    const libraries::Call& call = entry.call;
    if (improve_precision_ == 0 && repeat_ == 0 && checksum_ == 0 && add_noise_ == 0) {
        entry.not_checked = "trace mode";
    } else if (call.not_checkable != nullptr) {
        entry.not_checked = call.not_checkable;
    } else if (call.library != libraries::Library::cudnn &&
               (call.problem.m <= 0 || call.problem.n <= 0 || call.problem.batch <= 0)) {
        entry.not_checked = no_elements;
    } else if (!functions_.accepts(call.function)) {
        entry.not_checked = "not chosen: functions in the configuration";
    } else if (!apis_.accepts(entry.origin.api)) {
        entry.not_checked = "not chosen: apis in the configuration";
    } else if (const rerun::Wanted wanted = wanted_now(entry); !wanted.any()) {
        entry.not_checked = budget_.limited() ? "not chosen: limits.overhead in the configuration"
                                              : "not chosen: `every` of the modes in the configuration";
    } else {
        checker_.prepare(entry, current.check, wanted);
    }
}

rerun::Wanted Recorder::wanted_now(const rerun::Entry& entry) noexcept {
    if (budget_.limited()) return budget_.choose(entry, overhead_ns());
    const std::int64_t number = matching_.fetch_add(1, std::memory_order_relaxed);
    const auto has_turn = [number](std::int64_t every) { return every > 0 && number % every == 0; };
    rerun::Wanted wanted;
    wanted.improve_precision = has_turn(improve_precision_);
    wanted.checksum = has_turn(checksum_);
    wanted.repeat = has_turn(repeat_);
    wanted.add_noise = has_turn(add_noise_);
    return wanted;
}

// Under a budget the device's time for the checks is measured; a captured check has its time at every launch
// of its graph.
void Recorder::enqueue_checks(rerun::Entry& entry, const libraries::Call& call) noexcept {
    const libraries::DriverApi* driver = libraries::driver_api();
    if (!budget_.limited() || entry.captured || driver == nullptr)
        return checker_.enqueue(entry, current.check, call);
    const int pair = clock_.begin(*driver, entry.context, entry.call.stream);
    checker_.enqueue(entry, current.check, call);
    if (!entry.checked) {  // they came to nothing
        if (pair >= 0) clock_.give_up(pair);
        return;
    }
    if (pair >= 0) clock_.end(*driver, entry.call.stream, pair);
    entry.clock_pair = pair;
    entry.charged_ns = budget_.charge(Budget::site_of(entry), pair >= 0);
}

bool Recorder::account(rerun::Entry& entry) noexcept {
    if (entry.clock_pair < 0) return true;
    const std::int64_t ns = clock_.read(*libraries::driver_api(), entry.clock_pair);
    if (ns == DeviceClock::not_yet) return false;
    budget_.measured(Budget::site_of(entry), entry.charged_ns,
                     ns == DeviceClock::unknown ? entry.charged_ns : ns);
    entry.clock_pair = -1;
    return true;
}

void Recorder::after(libraries::Call& call, int status) noexcept {
    Current& now = current;
    rerun::Entry* entry = now.entry;
    if (entry == nullptr) return;
    const std::int64_t begin = now_ns(CLOCK_MONOTONIC);
    entry->kernel_count = cupti::end_gathering(entry->kernels, rerun::max_kernel_names);
    entry->status = status;
    if (status != 0)
        entry->checked = false;
    else if (entry->checked)
        enqueue_checks(*entry, call);
    now.entry = nullptr;
    entry->host_ns += now_ns(CLOCK_MONOTONIC) - begin;
    overhead_ns_.fetch_add(entry->host_ns, std::memory_order_relaxed);
    ring_.push(entry);
}

}  // namespace fumi
