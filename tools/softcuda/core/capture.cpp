// Stream capture: its rules, and the nodes that it gathers.
#include <algorithm>
#include <numeric>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

namespace softcuda {
namespace {

struct EventToFinish {
    std::size_t step;
    Ticket ticket;
};

// One launch of a graph: the steps, and the tickets that its external event nodes finish or wait for.
struct Launch {
    std::shared_ptr<const std::vector<Step>> steps;
    std::vector<Ticket> records, awaits;  // one per step, most of them null
};

std::vector<std::size_t> any_topological_order(const std::vector<Step>& steps) {
    std::vector<std::size_t> order(steps.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (!settings().adversarial) return order;
    // A random one: what the graph does not order, runs in any order.
    Engine& all = engine();
    const Lock lock(all.mutex);
    std::vector<std::size_t> missing(steps.size());
    std::vector<std::vector<std::size_t>> followers(steps.size());
    std::vector<std::size_t> ready;
    for (std::size_t step = 0; step < steps.size(); ++step) {
        missing[step] = steps[step].needs.size();
        for (const std::size_t need : steps[step].needs) followers[need].push_back(step);
        if (missing[step] == 0) ready.push_back(step);
    }
    order.clear();
    while (!ready.empty()) {
        std::swap(ready[all.random() % ready.size()], ready.back());
        const std::size_t step = ready.back();
        ready.pop_back();
        order.push_back(step);
        for (const std::size_t follower : followers[step]) {
            if (--missing[follower] == 0) ready.push_back(follower);
        }
    }
    return order;
}

void run_graph(const Launch& launch) {
    Engine& all = engine();
    for (const std::size_t index : any_topological_order(*launch.steps)) {
        const Step& step = (*launch.steps)[index];
        if (step.run && *step.run) (*step.run)();
        if (launch.awaits[index]) {
            Lock lock(all.mutex);
            all.progress.wait(lock, [&] { return launch.awaits[index]->done || all.stopping; });
        }
        if (launch.records[index]) {
            const Lock lock(all.mutex);
            complete(*launch.records[index]);
        }
    }
}

}  // namespace

cudaStreamCaptureMode& thread_capture_mode() noexcept {
    thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    return mode;
}

void invalidate(Capture* capture) {
    capture->invalid = true;
}

cudaError_t check_unsafe_call(Engine& all) {
    const cudaStreamCaptureMode mine = thread_capture_mode();
    if (mine == cudaStreamCaptureModeRelaxed) return cudaSuccess;
    for (auto& [id, capture] : all.captures) {
        if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
        const bool own = capture->thread == std::this_thread::get_id();
        const bool everywhere =
            capture->mode == cudaStreamCaptureModeGlobal && mine == cudaStreamCaptureModeGlobal;
        if (own || everywhere) {
            invalidate(capture.get());
            return cudaErrorStreamCaptureUnsupported;
        }
    }
    return cudaSuccess;
}

cudaError_t check_implicit_sync(Engine& all, const Stream* stream) {
    if (!stream->legacy) return cudaSuccess;
    for (auto& [id, capture] : all.captures) {
        for (const Stream* captured : capture->streams) {
            if (!captured->blocking()) continue;
            invalidate(capture.get());
            return cudaErrorStreamCaptureImplicit;
        }
    }
    return cudaSuccess;
}

cudaError_t check_not_captured(Stream* stream) {
    if (stream->capture == nullptr) return cudaSuccess;
    invalidate(stream->capture);
    return cudaErrorStreamCaptureUnsupported;
}

Node* add_node(Stream* stream, cudaGraphNodeType type, std::string what, Work run) {
    Graph& graph = *stream->capture->graph;
    auto node = std::make_unique<Node>();
    node->type = type;
    node->what = std::move(what);
    if (run) node->run = std::make_shared<const Work>(std::move(run));
    node->needs = stream->tail;
    node->graph = &graph;
    node->index = graph.nodes.size();
    graph.nodes.push_back(std::move(node));
    stream->tail = {graph.nodes.back().get()};
    return graph.nodes.back().get();
}

cudaError_t launch_graph(Lock& lock, Exec& exec, Stream* stream) {
    auto launch = std::make_shared<Launch>();
    launch->steps = exec.steps;
    launch->records.resize(exec.steps->size());
    launch->awaits.resize(exec.steps->size());
    std::vector<Ticket> waits;
    if (exec.last && !exec.last->done) waits.push_back(exec.last);
    if (stream->capture != nullptr || engine().stopping) {
        // A graph captured into a graph: its external events keep to the outer graph's launches, which is not
        // there.
        report_missing("cudart", "cudaGraphLaunch into a capture");
        return cudaErrorNotSupported;
    }
    for (std::size_t step = 0; step < exec.steps->size(); ++step) {
        if (const auto& event = (*exec.steps)[step].awaits) launch->awaits[step] = event->record;
        if (const auto& event = (*exec.steps)[step].records) {
            launch->records[step] = std::make_shared<Item>();
            event->record = launch->records[step];
            event->capture = 0;
        }
    }
    return submit(
        lock, stream, [launch] { run_graph(*launch); }, "graph", cudaGraphNodeTypeGraph, &exec.last,
        std::move(waits));
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (mode < cudaStreamCaptureModeGlobal || mode > cudaStreamCaptureModeRelaxed)
            return cudaErrorInvalidValue;
        if (stream->legacy) return cudaErrorStreamCaptureUnsupported;
        if (stream->capture != nullptr) return cudaErrorIllegalState;
        auto capture = std::make_unique<Capture>();
        capture->id = all.next_id++;
        capture->mode = mode;
        capture->thread = std::this_thread::get_id();
        capture->origin = stream;
        capture->graph = std::make_unique<Graph>();
        capture->streams.insert(stream);
        stream->capture = capture.get();
        stream->tail.clear();
        all.captures[capture->id] = std::move(capture);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (graph == nullptr) return cudaErrorInvalidValue;
        *graph = nullptr;
        Capture* capture = stream->capture;
        if (capture == nullptr) return cudaErrorIllegalState;
        if (capture->origin != stream) {
            invalidate(capture);
            return cudaErrorStreamCaptureUnmatched;
        }
        if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id()) {
            return cudaErrorStreamCaptureWrongThread;
        }
        cudaError_t status = capture->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
        // Every forked stream's last node must have been joined: only the origin's tail may have no follower.
        std::unordered_set<const Node*> followed(stream->tail.begin(), stream->tail.end());
        for (const auto& node : capture->graph->nodes)
            followed.insert(node->needs.begin(), node->needs.end());
        for (const auto& node : capture->graph->nodes) {
            if (status == cudaSuccess && followed.count(node.get()) == 0)
                status = cudaErrorStreamCaptureUnjoined;
        }
        for (Stream* captured : capture->streams) {
            captured->capture = nullptr;
            captured->tail.clear();
        }
        if (status == cudaSuccess) {
            auto* made = capture->graph.get();
            all.graphs[made] = std::move(capture->graph);
            *graph = reinterpret_cast<cudaGraph_t>(made);
        }
        all.captures.erase(capture->id);
        return status;
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (status == nullptr) return cudaErrorInvalidValue;
        // Asking for the legacy stream is itself forbidden while a blocking stream is captured.
        if (const cudaError_t error = check_implicit_sync(all, stream); error != cudaSuccess) return error;
        *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
                  : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                             : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** needs, const cudaGraphEdgeData** edges,
                                     size_t* count) {
    const cudaError_t asked = cudaStreamIsCapturing(handle, status);
    if (asked != cudaSuccess) return asked;
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Stream* stream = find_stream(all, handle);
        if (edges != nullptr) *edges = nullptr;  // all edges are plain ones
        if (stream->capture == nullptr || stream->capture->invalid) return cudaSuccess;
        if (id != nullptr) *id = stream->capture->id;
        if (graph != nullptr) *graph = reinterpret_cast<cudaGraph_t>(stream->capture->graph.get());
        // Valid until the next call on the stream, as the real one's.
        if (needs != nullptr) *needs = reinterpret_cast<const cudaGraphNode_t*>(stream->tail.data());
        if (count != nullptr) *count = stream->tail.size();
        return cudaSuccess;
    });
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t handle, cudaGraphNode_t* needs,
                                                const cudaGraphEdgeData*, size_t count, unsigned flags) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (stream->capture == nullptr) return cudaErrorIllegalState;
        if (flags > cudaStreamSetCaptureDependencies || (needs == nullptr && count != 0))
            return cudaErrorInvalidValue;
        if (flags == cudaStreamSetCaptureDependencies) stream->tail.clear();
        for (size_t index = 0; index < count; ++index)
            stream->tail.push_back(reinterpret_cast<Node*>(needs[index]));
        return cudaSuccess;
    });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    return entry([&] {
        if (mode == nullptr || *mode < cudaStreamCaptureModeGlobal || *mode > cudaStreamCaptureModeRelaxed) {
            return cudaErrorInvalidValue;
        }
        std::swap(*mode, thread_capture_mode());
        return cudaSuccess;
    });
}

}  // extern "C"
