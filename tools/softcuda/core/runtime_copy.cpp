// cudart: copies and fills. Each is checked against the live allocations when it is called, and moves its
// bytes as work on the stream.
#include <cstring>
#include <memory>
#include <vector>

#include "tools/softcuda/core/copy.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/core/engine.h"
#include "tools/softcuda/core/lifecycle.h"
#include "tools/softcuda/core/memory.h"

namespace softcuda {
namespace {

// How far a rectangle reaches from its begin.
size_t reach(const Rectangle& rectangle, size_t pitch) {
    return rectangle.height == 0 ? 0 : (rectangle.height - 1) * pitch + rectangle.width;
}

bool kind_fits(cudaMemcpyKind kind, Kind target, Kind source) {
    const auto on_device = [](Kind side) {
        return side != Kind::unregistered;
    };  // pinned memory has a device address
    const auto on_host = [](Kind side) { return side != Kind::device; };
    switch (kind) {
        case cudaMemcpyHostToHost:
            return on_host(target) && on_host(source);
        case cudaMemcpyHostToDevice:
            return on_device(target) && on_host(source);
        case cudaMemcpyDeviceToHost:
            return on_host(target) && on_device(source);
        case cudaMemcpyDeviceToDevice:
            return on_device(target) && on_device(source);
        case cudaMemcpyDefault:
            return true;
    }
    return false;
}

void move(const Rectangle& copy) {
    if (copy.target_pitch == copy.width && copy.source_pitch == copy.width) {
        std::memmove(copy.target, copy.source, copy.width * copy.height);
        return;
    }
    for (size_t row = 0; row < copy.height; ++row) {
        std::memmove(static_cast<char*>(copy.target) + row * copy.target_pitch,
                     static_cast<const char*>(copy.source) + row * copy.source_pitch, copy.width);
    }
}

// The source's bytes as they are now: pageable memory may be overwritten as soon as the call returns.
std::shared_ptr<std::vector<char>> stage(Rectangle& copy) {
    auto bytes = std::make_shared<std::vector<char>>(copy.width * copy.height);
    Rectangle staged = copy;
    staged.target = bytes->data();
    staged.target_pitch = copy.width;
    move(staged);
    copy.source = bytes->data();
    copy.source_pitch = copy.width;
    return bytes;
}

}  // namespace

cudaError_t copy_on_stream(Rectangle copy, cudaMemcpyKind kind, cudaStream_t handle, bool wait) {
    if (copy.width == 0 || copy.height == 0) return cudaSuccess;
    if (copy.target == nullptr || copy.source == nullptr) return cudaErrorInvalidValue;
    if (copy.width > copy.target_pitch || copy.width > copy.source_pitch) return cudaErrorInvalidPitchValue;
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
    const Kind target = find_extent(copy.target).kind;
    const Kind source = find_extent(copy.source).kind;
    if (!kind_fits(kind, target, source) || !range_is_live(copy.target, reach(copy, copy.target_pitch)) ||
        !range_is_live(copy.source, reach(copy, copy.source_pitch))) {
        return cudaErrorInvalidValue;
    }
    Engine& all = engine();
    Lock lock(all.mutex);
    Stream* stream = find_stream(all, handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (wait) {
        if (const cudaError_t status = check_unsafe_call(all); status != cudaSuccess) return status;
    }
    const bool captured = stream->capture != nullptr;
    std::shared_ptr<std::vector<char>> staged;
    if (!captured && source == Kind::unregistered) staged = stage(copy);
    copy.target = host_view(copy.target);
    copy.source = host_view(copy.source);
    Ticket ticket;
    const cudaError_t status = submit(
        lock, stream, [copy, staged] { move(copy); }, "memcpy", cudaGraphNodeTypeMemcpy, &ticket);
    if (status != cudaSuccess || captured) return status;
    // To pageable memory a copy ends before the call does; a synchronous one between device addresses need
    // not.
    const bool both_on_device = target == Kind::device && source == Kind::device;
    if (target == Kind::unregistered || (wait && !both_on_device)) return wait_for(lock, ticket);
    return cudaSuccess;
}

cudaError_t fill_on_stream(void* target, size_t pitch, unsigned value, size_t unit, size_t width,
                           size_t height, cudaStream_t handle) {
    if (width == 0 || height == 0) return cudaSuccess;
    if (height > 1 && pitch < width * unit) return cudaErrorInvalidPitchValue;
    const Kind kind = find_extent(target).kind;
    if (kind == Kind::unregistered || !range_is_live(target, (height - 1) * pitch + width * unit)) {
        return cudaErrorInvalidValue;
    }
    Engine& all = engine();
    Lock lock(all.mutex);
    auto* bytes = static_cast<char*>(host_view(target));
    const auto run = [=] {
        for (size_t row = 0; row < height; ++row) {
            char* begin = bytes + row * pitch;
            if (unit == 1) {
                std::memset(begin, static_cast<int>(value & 0xffU), width);
                continue;
            }
            for (size_t index = 0; index < width; ++index) std::memcpy(begin + index * unit, &value, unit);
        }
    };
    return submit(lock, find_stream(all, handle), run, "memset", cudaGraphNodeTypeMemset);
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

cudaError_t cudaMemcpy(void* target, const void* source, size_t count, cudaMemcpyKind kind) {
    return entry([&] {
        return copy_on_stream({target, count, source, count, count, 1}, kind, nullptr, true);
    });
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t count, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return entry([&] {
        return copy_on_stream({target, count, source, count, count, 1}, kind, stream, false);
    });
}

cudaError_t cudaMemcpy2D(void* target, size_t target_pitch, const void* source, size_t source_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
    return entry([&] {
        return copy_on_stream({target, target_pitch, source, source_pitch, width, height}, kind, nullptr,
                              true);
    });
}

cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source, size_t source_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    return entry([&] {
        return copy_on_stream({target, target_pitch, source, source_pitch, width, height}, kind, stream,
                              false);
    });
}

cudaError_t cudaMemcpyPeerAsync(void* target, int target_device, const void* source, int source_device,
                                size_t count, cudaStream_t stream) {
    return entry([&] {
        if (target_device != 0 || source_device != 0) return cudaErrorInvalidDevice;
        return copy_on_stream({target, count, source, count, count, 1}, cudaMemcpyDeviceToDevice, stream,
                              false);
    });
}

cudaError_t cudaMemcpyPeer(void* target, int target_device, const void* source, int source_device,
                           size_t count) {
    return cudaMemcpyPeerAsync(target, target_device, source, source_device, count, nullptr);
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t count, cudaStream_t stream) {
    return entry(
        [&] { return fill_on_stream(target, count, static_cast<unsigned>(value), 1, count, 1, stream); });
}

cudaError_t cudaMemset(void* target, int value, size_t count) {
    return cudaMemsetAsync(target, value, count, nullptr);
}

cudaError_t cudaMemset2DAsync(void* target, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
    return entry([&] {
        return fill_on_stream(target, pitch, static_cast<unsigned>(value), 1, width, height, stream);
    });
}

cudaError_t cudaMemset2D(void* target, size_t pitch, int value, size_t width, size_t height) {
    return cudaMemset2DAsync(target, pitch, value, width, height, nullptr);
}

}  // extern "C"
