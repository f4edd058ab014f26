// Device memory of FuMi's own: one arena for each stream and thread, reused call after call (a stream runs
// its checks in order, but the calls of two threads on one stream may come between each other's save and
// check), and one for each capture, since a graph may run beside the stream that it was captured on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "cupti_hook/libraries/driver_api.h"

namespace fumi::rerun {

class Scratch {
  public:
    explicit Scratch(std::size_t ceiling) noexcept : ceiling_(ceiling) {}

    // At least `bytes` for the stream, 256-byte aligned; 0 where the ceiling or the device allows no more.
    // Grows by doubling and never frees: kernels in flight may still use what was outgrown. capture: 0
    // outside one.
    CUdeviceptr get(const libraries::DriverApi& driver, CUcontext context, CUstream stream,
                    std::uint64_t capture, std::size_t bytes) noexcept;
    // What get() could still give that stream.
    std::size_t available(CUcontext context, CUstream stream, std::uint64_t capture) noexcept;
    std::size_t allocated() noexcept;
    // Memory that stays the caller's, from at most half of the ceiling; 0 where there is none.
    CUdeviceptr take(const libraries::DriverApi& driver, std::size_t bytes) noexcept;

  private:
    struct Key {
        CUcontext context;
        CUstream stream;
        std::uint64_t capture;
        const void* thread;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const noexcept;
    };
    struct Arena {
        CUdeviceptr base = 0;
        std::size_t size = 0;
    };
    std::mutex mutex_;
    std::unordered_map<Key, Arena, Hash> arenas_;
    std::size_t ceiling_;
    std::size_t allocated_ = 0, taken_ = 0;
};

}  // namespace fumi::rerun
