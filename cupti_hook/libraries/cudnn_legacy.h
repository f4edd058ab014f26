// From the descriptors of cuDNN's functions other than the backend API's to a Call: through public Get
// functions.
#pragma once
#include "cupti_hook/libraries/cudnn_api.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/libraries/cudnn_wrapper.h"

namespace fumi::libraries {

// Library, handle and stream, and the thread's empty DnnCall as call.dnn. nullptr, with the reason set, where
// the Get functions are not there.
DnnCall* begin_dnn(Call& call, cudnnHandle_t handle, DnnOperation operation) noexcept;

// The tensor with its address; with no address (an optional one that is absent) nothing happens.
void add_tensor(Call& call, DnnCall& dnn, DnnRole role, cudnnTensorDescriptor_t descriptor,
                const void* data) noexcept;
void add_filter(Call& call, DnnCall& dnn, DnnRole role, cudnnFilterDescriptor_t descriptor,
                const void* data) noexcept;
// One that no descriptor describes: `count` values.
void add_values(Call& call, DnnCall& dnn, DnnRole role, DataType type, std::int64_t count,
                const void* data) noexcept;

// alpha or beta: a double where the data is fp64, else a float; on the host.
double host_scalar(const void* where, DataType data, double otherwise) noexcept;
void set_scalars(DnnCall& dnn, const void* alpha, const void* beta) noexcept;

inline void refuse(Call& call, const char* reason) noexcept {
    if (call.not_checkable == nullptr) call.not_checkable = reason;
}

}  // namespace fumi::libraries
