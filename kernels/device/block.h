// One body, two builds: what a kernel body may use, on the GPU and on the host.
//
// A body is written as phases: block.for_each_thread(f) runs f(t) for every thread t of the block,
// block.sync() ends a phase. On the GPU f runs once, for the calling thread; on the host it runs for t = 0,
// 1, ... in turn. Nothing may live from one phase to the next but shared memory and PerThread state. Global
// memory is reached through block.memory.at(pointer): the pointer itself on the GPU, translated on the host.
//
// FUMI_TARGET names the build (gpu, baseline, avx2) and is a namespace of its own, so that the linker never
// merges functions that were compiled for different instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/gemm_check.h"

#ifdef __CUDACC__
#define FUMI_TARGET gpu
#define FUMI_DEVICE __device__ __forceinline__
#define FUMI_DEVICE_CALL __device__ __noinline__
#define FUMI_UNROLL _Pragma("unroll")
#define FUMI_NO_UNROLL _Pragma("unroll 1")
#else
#define FUMI_DEVICE inline __attribute__((always_inline))
#define FUMI_DEVICE_CALL inline __attribute__((noinline))
#define FUMI_UNROLL _Pragma("GCC unroll 8")
#define FUMI_NO_UNROLL
#endif

namespace fumi::FUMI_TARGET {

#ifdef __CUDACC__

struct Memory {
    template <class T>
    FUMI_DEVICE T* at(T* pointer) const {
        return pointer;
    }
};

struct Block {
    Memory memory;
    FUMI_DEVICE unsigned index() const { return blockIdx.x; }
    FUMI_DEVICE unsigned count() const { return gridDim.x; }
    template <class F>
    FUMI_DEVICE void for_each_thread(F f) const {
        f(static_cast<int>(threadIdx.x));
    }
    FUMI_DEVICE void sync() const { __syncthreads(); }
};

template <class State>
struct PerThread {
    State own;
    FUMI_DEVICE State& operator[](int) { return own; }
};

// Makes everything written so far visible to the host, and to other devices, before what is written next.
FUMI_DEVICE void system_fence() {
    __threadfence_system();
}
FUMI_DEVICE void store_word(std::uint64_t* to, std::uint64_t word) {
    *static_cast<volatile std::uint64_t*>(to) = word;
}
FUMI_DEVICE std::uint64_t load_word(const std::uint64_t* from) {
    return *static_cast<const volatile std::uint64_t*>(from);
}

#else

struct Memory {
    std::intptr_t offset = 0;
    std::uintptr_t begin = 0, end = 0;
    template <class T>
    T* at(T* pointer) const {
        const auto address = reinterpret_cast<std::uintptr_t>(pointer);
        if (address < begin || address >= end) return pointer;
        return reinterpret_cast<T*>(address + static_cast<std::uintptr_t>(offset));
    }
};

template <int kThreads>
struct HostBlock {
    Memory memory;
    unsigned block_index = 0, block_count = 1;
    unsigned index() const { return block_index; }
    unsigned count() const { return block_count; }
    template <class F>
    FUMI_DEVICE void for_each_thread(F f) const {
        for (int t = 0; t < kThreads; ++t) f(t);
    }
    void sync() const {}
};

template <class State, int kThreads>
struct HostPerThread {
    State all[kThreads];
    State& operator[](int t) { return all[t]; }
};

FUMI_DEVICE void system_fence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
FUMI_DEVICE void store_word(std::uint64_t* to, std::uint64_t word) {
    __atomic_store_n(to, word, __ATOMIC_RELEASE);
}
FUMI_DEVICE std::uint64_t load_word(const std::uint64_t* from) {
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

#endif

}  // namespace fumi::FUMI_TARGET
