#include <csignal>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

namespace softcuda {
namespace {

using std::chrono::microseconds;

bool all_done(const std::vector<Ticket>& waits) {
    return std::all_of(waits.begin(), waits.end(), [](const Ticket& ticket) { return ticket->done; });
}

// Whoever the host waits for, and all that must come before it, is not held back any longer.
void want(Item& item) {
    if (item.done || item.wanted) return;
    item.wanted = true;
    for (const Ticket& wait : item.waits) want(*wait);
    if (item.stream == nullptr) return;
    for (const Ticket& earlier : item.stream->queue) {
        if (earlier.get() == &item) break;
        want(*earlier);
    }
}

// Adversarial schedule: holds an item back although it could run, now and then until the host waits for it.
void hold_back(Lock& lock, Engine& all, const Item& item) {
    const unsigned long long dice = all.random() % 8;
    if (dice >= 4) return;
    const auto longest = dice == 0 ? microseconds(20000) : microseconds(all.random() % 500);
    all.progress.wait_until(lock, Clock::now() + longest, [&] { return item.wanted || all.stopping; });
}

void execute(Lock& lock, Engine& all, Item& item) {
    Work run = std::move(item.run);
    item.run = nullptr;
    if (!run) return;
    const bool late = settings().adversarial && all.random() % 8 == 0;
    ++all.running;
    lock.unlock();
    try {
        run();
    } catch (const std::exception& error) {
        (void)std::fprintf(stderr, "softcuda: %s failed: %s\n", item.what.c_str(), error.what());
        set_sticky(cudaErrorLaunchFailure);
    } catch (...) {
        (void)std::fprintf(stderr, "softcuda: %s failed\n", item.what.c_str());
        set_sticky(cudaErrorLaunchFailure);
    }
    run = nullptr;  // what it owns is gone before anybody is told that it is done
    if (late) std::this_thread::sleep_for(microseconds(300));
    lock.lock();
    --all.running;
}

void work(Stream* stream) {
    Engine& all = engine();
    Lock lock(all.mutex);
    for (;;) {
        stream->wake.wait(lock, [&] { return !stream->queue.empty() || stream->destroyed || all.stopping; });
        if (all.stopping) return;
        if (stream->queue.empty()) break;
        const Ticket item = stream->queue.front();
        all.progress.wait(lock, [&] { return all_done(item->waits) || all.stopping; });
        if (settings().adversarial) hold_back(lock, all, *item);
        if (all.stopping) return;
        execute(lock, all, *item);
        stream->queue.pop_front();
        complete(*item);
    }
    all.streams.erase(stream);
    delete stream;
}

// The legacy default stream waits for all blocking streams, and they for it.
void add_legacy_waits(const Engine& all, const Stream& stream, std::vector<Ticket>& waits) {
    if (!stream.blocking()) return;
    if (!stream.legacy) {
        if (all.legacy->last && !all.legacy->last->done) waits.push_back(all.legacy->last);
        return;
    }
    for (const Stream* other : all.streams) {
        if (other != &stream && other->blocking() && other->last && !other->last->done)
            waits.push_back(other->last);
    }
}

void start_worker(Stream* stream) {
    if (stream->has_worker) return;
    // The program's signals are for its own threads.
    sigset_t all_signals;
    sigset_t before;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &before);
    std::thread(work, stream).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    stream->has_worker = true;
}

}  // namespace

Engine& engine() {
    static auto* all = [] {
        auto* made = new Engine;
        made->legacy = new Stream;
        made->legacy->legacy = true;
        made->streams.insert(made->legacy);
        const char* seed = std::getenv("SOFTCUDA_SEED");  // NOLINT(concurrency-mt-unsafe): once, at first use
        made->random.seed(seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10));
        return made;
    }();
    return *all;
}

Stream* find_stream(Engine& all, cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy) return all.legacy;
    if (handle == cudaStreamPerThread) {
        thread_local Stream* mine = nullptr;  // stays when its thread ends: work may be left
        if (mine == nullptr) {
            mine = new Stream;
            mine->id = all.next_id++;
            all.streams.insert(mine);
        }
        return mine;
    }
    auto* stream = reinterpret_cast<Stream*>(handle);
    return all.streams.count(stream) != 0 && !stream->destroyed ? stream : nullptr;
}

void complete(Item& item) {
    item.done = true;
    item.finished = Clock::now();
    item.waits.clear();
    item.stream = nullptr;
    engine().progress.notify_all();
}

Ticket submit_now(Lock&, Stream* stream, Work run, std::string what, std::vector<Ticket> waits) {
    Engine& all = engine();
    auto item = std::make_shared<Item>();
    item->run = std::move(run);
    item->what = std::move(what);
    add_legacy_waits(all, *stream, waits);
    waits.erase(std::remove_if(waits.begin(), waits.end(), [](const Ticket& wait) { return wait->done; }),
                waits.end());
    item->waits = std::move(waits);
    stream->last = item;
    // Nothing to do and nothing to wait for: no need to wake a worker.
    if (!item->run && item->waits.empty() && stream->queue.empty() && !settings().adversarial) {
        complete(*item);
        return item;
    }
    item->stream = stream;
    stream->queue.push_back(item);
    start_worker(stream);
    stream->wake.notify_one();
    return item;
}

cudaError_t submit(Lock& lock, Stream* stream, Work run, std::string what, cudaGraphNodeType type,
                   Ticket* ticket, std::vector<Ticket> extra_waits) {
    Engine& all = engine();
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (all.stopping) return cudaErrorCudartUnloading;
    if (sticky() != cudaSuccess) return sticky();
    if (stream->capture != nullptr) {
        if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        add_node(stream, type, std::move(what), std::move(run));
        return cudaSuccess;
    }
    if (const cudaError_t status = check_implicit_sync(all, stream); status != cudaSuccess) return status;
    Ticket made = submit_now(lock, stream, std::move(run), std::move(what), std::move(extra_waits));
    if (ticket != nullptr) *ticket = std::move(made);
    return cudaSuccess;
}

cudaError_t wait_for(Lock& lock, const Ticket& ticket) {
    Engine& all = engine();
    if (ticket && !ticket->done) {
        want(*ticket);
        if (settings().adversarial) all.progress.notify_all();
        all.progress.wait(lock, [&] { return ticket->done || all.stopping; });
        if (!ticket->done) return cudaErrorCudartUnloading;
    }
    return sticky();
}

cudaError_t wait_for_all(Lock& lock) {
    std::vector<Ticket> pending;
    for (const Stream* stream : engine().streams) {
        if (stream->last && !stream->last->done) pending.push_back(stream->last);
    }
    for (const Ticket& ticket : pending) {
        if (const cudaError_t status = wait_for(lock, ticket); status != cudaSuccess) return status;
    }
    return sticky();
}

void stop_workers() noexcept {
    Engine& all = engine();
    Lock lock(all.mutex);
    all.stopping = true;
    for (Stream* stream : all.streams) stream->wake.notify_all();
    all.progress.notify_all();
    // What is in execution reads the program's memory, which is about to go away. Bounded: an exit never
    // hangs.
    const auto limit = Clock::now() + std::chrono::seconds(5);
    while (all.running > 0 && Clock::now() < limit) {
        lock.unlock();
        std::this_thread::sleep_for(microseconds(200));
        lock.lock();
    }
}

cudaError_t enqueue(cudaStream_t handle, const char* what, std::function<void()> run) noexcept {
    return entry([&] {
        Engine& all = engine();
        Lock lock(all.mutex);
        return submit(lock, find_stream(all, handle), std::move(run), what, cudaGraphNodeTypeMemcpy);
    });
}

bool is_capturing(cudaStream_t handle) noexcept {
    if (enter() != cudaSuccess) return false;
    Engine& all = engine();
    const Lock lock(all.mutex);
    const Stream* stream = find_stream(all, handle);
    return stream != nullptr && stream->capture != nullptr;
}

cudaError_t synchronize(cudaStream_t handle) noexcept {
    return entry([&] {
        Engine& all = engine();
        Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (const cudaError_t status = check_not_captured(stream); status != cudaSuccess) return status;
        if (const cudaError_t status = check_implicit_sync(all, stream); status != cudaSuccess) return status;
        if (!stream->legacy) return wait_for(lock, stream->last);
        // The legacy stream's synchronize covers the blocking streams: an empty item gathers them.
        return wait_for(lock, submit_now(lock, stream, nullptr, "synchronize"));
    });
}

}  // namespace softcuda
