// cudart: streams, and what waits for them.
#include <algorithm>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"

using namespace softcuda;

namespace {

constexpr int least_priority = 0;
constexpr int greatest_priority = -5;

// Calls `read` with the stream behind the handle.
template <class Read>
cudaError_t with_stream(cudaStream_t handle, Read&& read) {
    return entry([&] {
        Engine& all = engine();
        Lock lock(all.mutex);
        Stream* stream = find_stream(all, handle);
        return stream == nullptr ? cudaErrorInvalidResourceHandle : read(lock, stream);
    });
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned flags, int priority) {
    return entry([&] {
        start_torch_redirect();
        if (handle == nullptr || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
        Engine& all = engine();
        const Lock lock(all.mutex);
        auto* stream = new Stream;
        stream->flags = flags;
        stream->priority = std::min(std::max(priority, greatest_priority), least_priority);
        stream->id = all.next_id++;
        all.streams.insert(stream);
        *handle = reinterpret_cast<cudaStream_t>(stream);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) {
    return cudaStreamCreateWithPriority(handle, cudaStreamDefault, 0);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
    return cudaStreamCreateWithPriority(handle, flags, 0);
}

// Returns at once; what is enqueued still runs.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) {
        return remember(cudaErrorInvalidResourceHandle);
    }
    return with_stream(handle, [](Lock&, Stream* stream) {
        if (stream->capture != nullptr) {
            invalidate(stream->capture);
            stream->capture->streams.erase(stream);
            if (stream->capture->origin == stream) {
                Capture* capture = stream->capture;
                for (Stream* other : capture->streams) {
                    other->capture = nullptr;
                    other->tail.clear();
                }
                engine().captures.erase(capture->id);
            }
            stream->capture = nullptr;
        }
        stream->destroyed = true;
        if (stream->has_worker) {
            stream->wake.notify_one();
        } else {
            engine().streams.erase(stream);
            delete stream;
        }
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    return synchronize(handle);
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    return with_stream(handle, [](Lock&, Stream* stream) {
        if (const cudaError_t status = check_not_captured(stream); status != cudaSuccess) return status;
        if (const cudaError_t status = check_implicit_sync(engine(), stream); status != cudaSuccess)
            return status;
        if (sticky() != cudaSuccess) return sticky();
        const bool busy = stream->last && !stream->last->done;
        if (busy || !stream->legacy) return busy ? cudaErrorNotReady : cudaSuccess;
        for (const Stream* other : engine().streams) {
            if (other->blocking() && other->last && !other->last->done) return cudaErrorNotReady;
        }
        return cudaSuccess;
    });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
    return with_stream(handle, [&](Lock&, Stream* stream) {
        if (priority == nullptr) return cudaErrorInvalidValue;
        *priority = stream->priority;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
    return with_stream(handle, [&](Lock&, Stream* stream) {
        if (flags == nullptr) return cudaErrorInvalidValue;
        *flags = stream->flags;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* id) {
    return with_stream(handle, [&](Lock&, Stream* stream) {
        if (id == nullptr) return cudaErrorInvalidValue;
        *id = stream->id;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
    return with_stream(handle, [&](Lock&, Stream*) {
        if (device == nullptr) return cudaErrorInvalidValue;
        *device = 0;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    return entry([&] {
        if (least != nullptr) *least = least_priority;
        if (greatest != nullptr) *greatest = greatest_priority;
        return cudaSuccess;
    });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
    if (function == nullptr) return remember(cudaErrorInvalidValue);
    return with_stream(handle, [&](Lock& lock, Stream* stream) {
        return submit(
            lock, stream, [function, data] { function(data); }, "host function", cudaGraphNodeTypeHost);
    });
}

cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t callback, void* data,
                                  unsigned flags) {
    if (callback == nullptr || flags != 0) return remember(cudaErrorInvalidValue);
    return with_stream(handle, [&](Lock& lock, Stream* stream) {
        // Older than capture, and forbidden in it.
        if (const cudaError_t status = check_not_captured(stream); status != cudaSuccess) return status;
        return submit(
            lock, stream, [=] { callback(handle, sticky(), data); }, "callback", cudaGraphNodeTypeHost);
    });
}

cudaError_t cudaDeviceSynchronize() {
    return entry([] {
        Engine& all = engine();
        Lock lock(all.mutex);
        for (auto& [id, capture] : all.captures) {
            if (capture->mode != cudaStreamCaptureModeRelaxed) {
                if (const cudaError_t status = check_unsafe_call(all); status != cudaSuccess) return status;
            }
        }
        return wait_for_all(lock);
    });
}

}  // extern "C"
