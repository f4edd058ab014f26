// The driver API: streams, events, capture and graphs; each is the runtime's own.
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/driver.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

using namespace softcuda;

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    return driver_code(cudaStreamCreateWithFlags(stream, flags));
}
CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
    return driver_code(cudaStreamCreateWithPriority(stream, flags, priority));
}
CUresult cuStreamDestroy_v2(CUstream stream) {
    return driver_code(cudaStreamDestroy(stream));
}
CUresult cuStreamSynchronize(CUstream stream) {
    return driver_code(cudaStreamSynchronize(stream));
}
CUresult cuStreamQuery(CUstream stream) {
    return driver_code(cudaStreamQuery(stream));
}
CUresult cuStreamGetPriority(CUstream stream, int* priority) {
    return driver_code(cudaStreamGetPriority(stream, priority));
}
CUresult cuStreamGetFlags(CUstream stream, unsigned* flags) {
    return driver_code(cudaStreamGetFlags(stream, flags));
}
CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
    return driver_code(cudaStreamGetId(stream, id));
}
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    return driver_code(cudaStreamWaitEvent(stream, event, flags));
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
    unsigned flags = 0;
    const cudaError_t status = cudaStreamGetFlags(stream, &flags);
    if (context != nullptr) *context = primary_context();
    return driver_code(status);
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
    return driver_code(cudaLaunchHostFunc(stream, function, data));
}

CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned) {
    auto* target = static_cast<cuuint32_t*>(host_view(reinterpret_cast<void*>(address)));  // NOLINT
    return driver_code(
        enqueue(stream, "write value", [=] { __atomic_store_n(target, value, __ATOMIC_RELEASE); }));
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    return driver_code(cudaEventCreateWithFlags(event, flags));
}
CUresult cuEventDestroy_v2(CUevent event) {
    return driver_code(cudaEventDestroy(event));
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
    return driver_code(cudaEventRecord(event, stream));
}
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
    return driver_code(cudaEventRecordWithFlags(event, stream, flags));
}
CUresult cuEventQuery(CUevent event) {
    return driver_code(cudaEventQuery(event));
}
CUresult cuEventSynchronize(CUevent event) {
    return driver_code(cudaEventSynchronize(event));
}
CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent begin, CUevent end) {
    return driver_code(cudaEventElapsedTime(milliseconds, begin, end));
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    return driver_code(cudaStreamBeginCapture(stream, static_cast<cudaStreamCaptureMode>(mode)));
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    return driver_code(cudaStreamEndCapture(stream, graph));
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    return driver_code(cudaStreamIsCapturing(stream, reinterpret_cast<cudaStreamCaptureStatus*>(status)));
}
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** needs, const CUgraphEdgeData** edges,
                                   size_t* count) {
    unsigned long long number = 0;
    const cudaError_t result = cudaStreamGetCaptureInfo(
        stream, reinterpret_cast<cudaStreamCaptureStatus*>(status), &number, graph, needs, nullptr, count);
    if (id != nullptr) *id = number;
    if (edges != nullptr) *edges = nullptr;
    return driver_code(result);
}
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** needs, size_t* count) {
    return cuStreamGetCaptureInfo_v3(stream, status, id, graph, needs, nullptr, count);
}
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
    return driver_code(cudaThreadExchangeStreamCaptureMode(reinterpret_cast<cudaStreamCaptureMode*>(mode)));
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
    return driver_code(cudaGraphInstantiateWithFlags(exec, graph, flags));
}
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    return driver_code(cudaGraphLaunch(exec, stream));
}
CUresult cuGraphExecDestroy(CUgraphExec exec) {
    return driver_code(cudaGraphExecDestroy(exec));
}
CUresult cuGraphDestroy(CUgraph graph) {
    return driver_code(cudaGraphDestroy(graph));
}
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
    return driver_code(cudaGraphGetNodes(graph, nodes, count));
}

}  // extern "C"
