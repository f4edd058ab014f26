// What the device's tests share.
#pragma once
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#define EXPECT_CUDA(call) EXPECT_EQ(call, cudaSuccess)

// A stream that is destroyed with its scope.
class Stream {
  public:
    explicit Stream(unsigned flags = cudaStreamNonBlocking) {
        EXPECT_CUDA(cudaStreamCreateWithFlags(&stream_, flags));
    }
    ~Stream() { cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    operator cudaStream_t() const { return stream_; }  // NOLINT(google-explicit-constructor)

  private:
    cudaStream_t stream_ = nullptr;
};

class Event {
  public:
    explicit Event(unsigned flags = cudaEventDefault) {
        EXPECT_CUDA(cudaEventCreateWithFlags(&event_, flags));
    }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    operator cudaEvent_t() const { return event_; }  // NOLINT(google-explicit-constructor)

  private:
    cudaEvent_t event_ = nullptr;
};

// `count` values in device memory.
template <class T>
class Device {
  public:
    explicit Device(std::size_t count) : count_(count) {
        EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
    }
    ~Device() { cudaFree(data_); }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    T* data() const { return data_; }
    std::size_t bytes() const { return count_ * sizeof(T); }
    std::vector<T> read() const {
        std::vector<T> values(count_);
        EXPECT_CUDA(cudaDeviceSynchronize());
        EXPECT_CUDA(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
        return values;
    }

  private:
    T* data_ = nullptr;
    std::size_t count_;
};

// Holds a stream up until it is opened (or its scope ends).
class Gate {
  public:
    ~Gate() { open(); }
    void close(cudaStream_t stream) { EXPECT_CUDA(cudaLaunchHostFunc(stream, wait, &opened_)); }
    void open() { opened_ = true; }

  private:
    static void wait(void* opened) {
        while (!static_cast<std::atomic<bool>*>(opened)->load()) std::this_thread::yield();
    }
    std::atomic<bool> opened_{false};
};
