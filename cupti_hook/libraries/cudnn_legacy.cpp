#include "cupti_hook/libraries/cudnn_legacy.h"

#include <algorithm>
#include <cstring>

namespace fumi::libraries {

DnnCall* begin_dnn(Call& call, cudnnHandle_t handle, DnnOperation operation) noexcept {
    call.library = Library::cudnn;
    call.handle = handle;
    const CudnnApi* const api = cudnn_api();
    cudaStream_t stream = nullptr;
    if (api == nullptr || api->cudnnGetTensorNdDescriptor == nullptr ||
        api->cudnnGetFilterNdDescriptor == nullptr) {
        call.not_checkable = "the descriptors cannot be read";
        return nullptr;
    }
    if (api->cudnnGetStream(handle, &stream) != CUDNN_STATUS_SUCCESS)
        call.not_checkable = "the handle's stream cannot be read";
    call.stream = stream;
    DnnCall& dnn = this_threads_dnn_call();
    dnn = DnnCall{};
    dnn.operation = operation;
    call.dnn = &dnn;
    call.decoded = true;
    return &dnn;
}

void add_tensor(Call& call, DnnCall& dnn, DnnRole role, cudnnTensorDescriptor_t descriptor,
                const void* data) noexcept {
    if (data == nullptr) return;
    DnnTensor* const tensor = dnn.add(role);
    if (tensor == nullptr) return refuse(call, "a call of more tensors than FuMi has room for");
    tensor->data = data;
    cudnnDataType_t type{};
    int rank = 0, size[8] = {}, stride[8] = {};
    if (cudnn_api()->cudnnGetTensorNdDescriptor(descriptor, 8, &type, &rank, size, stride) !=
        CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    tensor->type = data_type(type);
    tensor->rank = std::min(rank, 8);
    std::copy_n(size, tensor->rank, tensor->size);
    std::copy_n(stride, tensor->rank, tensor->stride);
    if (tensor->type == DataType::none) refuse(call, "a data type without reference");
}

void add_filter(Call& call, DnnCall& dnn, DnnRole role, cudnnFilterDescriptor_t descriptor,
                const void* data) noexcept {
    DnnTensor* const tensor = dnn.add(role);
    if (tensor == nullptr) return refuse(call, "a call of more tensors than FuMi has room for");
    tensor->data = data;
    cudnnDataType_t type{};
    cudnnTensorFormat_t format{};
    int rank = 0, size[8] = {};
    if (cudnn_api()->cudnnGetFilterNdDescriptor(descriptor, 8, &type, &format, &rank, size) !=
        CUDNN_STATUS_SUCCESS)
        return refuse(call, "the descriptors cannot be read");
    tensor->type = data_type(type);
    tensor->rank = std::min(rank, 8);
    std::copy_n(size, tensor->rank, tensor->size);
    if (format != CUDNN_TENSOR_NCHW && format != CUDNN_TENSOR_NHWC)
        refuse(call, "a vectorised tensor layout");
    const bool last = format == CUDNN_TENSOR_NHWC;
    std::int64_t next = last ? tensor->size[1] : 1;
    if (last) tensor->stride[1] = 1;
    for (std::int32_t i = tensor->rank; i-- > 0;) {
        if (last && i == 1) continue;
        tensor->stride[i] = next;
        next *= tensor->size[i];
    }
}

void add_values(Call& call, DnnCall& dnn, DnnRole role, DataType type, std::int64_t count,
                const void* data) noexcept {
    if (data == nullptr) return;
    DnnTensor* const tensor = dnn.add(role);
    if (tensor == nullptr) return refuse(call, "a call of more tensors than FuMi has room for");
    tensor->data = data;
    tensor->type = type;
    tensor->rank = 1;
    tensor->size[0] = count;
    tensor->stride[0] = 1;
}

double host_scalar(const void* where, DataType data, double otherwise) noexcept {
    if (where == nullptr) return otherwise;
    if (data == DataType::f64) {
        double value = 0;
        std::memcpy(&value, where, sizeof value);
        return value;
    }
    float value = 0;
    std::memcpy(&value, where, sizeof value);
    return value;
}

void set_scalars(DnnCall& dnn, const void* alpha, const void* beta) noexcept {
    const DataType type = dnn.tensor_count > 0 ? dnn.tensors[0].type : DataType::f32;
    dnn.alpha = host_scalar(alpha, type, 1);
    dnn.beta = host_scalar(beta, type, 0);
    if (dnn.compute_type == DataType::none) dnn.compute_type = type == DataType::f64 ? type : DataType::f32;
}

}  // namespace fumi::libraries
