// Arrays on the fake device.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "tools/softcuda/core/device.h"

namespace fake {

void* allocate(std::size_t bytes, std::size_t misalignment = 0);
const std::string& last_kernel_name();

template <class T>
class DeviceArray {
  public:
    explicit DeviceArray(const std::vector<T>& values, std::size_t misalignment = 0)
        : data_(static_cast<T*>(allocate(std::max<std::size_t>(1, values.size()) * sizeof(T), misalignment))),
          size_(values.size()) {
        std::copy(values.begin(), values.end(), softcuda::view(data_));
    }
    T* get() const { return data_; }
    std::vector<T> values() const {
        const T* host = softcuda::view(data_);
        return {host, host + size_};
    }

  private:
    T* data_;
    std::size_t size_;
};

}  // namespace fake
