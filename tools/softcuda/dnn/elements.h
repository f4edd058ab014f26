// Tensors of any layout and storage type, copied into dense row-major arrays of the type that arithmetic is
// done in, and back.
#pragma once
#include <cudnn.h>

#include <algorithm>
#include <cmath>

#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/dnn/graph.h"

namespace softcuda::dnn {

// Calls visit with a value of the storage type of `type`. False where the type is not one of ours.
template <class Visitor>
bool visit_element(cudnnDataType_t type, Visitor&& visit) {
    switch (type) {
        case CUDNN_DATA_FLOAT:
            visit(float{});
            return true;
        case CUDNN_DATA_DOUBLE:
            visit(double{});
            return true;
        case CUDNN_DATA_HALF:
            visit(blas::Half{});
            return true;
        case CUDNN_DATA_BFLOAT16:
            visit(blas::BFloat16{});
            return true;
        case CUDNN_DATA_INT8:
            visit(std::int8_t{});
            return true;
        case CUDNN_DATA_UINT8:
        case CUDNN_DATA_BOOLEAN:
            visit(std::uint8_t{});
            return true;
        case CUDNN_DATA_INT32:
            visit(std::int32_t{});
            return true;
        case CUDNN_DATA_INT64:
            visit(std::int64_t{});
            return true;
        default:
            return false;
    }
}

inline bool is_known(cudnnDataType_t type) {
    return visit_element(type, [](auto) {});
}
inline std::int64_t element_size(cudnnDataType_t type) {
    std::int64_t size = 0;
    visit_element(type, [&](auto tag) { size = sizeof tag; });
    return size;
}

// The types that products are formed of.
inline bool is_floating(cudnnDataType_t type) noexcept {
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE || type == CUDNN_DATA_HALF ||
           type == CUDNN_DATA_BFLOAT16;
}
inline cudaDataType cuda_type(cudnnDataType_t type) noexcept {
    switch (type) {
        case CUDNN_DATA_DOUBLE:
            return CUDA_R_64F;
        case CUDNN_DATA_HALF:
            return CUDA_R_16F;
        case CUDNN_DATA_BFLOAT16:
            return CUDA_R_16BF;
        case CUDNN_DATA_INT32:
            return CUDA_R_32I;
        case CUDNN_DATA_INT8:
            return CUDA_R_8I;
        default:
            return CUDA_R_32F;
    }
}

template <class T, class E>
T real_number(E x) noexcept {
    if constexpr (std::is_integral_v<E>)
        return static_cast<T>(x);
    else
        return static_cast<T>(blas::load(x));
}
template <class E, class T>
E stored(T x) noexcept {
    if constexpr (std::is_same_v<E, blas::Half> && std::is_same_v<T, double>)
        return blas::half_from_double(x);
    else if constexpr (std::is_same_v<E, std::int64_t>)
        return std::isnan(x) ? 0 : std::llrint(std::clamp(x, T(-0x1p62), T(0x1p62)));
    else
        return blas::store<E>(x);
}

inline std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& size) {
    std::vector<std::int64_t> stride(size.size(), 1);
    for (std::size_t i = size.size() - 1; i-- > 0;) stride[i] = stride[i + 1] * size[i + 1];
    return stride;
}

// Calls visit(offset, dense offset) at the beginning of each run along the last dimension.
template <class Visitor>
void each_run(const std::vector<std::int64_t>& size, const std::vector<std::int64_t>& stride,
              Visitor&& visit) {
    const std::size_t outer = size.size() - 1;
    std::int64_t runs = 1;
    for (std::size_t i = 0; i < outer; ++i) runs *= size[i];
    std::vector<std::int64_t> at(outer, 0);
    std::int64_t offset = 0;
    for (std::int64_t run = 0; run < runs; ++run) {
        visit(offset, run * size[outer]);
        for (std::size_t i = outer; i-- > 0;) {
            offset += stride[i];
            if (++at[i] < size[i]) break;
            offset -= stride[i] * size[i];
            at[i] = 0;
        }
    }
}

// dense[...] = the tensor's elements; `data` is memory that the host may touch.
template <class T>
void load_tensor(const Tensor& tensor, const void* data, T* dense) {
    if (tensor.count() == 0) return;
    visit_element(tensor.type, [&](auto tag) {
        const auto* elements = static_cast<const decltype(tag)*>(data);
        const std::int64_t length = tensor.size.back(), step = tensor.stride.back();
        each_run(tensor.size, tensor.stride, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t i = 0; i < length; ++i)
                dense[to + i] = real_number<T>(elements[from + i * step]);
        });
    });
}
template <class T>
void store_tensor(const Tensor& tensor, const T* dense, void* data) {
    if (tensor.count() == 0) return;
    visit_element(tensor.type, [&](auto tag) {
        using E = decltype(tag);
        auto* elements = static_cast<E*>(data);
        const std::int64_t length = tensor.size.back(), step = tensor.stride.back();
        each_run(tensor.size, tensor.stride, [&](std::int64_t to, std::int64_t from) {
            for (std::int64_t i = 0; i < length; ++i) elements[to + i * step] = stored<E>(dense[from + i]);
        });
    });
}
// What storing and loading would make of the values.
template <class T>
void round_values(cudnnDataType_t type, T* values, std::int64_t count) {
    visit_element(type, [&](auto tag) {
        using E = decltype(tag);
        if constexpr (!std::is_same_v<E, T> && !std::is_integral_v<E>)
            for (std::int64_t i = 0; i < count; ++i) values[i] = real_number<T>(stored<E>(values[i]));
    });
}

}  // namespace softcuda::dnn
