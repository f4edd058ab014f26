// The thread that makes rows of entries: it alone writes the session.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "config/config.h"
#include "cupti_hook/operations.h"
#include "cupti_hook/recorder.h"
#include "cupti_hook/rerun/ring.h"
#include "cupti_hook/session/writer.h"

namespace fumi {

class Drainer {
  public:
    Drainer(const config::Config& config, rerun::Ring& ring, Recorder& recorder, Operations& operations)
        : config_(config), ring_(ring), recorder_(recorder), operations_(operations) {}

    void start();
    // Takes in what is on its way, closes the session, and returns; at the latest some seconds after the last
    // result came.
    void finish() noexcept;

  private:
    void run() noexcept;
    // True where something happened. Operations are left where they are fewer.
    bool round(std::size_t least_operations);
    bool take_new();
    bool take_operations(std::size_t least);
    bool take_results();
    void take_graphs();
    void begin_file();  // its head, before the first call
    void write_call(rerun::Entry& entry);
    void write_check(const rerun::Entry& entry, const rerun::Check& check, const ErrorStats& stats,
                     std::int64_t check_id);
    void flush();
    void watch_hooks();  // says loudly where nothing is hooked
    void drain_last();
    void close();
    bool device_has_failed(const rerun::Entry& entry) noexcept;
    void write_foot();

    const config::Config& config_;
    rerun::Ring& ring_;
    Recorder& recorder_;
    Operations& operations_;
    std::unique_ptr<session::Writer> writer_;
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    bool stopping_ = false, finished_ = false;
    std::vector<rerun::Entry*> waiting_;  // for the device
    std::vector<rerun::Entry*> graphs_;   // captured: until the end
    bool head_written_ = false;
    int unhooked_flushes_ = 0;
    std::string started_;
};

}  // namespace fumi
