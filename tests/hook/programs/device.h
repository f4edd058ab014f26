// Shared by the programs under test: device buffers, handles, and errors that end the program.
#pragma once
#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

inline void require(bool held, const char* what, int status) {
    if (held) return;
    std::fprintf(stderr, "program: %s failed: %d\n", what, status);
    std::exit(2);
}
#define CUDA(call) require((call) == cudaSuccess, #call, 0)
#define BLAS(call)                                                                           \
    do {                                                                                     \
        const cublasStatus_t blas_status = (call);                                           \
        require(blas_status == CUBLAS_STATUS_SUCCESS, #call, static_cast<int>(blas_status)); \
    } while (false)

// Values in (-1, 1), from a fixed generator.
class Values {
  public:
    explicit Values(std::uint32_t seed) : state_(seed * 2654435761u + 1) {}
    float next() {
        state_ = state_ * 1664525u + 1013904223u;
        return static_cast<float>(static_cast<std::int32_t>(state_)) * 0x1p-31f;
    }

  private:
    std::uint32_t state_;
};

template <class T>
T make(Values& values) {
    return T(values.next());
}
template <>
inline cuComplex make<cuComplex>(Values& values) {
    const float re = values.next();
    return {re, values.next()};
}
template <>
inline cuDoubleComplex make<cuDoubleComplex>(Values& values) {
    const double re = values.next();
    return {re, values.next()};
}
template <>
inline std::int8_t make<std::int8_t>(Values& values) {
    return static_cast<std::int8_t>(values.next() * 100);
}

template <class T>
class Buffer {
  public:
    explicit Buffer(std::size_t count, std::uint32_t seed = 1) : count_(count) {
        CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
        Values values(seed);
        std::vector<T> host(count);
        for (T& value : host) value = make<T>(values);
        CUDA(cudaMemcpy(data_, host.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    }
    ~Buffer() { cudaFree(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* get() const { return data_; }
    operator T*() const { return data_; }
    std::size_t bytes() const { return count_ * sizeof(T); }
    // FNV-1a of the bytes, to compare runs by.
    std::uint64_t hash() const {
        CUDA(cudaDeviceSynchronize());
        std::vector<unsigned char> host(bytes());
        CUDA(cudaMemcpy(host.data(), data_, bytes(), cudaMemcpyDeviceToHost));
        std::uint64_t value = 1469598103934665603u;
        for (const unsigned char byte : host) value = (value ^ byte) * 1099511628211u;
        return value;
    }

  private:
    T* data_ = nullptr;
    std::size_t count_;
};
