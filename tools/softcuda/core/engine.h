// Streams, events, capture and graphs: one lock over all of it (Engine::mutex), one worker thread per used
// stream.
#pragma once
#include <cuda_runtime_api.h>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace softcuda {

using Clock = std::chrono::steady_clock;
using Work = std::function<void()>;

// One piece of work in a stream. Everything but `run` is under the engine's lock.
struct Stream;

struct Item {
    Work run;
    Stream* stream = nullptr;
    std::vector<std::shared_ptr<Item>> waits;  // of other streams; the own stream's order is its queue's
    std::string what;
    bool done = false;
    bool wanted = false;  // the host waits for it: an adversarial worker must not hold it back
    Clock::time_point finished{};
};
using Ticket = std::shared_ptr<Item>;

struct Graph;
struct Event;

struct Node {
    cudaGraphNodeType type = cudaGraphNodeTypeKernel;
    std::string what;
    std::shared_ptr<const Work> run;  // null for empty nodes
    std::shared_ptr<Event> records;   // external event record
    std::shared_ptr<Event> awaits;    // external event wait
    std::vector<Node*> needs;
    Graph* graph = nullptr;
    std::size_t index = 0;
};

struct Graph {
    std::vector<std::unique_ptr<Node>> nodes;
};

// One node of an instantiated graph; the steps are in the order of capture, which is a topological one.
struct Step {
    cudaGraphNodeType type;
    std::string what;
    std::shared_ptr<const Work> run;
    std::shared_ptr<Event> records, awaits;
    std::vector<std::size_t> needs;
};

struct Exec {
    std::shared_ptr<const std::vector<Step>> steps;
    Ticket last;  // launches of one graph do not overlap
};

struct Capture {
    unsigned long long id = 0;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread;
    Stream* origin = nullptr;
    std::unique_ptr<Graph> graph;
    bool invalid = false;
    std::unordered_set<Stream*> streams;
};

struct Stream {
    unsigned flags = 0;
    int priority = 0;
    unsigned long long id = 0;
    bool legacy = false;
    bool destroyed = false;
    bool has_worker = false;
    std::deque<Ticket> queue;
    Ticket last;
    std::condition_variable wake;
    Capture* capture = nullptr;
    std::vector<Node*> tail;  // what the next captured node depends on

    bool blocking() const { return (flags & cudaStreamNonBlocking) == 0; }
};

struct Event {
    unsigned flags = 0;
    Ticket record;                   // null: never recorded, hence complete
    unsigned long long capture = 0;  // id of the capture that it was recorded in last, 0 for none
    std::vector<Node*> nodes;        // what a waiting stream then depends on
};

struct Engine {
    std::mutex mutex;
    std::condition_variable progress;  // some item is done
    Stream* legacy = nullptr;
    std::unordered_set<Stream*> streams;  // all that have a handle or work left, the legacy one included
    std::unordered_map<Event*, std::shared_ptr<Event>> events;
    std::unordered_map<Graph*, std::unique_ptr<Graph>> graphs;
    std::unordered_map<Exec*, std::unique_ptr<Exec>> execs;
    std::unordered_map<unsigned long long, std::unique_ptr<Capture>> captures;  // by id
    unsigned long long next_id = 1;
    bool stopping = false;
    int running = 0;         // items in execution
    std::mt19937_64 random;  // adversarial choices
};

Engine& engine();  // never destroyed: workers outlive main
using Lock = std::unique_lock<std::mutex>;

// The stream behind a handle (0, cudaStreamLegacy, cudaStreamPerThread or a created one); null for a bad
// handle.
Stream* find_stream(Engine& engine, cudaStream_t handle);

// Puts work on a stream, or into its capture as a node of `type`. `ticket` may be null.
cudaError_t submit(Lock& lock, Stream* stream, Work run, std::string what, cudaGraphNodeType type,
                   Ticket* ticket = nullptr, std::vector<Ticket> extra_waits = {});
// The same for a stream that is not captured: no capture rules.
Ticket submit_now(Lock& lock, Stream* stream, Work run, std::string what,
                  std::vector<Ticket> extra_waits = {});

// Marks an item complete and tells all who wait; the lock is held.
void complete(Item& item);

// Waits for one item, or for everything enqueued so far. Returns the sticky error.
cudaError_t wait_for(Lock& lock, const Ticket& ticket);
cudaError_t wait_for_all(Lock& lock);

// Capture rules. Each returns what the call must return, and invalidates the capture that it disturbs.
cudaError_t check_unsafe_call(
    Engine& engine);  // cudaMalloc, cudaEventQuery, ...: by the thread's capture mode
cudaError_t check_implicit_sync(Engine& engine,
                                const Stream*);  // work on the legacy stream while a blocking one is captured
cudaError_t check_not_captured(Stream*);         // cudaStreamSynchronize, cudaStreamQuery
void invalidate(Capture* capture);
cudaStreamCaptureMode& thread_capture_mode() noexcept;

// Adds a node to a stream's capture, after everything captured there so far. The stream is being captured.
Node* add_node(Stream* stream, cudaGraphNodeType type, std::string what, Work run);

// Enqueues one launch of an instantiated graph.
cudaError_t launch_graph(Lock& lock, Exec& exec, Stream* stream);

// Hands every worker its notice, waits shortly for the items in execution: at process exit.
void stop_workers() noexcept;

}  // namespace softcuda
