#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/softcuda/core/support.h"

namespace {

// A capture on `stream` of whatever `body` enqueues; null where it failed.
template <class Body>
cudaGraph_t capture(cudaStream_t stream, Body&& body) {
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    body();
    cudaGraph_t graph = nullptr;
    EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
    return graph;
}

class GraphRun {
  public:
    explicit GraphRun(cudaGraph_t graph) { EXPECT_CUDA(cudaGraphInstantiateWithFlags(&exec_, graph, 0)); }
    ~GraphRun() { cudaGraphExecDestroy(exec_); }
    GraphRun(const GraphRun&) = delete;
    GraphRun& operator=(const GraphRun&) = delete;
    void launch(cudaStream_t stream) { EXPECT_CUDA(cudaGraphLaunch(exec_, stream)); }

  private:
    cudaGraphExec_t exec_ = nullptr;
};

void add_one(void* data) {
    ++*static_cast<std::atomic<int>*>(data);
}

TEST(Capture, RecordsAndReplays) {
    const Stream stream;
    std::atomic<int> count{0};
    const cudaGraph_t graph = capture(stream, [&] {
        EXPECT_CUDA(cudaLaunchHostFunc(stream, add_one, &count));
        EXPECT_CUDA(cudaLaunchHostFunc(stream, add_one, &count));
    });
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(count, 0);
    GraphRun run(graph);
    EXPECT_CUDA(cudaGraphDestroy(graph));  // the instance stands alone
    for (int launch = 1; launch <= 3; ++launch) {
        run.launch(stream);
        EXPECT_CUDA(cudaStreamSynchronize(stream));
        EXPECT_EQ(count, 2 * launch);
    }
}

TEST(Capture, StatusIsSeen) {
    const Stream stream;
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;
    EXPECT_CUDA(cudaStreamIsCapturing(stream, &status));
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    const cudaGraph_t graph = capture(stream, [&] {
        unsigned long long id = 0;
        cudaGraph_t under_way = nullptr;
        EXPECT_CUDA(cudaStreamGetCaptureInfo(stream, &status, &id, &under_way, nullptr, nullptr, nullptr));
        EXPECT_EQ(status, cudaStreamCaptureStatusActive);
        EXPECT_NE(id, 0U);
        EXPECT_NE(under_way, nullptr);
    });
    EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Capture, ForksAndJoins) {
    const Stream origin;
    const Stream side;
    const Event forked(cudaEventDisableTiming);
    const Event joined(cudaEventDisableTiming);
    std::atomic<int> count{0};
    const cudaGraph_t graph = capture(origin, [&] {
        EXPECT_CUDA(cudaLaunchHostFunc(origin, add_one, &count));
        EXPECT_CUDA(cudaEventRecord(forked, origin));
        EXPECT_CUDA(cudaStreamWaitEvent(side, forked, 0));
        EXPECT_CUDA(cudaLaunchHostFunc(side, add_one, &count));
        EXPECT_CUDA(cudaEventRecord(joined, side));
        EXPECT_CUDA(cudaStreamWaitEvent(origin, joined, 0));
        EXPECT_CUDA(cudaLaunchHostFunc(origin, add_one, &count));
        EXPECT_EQ(cudaEventElapsedTime(nullptr, forked, joined), cudaErrorInvalidValue);
    });
    size_t nodes = 0;
    EXPECT_CUDA(cudaGraphGetNodes(graph, nullptr, &nodes));
    EXPECT_EQ(nodes, 3U);
    std::vector<cudaGraphNode_t> handles(nodes);
    EXPECT_CUDA(cudaGraphGetNodes(graph, handles.data(), &nodes));
    size_t needs = 0;
    EXPECT_CUDA(cudaGraphNodeGetDependencies(handles[2], nullptr, nullptr, &needs));
    EXPECT_EQ(needs, 2U);
    GraphRun run(graph);
    run.launch(nullptr);
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_EQ(count, 3);
    EXPECT_CUDA(cudaGraphDestroy(graph));
    cudaGetLastError();
}

TEST(Capture, UnjoinedWorkFailsIt) {
    const Stream origin;
    const Stream side;
    const Event forked(cudaEventDisableTiming);
    std::atomic<int> count{0};
    EXPECT_CUDA(cudaStreamBeginCapture(origin, cudaStreamCaptureModeGlobal));
    EXPECT_CUDA(cudaEventRecord(forked, origin));
    EXPECT_CUDA(cudaStreamWaitEvent(side, forked, 0));
    EXPECT_CUDA(cudaLaunchHostFunc(side, add_one, &count));
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(origin, &graph), cudaErrorStreamCaptureUnjoined);
    EXPECT_EQ(graph, nullptr);
    EXPECT_CUDA(cudaStreamSynchronize(side));  // the side stream is free again
    cudaGetLastError();
}

// Starts a capture, makes one forbidden call, and checks its error and that the capture is lost.
template <class Call>
void forbid(cudaError_t error, Call&& call, unsigned flags = cudaStreamNonBlocking) {
    const Stream stream(flags);
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_EQ(call(stream), error);
    EXPECT_EQ(cudaLaunchHostFunc(stream, add_one, nullptr), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    cudaGetLastError();
}

TEST(Capture, ForbiddenCallsInvalidateIt) {
    const Event event;
    const Device<char> device(1);
    forbid(cudaErrorStreamCaptureUnsupported, [](cudaStream_t) {
        void* pointer = nullptr;
        return cudaMalloc(&pointer, 1);
    });
    forbid(cudaErrorStreamCaptureUnsupported,
           [](cudaStream_t stream) { return cudaStreamSynchronize(stream); });
    forbid(cudaErrorStreamCaptureUnsupported, [](cudaStream_t stream) { return cudaStreamQuery(stream); });
    forbid(cudaErrorStreamCaptureUnsupported, [](cudaStream_t) { return cudaDeviceSynchronize(); });
    forbid(cudaErrorStreamCaptureUnsupported, [&](cudaStream_t) { return cudaEventQuery(event); });
    forbid(cudaErrorStreamCaptureUnsupported, [&](cudaStream_t) {
        char value = 0;
        return cudaMemcpy(device.data(), &value, 1, cudaMemcpyHostToDevice);
    });
    forbid(cudaErrorCapturedEvent, [&](cudaStream_t stream) {
        EXPECT_CUDA(cudaEventRecord(event, stream));
        return cudaEventSynchronize(event);
    });
    forbid(
        cudaErrorStreamCaptureImplicit,
        [&](cudaStream_t) { return cudaMemsetAsync(device.data(), 0, 1, nullptr); }, cudaStreamDefault);
}

TEST(Capture, OtherThreadsAreForbiddenByModeAlone) {
    const Stream stream;
    cudaError_t status = cudaSuccess;
    const auto allocate_elsewhere = [&](cudaStreamCaptureMode capture_mode,
                                        cudaStreamCaptureMode thread_mode) {
        EXPECT_CUDA(cudaStreamBeginCapture(stream, capture_mode));
        std::thread([&] {
            EXPECT_CUDA(cudaThreadExchangeStreamCaptureMode(&thread_mode));
            EXPECT_EQ(thread_mode, cudaStreamCaptureModeGlobal);
            void* pointer = nullptr;
            status = cudaMalloc(&pointer, 1);
        }).join();
        cudaGraph_t graph = nullptr;
        cudaStreamEndCapture(stream, &graph);
        cudaGraphDestroy(graph);
        cudaGetLastError();
        return status;
    };
    EXPECT_EQ(allocate_elsewhere(cudaStreamCaptureModeGlobal, cudaStreamCaptureModeGlobal),
              cudaErrorStreamCaptureUnsupported);
    EXPECT_CUDA(allocate_elsewhere(cudaStreamCaptureModeGlobal, cudaStreamCaptureModeRelaxed));
    EXPECT_CUDA(allocate_elsewhere(cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeGlobal));
    EXPECT_CUDA(allocate_elsewhere(cudaStreamCaptureModeRelaxed, cudaStreamCaptureModeGlobal));
}

TEST(Capture, EventsFromOutsideAreForbidden) {
    const Stream stream;
    const Event before;
    EXPECT_CUDA(cudaEventRecord(before, stream));
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_EQ(cudaStreamWaitEvent(stream, before, 0), cudaErrorStreamCaptureIsolation);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    cudaGetLastError();
}

TEST(Capture, ExternalEventsAreRecordedAtEachLaunch) {
    const Stream stream;
    const Event begin;
    const Event end;
    const cudaGraph_t graph = capture(stream, [&] {
        EXPECT_CUDA(cudaEventRecordWithFlags(begin, stream, cudaEventRecordExternal));
        EXPECT_CUDA(cudaLaunchHostFunc(
            stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }, nullptr));
        EXPECT_CUDA(cudaEventRecordWithFlags(end, stream, cudaEventRecordExternal));
    });
    GraphRun run(graph);
    Gate gate;
    gate.close(stream);
    run.launch(stream);
    EXPECT_EQ(cudaEventQuery(end), cudaErrorNotReady);
    gate.open();
    EXPECT_CUDA(cudaEventSynchronize(end));
    float milliseconds = 0;
    EXPECT_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    EXPECT_GE(milliseconds, 4.0F);
    EXPECT_CUDA(cudaGraphDestroy(graph));
    cudaGetLastError();
}

TEST(Capture, WrongUseIsRefused) {
    const Stream stream;
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
              cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
    std::thread([&] {
        EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureWrongThread);
    }).join();
    EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
    const std::string path = testing::TempDir() + "softcuda_graph.dot";
    EXPECT_CUDA(cudaGraphDebugDotPrint(graph, path.c_str(), 0));
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str().rfind("digraph", 0), 0U);
    (void)std::remove(path.c_str());
    EXPECT_CUDA(cudaGraphDestroy(graph));
    cudaGetLastError();
}

}  // namespace
