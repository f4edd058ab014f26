// cudart: graphs as capture makes them.
#include <cstdio>

#include "tools/softcuda/core/cupti.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

using namespace softcuda;

namespace {

Graph* find_graph(Engine& all, cudaGraph_t handle) {
    auto* graph = reinterpret_cast<Graph*>(handle);
    return all.graphs.count(graph) != 0 ? graph : nullptr;
}

Exec* find_exec(Engine& all, cudaGraphExec_t handle) {
    auto* exec = reinterpret_cast<Exec*>(handle);
    return all.execs.count(exec) != 0 ? exec : nullptr;
}

// A node's handle cannot be looked up cheaply; its graph must be alive.
Node* find_node(Engine& all, cudaGraphNode_t handle) {
    auto* node = reinterpret_cast<Node*>(handle);
    for (const auto& [key, graph] : all.graphs) {
        for (const auto& each : graph->nodes) {
            if (each.get() == node) return node;
        }
    }
    return nullptr;
}

// The form that graph queries share: with no array the count, else as many as fit; the rest of the array is
// nulled.
template <class Nodes>
cudaError_t hand_out(const Nodes& nodes, cudaGraphNode_t* out, size_t* count) {
    if (count == nullptr) return cudaErrorInvalidValue;
    if (out == nullptr) {
        *count = nodes.size();
        return cudaSuccess;
    }
    size_t given = 0;
    for (; given < *count && given < nodes.size(); ++given) {
        out[given] = reinterpret_cast<cudaGraphNode_t>(&*nodes[given]);
    }
    for (size_t rest = given; rest < *count; ++rest) out[rest] = nullptr;
    *count = given;
    return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* handle, unsigned flags) {
    return entry([&] {
        if (handle == nullptr || flags != 0) return cudaErrorInvalidValue;
        Engine& all = engine();
        const Lock lock(all.mutex);
        auto graph = std::make_unique<Graph>();
        Graph* key = graph.get();
        all.graphs[key] = std::move(graph);
        *handle = reinterpret_cast<cudaGraph_t>(key);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
    return entry([&] {
        Engine& all = engine();
        std::unique_ptr<Graph> dead;  // goes after the lock: closures free what they own
        const Lock lock(all.mutex);
        const auto found = all.graphs.find(reinterpret_cast<Graph*>(handle));
        if (found == all.graphs.end()) return cudaErrorInvalidValue;
        dead = std::move(found->second);
        all.graphs.erase(found);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, size_t* count) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Graph* graph = find_graph(all, handle);
        return graph == nullptr ? cudaErrorInvalidValue : hand_out(graph->nodes, nodes, count);
    });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t handle, cudaGraphNodeType* type) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Node* node = find_node(all, handle);
        if (node == nullptr || type == nullptr) return cudaErrorInvalidValue;
        *type = node->type;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t handle, cudaGraphNode_t* needs,
                                         cudaGraphEdgeData* edges, size_t* count) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Node* node = find_node(all, handle);
        if (node == nullptr) return cudaErrorInvalidValue;
        const cudaError_t status = hand_out(node->needs, needs, count);
        if (status == cudaSuccess && edges != nullptr && needs != nullptr) {
            for (size_t edge = 0; edge < *count; ++edge) edges[edge] = cudaGraphEdgeData{};
        }
        return status;
    });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* handle, cudaGraph_t graph_handle,
                                          unsigned long long) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Graph* graph = find_graph(all, graph_handle);
        if (graph == nullptr || handle == nullptr) return cudaErrorInvalidValue;
        auto steps = std::make_shared<std::vector<Step>>();
        for (const auto& node : graph->nodes) {
            Step step{node->type, node->what, node->run, node->records, node->awaits, {}};
            for (const Node* need : node->needs) step.needs.push_back(need->index);
            steps->push_back(std::move(step));
        }
        auto exec = std::make_unique<Exec>();
        exec->steps = std::move(steps);
        Exec* key = exec.get();
        all.execs[key] = std::move(exec);
        *handle = reinterpret_cast<cudaGraphExec_t>(key);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
    return cudaGraphInstantiateWithFlags(exec, graph, flags);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
    return entry([&] {
        Engine& all = engine();
        std::unique_ptr<Exec> dead;
        const Lock lock(all.mutex);
        const auto found = all.execs.find(reinterpret_cast<Exec*>(handle));
        if (found == all.execs.end()) return cudaErrorInvalidValue;
        dead = std::move(found->second);
        all.execs.erase(found);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        return find_exec(all, handle) == nullptr ? cudaErrorInvalidValue : cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
    return entry([&] {
        Announcement announcement(ApiCall::graph_launch, nullptr, stream_handle, handle);
        Engine& all = engine();
        Lock lock(all.mutex);
        Exec* exec = find_exec(all, handle);
        Stream* stream = find_stream(all, stream_handle);
        if (exec == nullptr) return announcement.result(cudaErrorInvalidValue);
        if (stream == nullptr) return announcement.result(cudaErrorInvalidResourceHandle);
        const cudaError_t status = launch_graph(lock, *exec, stream);
        lock.unlock();
        return announcement.result(status);
    });
}

cudaError_t cudaGraphDebugDotPrint(cudaGraph_t handle, const char* path, unsigned) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const Graph* graph = find_graph(all, handle);
        if (graph == nullptr || path == nullptr) return cudaErrorInvalidValue;
        std::FILE* file = std::fopen(path, "we");
        if (file == nullptr) return cudaErrorOperatingSystem;
        (void)std::fprintf(file, "digraph dot {\n");
        for (const auto& node : graph->nodes) {
            (void)std::fprintf(file, "  n%zu [label=\"%s\"];\n", node->index, node->what.c_str());
            for (const Node* need : node->needs)
                (void)std::fprintf(file, "  n%zu -> n%zu;\n", need->index, node->index);
        }
        (void)std::fprintf(file, "}\n");
        return std::fclose(file) == 0 ? cudaSuccess : cudaErrorOperatingSystem;
    });
}

}  // extern "C"
