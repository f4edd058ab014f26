#include "tools/softcuda/dnn/legacy/tensor.h"

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/real_function.h"

namespace softcuda::dnn::legacy {

std::int64_t Tensor::count() const noexcept {
    std::int64_t result = 1;
    for (int i = 0; i < rank; ++i) result *= size[i];
    return result;
}

bool Tensor::same_sizes(const Tensor& other) const noexcept {
    return rank == other.rank && size == other.size;
}

cudnnStatus_t read(cudnnTensorDescriptor_t descriptor, Tensor& result) noexcept {
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetTensorNdDescriptor);
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    result = {};
    int sizes[CUDNN_DIM_MAX] = {}, strides[CUDNN_DIM_MAX] = {};
    const cudnnStatus_t status = get(descriptor, CUDNN_DIM_MAX, &result.type, &result.rank, sizes, strides);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    for (int i = 0; i < result.rank; ++i) {
        result.size[i] = sizes[i];
        result.stride[i] = strides[i];
    }
    return CUDNN_STATUS_SUCCESS;
}

cudaDataType number_type(cudnnDataType_t type) noexcept {
    switch (type) {
        case CUDNN_DATA_FLOAT:
            return CUDA_R_32F;
        case CUDNN_DATA_DOUBLE:
            return CUDA_R_64F;
        case CUDNN_DATA_HALF:
            return CUDA_R_16F;
        case CUDNN_DATA_BFLOAT16:
            return CUDA_R_16BF;
        case CUDNN_DATA_INT8:
            return CUDA_R_8I;
        case CUDNN_DATA_INT32:
            return CUDA_R_32I;
        default:
            return CUDA_C_64I;
    }
}

bool is_real(cudnnDataType_t type) noexcept {
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE || type == CUDNN_DATA_HALF ||
           type == CUDNN_DATA_BFLOAT16;
}

Walk walk(std::vector<Dimension> dimensions) {
    Walk result;
    // The innermost run takes in every dimension around it that only continues it.
    while (!dimensions.empty() && dimensions.back().size == 1) dimensions.pop_back();
    if (!dimensions.empty()) {
        result.count = dimensions.back().size;
        result.stride = dimensions.back().stride;
        dimensions.pop_back();
    }
    while (!dimensions.empty() &&
           (dimensions.back().size == 1 || dimensions.back().stride == result.count * result.stride)) {
        result.count *= dimensions.back().size;
        dimensions.pop_back();
    }
    result.starts = {0};
    for (const Dimension& dimension : dimensions) {
        std::vector<std::int64_t> next;
        next.reserve(result.starts.size() * static_cast<std::size_t>(dimension.size));
        for (const std::int64_t start : result.starts)
            for (std::int64_t i = 0; i < dimension.size; ++i) next.push_back(start + i * dimension.stride);
        result.starts = std::move(next);
    }
    return result;
}

Walk walk(const Tensor& tensor) {
    std::vector<Dimension> dimensions;
    dimensions.reserve(CUDNN_DIM_MAX);
    for (int i = 0; i < tensor.rank; ++i) dimensions.push_back({tensor.size[i], tensor.stride[i]});
    return walk(std::move(dimensions));
}

std::vector<faults::View> views_of(const Tensor& tensor, void* data) {
    std::vector<faults::View> views;
    const cudaDataType type = number_type(tensor.type);
    std::vector<Dimension> inner;
    inner.reserve(CUDNN_DIM_MAX);
    for (int i = 2; i < tensor.rank; ++i) inner.push_back({tensor.size[i], tensor.stride[i]});
    const Walk positions = walk(std::move(inner));
    const auto bytes = [](cudnnDataType_t of) -> std::int64_t {
        switch (of) {
            case CUDNN_DATA_DOUBLE:
                return 8;
            case CUDNN_DATA_HALF:
            case CUDNN_DATA_BFLOAT16:
                return 2;
            case CUDNN_DATA_INT8:
                return 1;
            default:
                return 4;
        }
    };
    auto* base = static_cast<char*>(host_view(data));
    for (std::int64_t n = 0; n < tensor.size[0]; ++n)
        for (const std::int64_t start : positions.starts)
            views.push_back({base + (n * tensor.stride[0] + start) * bytes(tensor.type), type,
                             tensor.rank > 1 ? tensor.size[1] : 1, positions.count,
                             tensor.rank > 1 ? tensor.stride[1] : 1, positions.stride});
    return views;
}

double scaling(const void* value, cudnnDataType_t type) noexcept {
    return type == CUDNN_DATA_DOUBLE ? *static_cast<const double*>(value)
                                     : static_cast<double>(*static_cast<const float*>(value));
}

}  // namespace softcuda::dnn::legacy
