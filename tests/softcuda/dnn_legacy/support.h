// Device memory, descriptors and references for the tests of cuDNN's legacy functions.
#pragma once
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace fumi_test {

template <class T>
class Device {
  public:
    explicit Device(const std::vector<T>& values) : size_(values.size()) {
        EXPECT_EQ(cudaMalloc(&data_, (size_ + 1) * sizeof(T)), cudaSuccess);
        EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    }
    explicit Device(std::size_t size) : Device(std::vector<T>(size)) {}
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() { cudaFree(data_); }
    T* get() const { return static_cast<T*>(data_); }
    std::vector<T> values() const {
        std::vector<T> result(size_);
        EXPECT_EQ(cudaMemcpy(result.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
        return result;
    }

  private:
    void* data_ = nullptr;
    std::size_t size_;
};

struct Handle {
    Handle() { EXPECT_EQ(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS); }
    ~Handle() { cudnnDestroy(handle); }
    operator cudnnHandle_t() const { return handle; }
    cudnnHandle_t handle = nullptr;
};

// A packed tensor; `last`: channels innermost.
struct TensorDescriptor {
    explicit TensorDescriptor(std::vector<int> size, cudnnDataType_t type = CUDNN_DATA_DOUBLE,
                              bool last = false) {
        std::vector<int> stride(size.size());
        int step = 1;
        const auto place = [&](std::size_t i) {
            stride[i] = step;
            step *= size[i];
        };
        if (last) place(1);
        for (std::size_t i = size.size(); i-- > 0;)
            if (!last || i != 1) place(i);
        EXPECT_EQ(cudnnCreateTensorDescriptor(&descriptor), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnSetTensorNdDescriptor(descriptor, type, static_cast<int>(size.size()), size.data(),
                                             stride.data()),
                  CUDNN_STATUS_SUCCESS);
    }
    TensorDescriptor(const TensorDescriptor&) = delete;
    TensorDescriptor& operator=(const TensorDescriptor&) = delete;
    ~TensorDescriptor() { cudnnDestroyTensorDescriptor(descriptor); }
    operator cudnnTensorDescriptor_t() const { return descriptor; }
    cudnnTensorDescriptor_t descriptor = nullptr;
};

// Numbers between -1 and 1 without a pattern.
inline std::vector<double> numbers(std::size_t count, double seed = 0) {
    std::vector<double> result(count);
    for (std::size_t i = 0; i < count; ++i)
        result[i] = std::remainder(std::sin(static_cast<double>(i + 1) * 12.9898 + seed) * 43758.5453, 2.0);
    return result;
}

inline void expect_near(const std::vector<double>& a, const std::vector<double>& b,
                        double tolerance = 1e-12) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << "element " << i;
}

inline constexpr double one = 1, zero = 0;

}  // namespace fumi_test
