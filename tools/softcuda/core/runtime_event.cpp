// cudart: events.
#include <algorithm>

#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

using namespace softcuda;

namespace {

std::shared_ptr<Event> find_event(Engine& all, cudaEvent_t handle) {
    const auto found = all.events.find(reinterpret_cast<Event*>(handle));
    return found == all.events.end() ? nullptr : found->second;
}

// An event recorded in a capture says nothing to the host. One whose capture has ended stays so until it is
// recorded anew.
cudaError_t check_for_host(Engine& all, const Event& event) {
    if (event.capture == 0) return cudaSuccess;
    const auto capture = all.captures.find(event.capture);
    if (capture != all.captures.end()) invalidate(capture->second.get());
    return cudaErrorCapturedEvent;
}

// A stream that waits for an event of a capture joins that capture.
cudaError_t join_capture(Engine& all, Stream* stream, const Event& event) {
    const auto found = all.captures.find(event.capture);
    if (found == all.captures.end()) return cudaErrorCapturedEvent;
    Capture* capture = found->second.get();
    if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if (stream->legacy) {
        invalidate(capture);
        return cudaErrorStreamCaptureImplicit;
    }
    if (stream->capture != nullptr && stream->capture != capture) {
        invalidate(capture);
        invalidate(stream->capture);
        return cudaErrorStreamCaptureMerge;
    }
    if (stream->capture == nullptr) {
        stream->capture = capture;
        stream->tail.clear();
        capture->streams.insert(stream);
    }
    for (Node* node : event.nodes) {
        if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end()) {
            stream->tail.push_back(node);
        }
    }
    return cudaSuccess;
}

cudaError_t record(Lock& lock, Stream* stream, const std::shared_ptr<Event>& event, unsigned flags) {
    if (stream->capture == nullptr) {
        Ticket ticket;
        const cudaError_t status =
            submit(lock, stream, nullptr, "event", cudaGraphNodeTypeEventRecord, &ticket);
        if (status != cudaSuccess) return status;
        event->record = std::move(ticket);
        event->capture = 0;
        event->nodes.clear();
        return cudaSuccess;
    }
    if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if ((flags & cudaEventRecordExternal) != 0) {
        add_node(stream, cudaGraphNodeTypeEventRecord, "event record", nullptr)->records = event;
        return cudaSuccess;
    }
    event->capture = stream->capture->id;
    event->nodes = stream->tail;
    return cudaSuccess;
}

cudaError_t wait(Lock& lock, Stream* stream, const std::shared_ptr<Event>& event, unsigned flags) {
    if (stream->capture != nullptr && (flags & cudaEventWaitExternal) != 0) {
        if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        add_node(stream, cudaGraphNodeTypeWaitEvent, "event wait", nullptr)->awaits = event;
        return cudaSuccess;
    }
    if (event->capture != 0) return join_capture(engine(), stream, *event);
    if (stream->capture != nullptr) {
        // Work outside the capture cannot be waited for from inside.
        if (!event->record) return cudaSuccess;
        invalidate(stream->capture);
        return cudaErrorStreamCaptureIsolation;
    }
    if (!event->record || event->record->done) return check_implicit_sync(engine(), stream);
    return submit(lock, stream, nullptr, "event wait", cudaGraphNodeTypeWaitEvent, nullptr, {event->record});
}

// Calls `use` with stream and event.
template <class Use>
cudaError_t with_both(cudaStream_t stream_handle, cudaEvent_t event_handle, Use&& use) {
    return entry([&] {
        Engine& all = engine();
        Lock lock(all.mutex);
        Stream* stream = find_stream(all, stream_handle);
        const std::shared_ptr<Event> event = find_event(all, event_handle);
        if (stream == nullptr || !event) return cudaErrorInvalidResourceHandle;
        return use(lock, stream, event);
    });
}

}  // namespace

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
    return entry([&] {
        start_torch_redirect();
        constexpr unsigned known = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
        if (handle == nullptr || (flags & ~known) != 0) return cudaErrorInvalidValue;
        if ((flags & cudaEventInterprocess) != 0 && (flags & cudaEventDisableTiming) == 0)
            return cudaErrorInvalidValue;
        Engine& all = engine();
        const Lock lock(all.mutex);
        auto event = std::make_shared<Event>();
        event->flags = flags;
        *handle = reinterpret_cast<cudaEvent_t>(event.get());
        Event* key = event.get();
        all.events[key] = std::move(event);
        return cudaSuccess;
    });
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) {
    return cudaEventCreateWithFlags(handle, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        return all.events.erase(reinterpret_cast<Event*>(handle)) == 1 ? cudaSuccess
                                                                       : cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event_handle, cudaStream_t stream_handle, unsigned flags) {
    return with_both(stream_handle, event_handle,
                     [&](Lock& lock, Stream* stream, const std::shared_ptr<Event>& event) {
                         return record(lock, stream, event, flags);
                     });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t event_handle, unsigned flags) {
    return with_both(stream_handle, event_handle,
                     [&](Lock& lock, Stream* stream, const std::shared_ptr<Event>& event) {
                         return wait(lock, stream, event, flags);
                     });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const std::shared_ptr<Event> event = find_event(all, handle);
        if (!event) return cudaErrorInvalidResourceHandle;
        if (const cudaError_t status = check_for_host(all, *event); status != cudaSuccess) return status;
        if (const cudaError_t status = check_unsafe_call(all); status != cudaSuccess) return status;
        if (sticky() != cudaSuccess) return sticky();
        return !event->record || event->record->done ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    return entry([&] {
        Engine& all = engine();
        Lock lock(all.mutex);
        const std::shared_ptr<Event> event = find_event(all, handle);
        if (!event) return cudaErrorInvalidResourceHandle;
        if (const cudaError_t status = check_for_host(all, *event); status != cudaSuccess) return status;
        if (const cudaError_t status = check_unsafe_call(all); status != cudaSuccess) return status;
        const Ticket ticket = event->record;
        return wait_for(lock, ticket);
    });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin_handle, cudaEvent_t end_handle) {
    return entry([&] {
        Engine& all = engine();
        const Lock lock(all.mutex);
        const std::shared_ptr<Event> begin = find_event(all, begin_handle);
        const std::shared_ptr<Event> end = find_event(all, end_handle);
        if (!begin || !end) return cudaErrorInvalidResourceHandle;
        if (milliseconds == nullptr) return cudaErrorInvalidValue;
        if (((begin->flags | end->flags) & cudaEventDisableTiming) != 0)
            return cudaErrorInvalidResourceHandle;
        if (begin->capture != 0 || end->capture != 0) return cudaErrorCapturedEvent;
        if (!begin->record || !end->record) return cudaErrorInvalidResourceHandle;
        if (!begin->record->done || !end->record->done) return cudaErrorNotReady;
        const std::chrono::duration<float, std::milli> elapsed =
            end->record->finished - begin->record->finished;
        *milliseconds = elapsed.count();
        return cudaSuccess;
    });
}

}  // extern "C"
