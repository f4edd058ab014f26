// Graphs of cuDNN's backend API, made of the real library's descriptors as a program makes them, and noted as
// the hook notes them.
#pragma once
#include <cudnn.h>
#include <gtest/gtest.h>

#include <vector>

#include "cupti_hook/libraries/cudnn_descriptors.h"

namespace fumi::test {

class Backend {
  public:
    explicit Backend(cudnnBackendDescriptorType_t type) {
        EXPECT_EQ(cudnnBackendCreateDescriptor(type, &made_), CUDNN_STATUS_SUCCESS);
        libraries::backend::created(made_, type);
    }
    ~Backend() { destroy(); }
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Backend& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                 const void* values) {
        const cudnnStatus_t status = cudnnBackendSetAttribute(made_, name, type, count, values);
        EXPECT_EQ(status, CUDNN_STATUS_SUCCESS)
            << "attribute " << name << ": " << cudnnGetErrorString(status);
        libraries::backend::set(made_, name, type, count, values);
        return *this;
    }
    template <class T>
    Backend& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
        return set(name, type, 1, &value);
    }
    Backend& set(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values) {
        return set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
    }
    Backend& set(cudnnBackendAttributeName_t name, const Backend& other) {
        return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.made_);
    }
    Backend& finalize() {
        const cudnnStatus_t status = cudnnBackendFinalize(made_);
        EXPECT_EQ(status, CUDNN_STATUS_SUCCESS) << cudnnGetErrorString(status);
        return *this;
    }
    void destroy() {
        if (made_ == nullptr) return;
        libraries::backend::destroyed(made_);
        EXPECT_EQ(cudnnBackendDestroyDescriptor(made_), CUDNN_STATUS_SUCCESS);
        made_ = nullptr;
    }
    cudnnBackendDescriptor_t get() const { return made_; }

  private:
    cudnnBackendDescriptor_t made_ = nullptr;
};

struct Tensor : Backend {
    Tensor(std::int64_t uid, const std::vector<std::int64_t>& size, const std::vector<std::int64_t>& stride,
           cudnnDataType_t type = CUDNN_DATA_FLOAT, bool is_virtual = false, bool by_value = false)
        : Backend(CUDNN_BACKEND_TENSOR_DESCRIPTOR) {
        set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
        set(CUDNN_ATTR_TENSOR_DIMENSIONS, size);
        set(CUDNN_ATTR_TENSOR_STRIDES, stride);
        set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, uid);
        set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::int64_t{16});
        if (is_virtual) set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, true);
        if (by_value) set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
        finalize();
    }
};

// Contiguous strides: row-major, or with the channels last.
inline std::vector<std::int64_t> packed(const std::vector<std::int64_t>& size, bool channels_last = false) {
    std::vector<std::int64_t> stride(size.size());
    std::int64_t next = 1;
    if (channels_last) {
        stride[1] = next;
        next *= size[1];
    }
    for (std::size_t i = size.size(); i-- > 0;) {
        if (channels_last && i == 1) continue;
        stride[i] = next;
        next *= size[i];
    }
    return stride;
}

struct Convolution : Backend {
    Convolution(const std::vector<std::int64_t>& stride, const std::vector<std::int64_t>& padding,
                const std::vector<std::int64_t>& dilation, cudnnDataType_t compute = CUDNN_DATA_FLOAT)
        : Backend(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR) {
        set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, compute);
        set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
        set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, static_cast<std::int64_t>(stride.size()));
        set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding);
        set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding);
        set(CUDNN_ATTR_CONVOLUTION_DILATIONS, dilation);
        set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride);
        finalize();
    }
};

// An operation's pointwise descriptor is part of it.
struct Pointwise {
    Backend descriptor{CUDNN_BACKEND_POINTWISE_DESCRIPTOR};
    Backend operation{CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR};
    Pointwise(cudnnPointwiseMode_t mode, const Backend& x, const Backend* b, const Backend& y,
              float alpha2 = 1) {
        descriptor.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode)
            .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
            .finalize();
        operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, descriptor)
            .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
            .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
        if (b != nullptr)
            operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b)
                .set(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT, alpha2);
        operation.finalize();
    }
};

// Not finalized: that takes a device. What was set says everything.
struct Graph : Backend {
    explicit Graph(const std::vector<const Backend*>& operations)
        : Backend(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
        std::vector<cudnnBackendDescriptor_t> all;
        for (const Backend* operation : operations) all.push_back(operation->get());
        set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(all.size()), all.data());
    }
};

}  // namespace fumi::test
