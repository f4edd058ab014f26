#include "cupti_hook/drainer.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

#include "cupti_hook/check_records.h"
#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/interpose/interpose.h"
#include "cupti_hook/kernel_text.h"
#include "cupti_hook/libraries/call_text.h"
#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/cublaslt_api.h"
#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/message.h"
#include "cupti_hook/program_start.h"
#include "cupti_hook/rerun/dnn_problem.h"
#include "cupti_hook/session_file.h"
#include "cupti_hook/thresholds.h"

namespace fumi {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto busy_pause = 1ms;
constexpr auto idle_pause = 20ms;
// Rows of operations are written together: one at a time would take a core from the program's threads.
constexpr std::size_t enough_operations = 1024;
// How long the end waits for a result when none comes in, and for the thread as a whole.
constexpr auto patience = 10s;
constexpr auto most_patience = 300s;

std::string now_text() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    tm parts{};
    gmtime_r(&time.tv_sec, &parts);
    char text[40];
    (void)std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::int32_t rank_of_process() {
    const char* rank = std::getenv("RANK");
    return rank == nullptr || *rank == '\0' ? -1 : static_cast<std::int32_t>(std::strtol(rank, nullptr, 10));
}

session::CallRecord record_of(const rerun::Entry& entry) {
    static const std::int32_t rank = rank_of_process();
    const libraries::Call& call = entry.call;
    session::CallRecord record;
    record.call_id = entry.call_id;
    record.parent = entry.parent;
    record.start_ns = entry.start_ns;
    record.process = getpid();
    record.rank = rank;
    record.thread = entry.thread;
    record.device = entry.device;
    record.stream = reinterpret_cast<std::uint64_t>(call.stream);
    record.library = libraries::library_name(call.library);
    record.function = call.function;
    record.api = entry.origin.api;
    record.op = entry.origin.op;
    record.location = entry.origin.location;
    record.module = entry.origin.module;
    record.phase = static_cast<session::Phase>(entry.origin.phase);
    for (std::int32_t i = 0; i < entry.kernel_count; ++i)
        record.kernel += (i > 0 ? ";" : "") + kernel_text(entry.kernels[i]);
    record.shape = libraries::shape_text(call);
    record.dtypes = libraries::dtypes_text(call);
    record.compute_type = libraries::compute_type_text(call);
    record.epilogue = libraries::epilogue_text(call);
    record.algorithm = libraries::algorithm_text(call);
    if (entry.status != 0)
        record.not_checked = "the call failed: " + libraries::status_text(call.library, entry.status);
    else if (!entry.checked)
        record.not_checked =
            entry.not_checked == call.not_checkable ? libraries::reason_text(call) : entry.not_checked;
    return record;
}

}  // namespace

void Drainer::start() {
    waiting_.reserve(1024);
    started_ = now_text();
    // The program's signals are for the program's threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), "fumi");
}

void Drainer::run() noexcept try {
    const interpose::Guard guard;  // whatever this thread calls is FuMi's own
    writer_ = open_session(config_);
    if (writer_) {
        writer_->set("started", started_);
        writer_->flush();
    } else {
        recorder_.stop();
    }
    const auto flush_interval = std::chrono::duration<double>(config_.limits.flush_seconds);
    auto flushed = Clock::now();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        const bool busy = round(enough_operations) || !waiting_.empty();
        if (Clock::now() - flushed >= flush_interval) {
            flush();
            flushed = Clock::now();
        }
        lock.lock();
        if (!stopping_) wake_.wait_for(lock, busy ? busy_pause : idle_pause);
    }
    lock.unlock();
    drain_last();
    close();
    lock.lock();
    finished_ = true;
    done_.notify_all();
} catch (const std::exception& exception) {
    say_once("drainer", "%s: the session is incomplete", exception.what());
    recorder_.stop();
    finished_ = true;
    done_.notify_all();
}

bool Drainer::round(std::size_t least_operations) {
    const bool calls = take_new();
    const bool operations = take_operations(least_operations);
    return take_results() || calls || operations;
}

void Drainer::begin_file() {
    if (!writer_ || head_written_) return;
    head_written_ = true;
    write_head(*writer_, config_);
}

bool Drainer::take_operations(std::size_t least) {
    static const std::int32_t rank = rank_of_process();
    std::vector<OperationRow> rows = operations_.take(least);
    if (rows.empty() || !writer_) return false;
    begin_file();
    for (OperationRow& row : rows) {
        row.call.rank = rank;
        writer_->add(row.call);
        for (const session::CheckRecord& check : row.checks) writer_->add(check);
    }
    return true;
}

bool Drainer::take_new() {
    rerun::Entry* entry = ring_.pop_all();
    if (entry == nullptr) return false;
    begin_file();
    while (entry != nullptr) {
        rerun::Entry* const next = entry->next;
        write_call(*entry);
        if (!entry->checked)
            ring_.release(entry);
        else
            (entry->captured ? graphs_ : waiting_).push_back(entry);
        entry = next;
    }
    return true;
}

void Drainer::write_call(rerun::Entry& entry) {
    if (writer_) writer_->add(record_of(entry));
}

bool Drainer::take_results() {
    bool news = false;
    std::erase_if(waiting_, [&](rerun::Entry* entry) {
        bool complete = true;
        for (int i = 0; i < entry->check_count; ++i) {
            rerun::Check& check = entry->checks[i];
            if (check.written || !check.enqueued) continue;
            const rerun::Slot& slot = ring_.slot(check);
            if (__atomic_load_n(&slot.result.sequence, __ATOMIC_ACQUIRE) != check.sequence) {
                complete = false;
                continue;
            }
            write_check(*entry, check, slot.result.stats, 0);
            check.written = news = true;
        }
        complete = complete && recorder_.account(*entry);
        if (complete) ring_.release(entry);
        return complete;
    });
    return news;
}

// A check of a graph keeps its slot, which grows with every launch; its row is written anew.
void Drainer::take_graphs() {
    for (rerun::Entry* entry : graphs_) {
        for (int i = 0; i < entry->check_count; ++i) {
            rerun::Check& check = entry->checks[i];
            ErrorStats stats;
            if (!check.enqueued || !read_merged(ring_.slot(check).result, stats)) continue;
            const auto launches = static_cast<std::int64_t>(stats.launches);
            if (launches == check.launches_written) continue;
            check.launches_written = launches;
            // Row ids from above, so that they never meet those that the file counts up itself.
            write_check(*entry, check, stats,
                        (std::int64_t{1} << 60) + entry->call_id * rerun::max_checks + i);
        }
    }
}

void Drainer::write_check(const rerun::Entry& entry, const rerun::Check& check, const ErrorStats& stats,
                          std::int64_t check_id) {
    if (!writer_) return;
    session::CheckRecord record = check_record(entry, check, stats, ring_.slot(check));
    record.check_id = check_id;
    writer_->add(record);
    if (check.mode != config::Mode::improve_precision || !config_.thresholds.any()) return;
    const Contract& contract = entry.dnn_contract != nullptr ? entry.dnn_contract->base : *entry.contract;
    session::CheckRecord beside = threshold_record(config_.thresholds, record, stats, contract.output);
    // The last of the ids that a captured call has: no mode comes so far.
    if (check_id != 0) beside.check_id = check_id + (rerun::max_checks - 1 - (&check - entry.checks));
    writer_->add(beside);
}

void Drainer::flush() {
    watch_hooks();
    if (!writer_) return;
    take_operations(1);
    take_graphs();
    writer_->flush();
    if (!writer_->error().empty()) {
        say_once("session", "%s", writer_->error().c_str());
        recorder_.stop();
    }
}

void Drainer::watch_hooks() {
    interpose::refresh();
    const std::size_t of_libc = program_start_was_caught() ? 1 : 0;
    if (interpose::slots_patched() > of_libc || recorder_.calls() > 0) return;
    if (libraries::cublas_api() == nullptr && libraries::cublaslt_api() == nullptr) return;
    // cuBLAS may have come a moment ago, with the slots still to be patched.
    if (++unhooked_flushes_ < 2 && !stopping_) return;
    for (const interpose::HookReport& hook : interpose::report().hooks)
        if (hook.handed_out > 0) return;  // the program calls through pointers from dlsym
    say_once("zero slots",
             "cuBLAS is in the process, but nothing that calls it could be hooked: NO CALL IS SEEN. `fumi "
             "doctor` says what "
             "was found.");
}

// The device may still be at work, or gone: waits as long as results come in.
void Drainer::drain_last() {
    const auto begin = Clock::now();
    auto last = begin;
    while (round(1) || !waiting_.empty()) {
        if (round(1)) last = Clock::now();
        if (waiting_.empty()) break;
        const auto now = Clock::now();
        if (now - last > patience || now - begin > most_patience || device_has_failed(*waiting_.front()))
            break;
        std::this_thread::sleep_for(busy_pause);
    }
    for (const rerun::Entry* entry : waiting_) {
        bool any = false;
        for (int i = 0; i < entry->check_count; ++i) any = any || entry->checks[i].written;
        if (writer_ && !any)
            writer_->update_not_checked(entry->call_id, "the check had not finished when the program ended");
    }
}

// After an error of the device nothing more will come in.
bool Drainer::device_has_failed(const rerun::Entry& entry) noexcept {
    const libraries::DriverApi* driver = libraries::driver_api();
    if (driver == nullptr || driver->ctx_set_current == nullptr || driver->stream_query == nullptr)
        return false;
    if (driver->ctx_set_current(entry.context) != CUDA_SUCCESS) return true;
    const CUresult status = driver->stream_query(CU_STREAM_LEGACY);
    return status != CUDA_SUCCESS && status != CUDA_ERROR_NOT_READY;
}

void Drainer::write_foot() {
    session::Writer& writer = *writer_;
    write_hooks(writer);
    writer.set("ended", now_text());
    writer.set("calls", std::to_string(recorder_.calls()));
    writer.set("dropped", std::to_string(recorder_.dropped()));
    writer.set("beyond_limit", std::to_string(recorder_.beyond_limit()));
    if (config_.operations) writer.set("operations_left_out", std::to_string(operations_.left_out()));
    writer.set("overhead_ns", std::to_string(recorder_.overhead_ns()));
    writer.set("device_overhead_ns", std::to_string(recorder_.device_overhead_ns()));
    writer.set("scratch_bytes", std::to_string(recorder_.scratch_allocated()));
}

void Drainer::close() {
    if (recorder_.dropped() > 0)
        say("%lld calls were not recorded: they came faster than the session could be written",
            static_cast<long long>(recorder_.dropped()));
    flush();
    if (!writer_) return;
    begin_file();
    write_foot();
    writer_->flush();
    writer_.reset();
}

void Drainer::finish() noexcept {
    recorder_.stop();
    std::unique_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    done_.wait_for(lock, most_patience + patience, [&] { return finished_; });
    lock.unlock();
    // Joined where it has ended; else it is left behind, and ends with the process.
    if (finished_)
        thread_.join();
    else
        thread_.detach();
}

}  // namespace fumi
