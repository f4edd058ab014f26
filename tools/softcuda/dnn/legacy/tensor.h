// A legacy tensor descriptor as read from the real library, and walks over its elements.
#pragma once
#include <cudnn.h>
#include <library_types.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/number.h"

namespace softcuda::dnn::legacy {

struct Tensor {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    int rank = 0;
    std::array<std::int64_t, CUDNN_DIM_MAX> size{}, stride{};  // in elements

    std::int64_t count() const noexcept;
    bool same_sizes(const Tensor& other) const noexcept;
};

// Reads the descriptor. CUDNN_STATUS_BAD_PARAM_NULL_POINTER for null, else what the real library says.
cudnnStatus_t read(cudnnTensorDescriptor_t descriptor, Tensor& result) noexcept;

// The storage type's name in the BLAS's number formats; CUDA_C_64I for one that no function here takes.
cudaDataType number_type(cudnnDataType_t type) noexcept;

// Types that arithmetic is done on: float, double, half, bfloat16.
bool is_real(cudnnDataType_t type) noexcept;

// Calls visit with a value of the storage type and one of the type that its arithmetic is done in. The type
// is real.
template <class Visitor>
void visit_real(cudnnDataType_t type, Visitor&& visit) {
    switch (type) {
        case CUDNN_DATA_DOUBLE:
            return visit(double{}, double{});
        case CUDNN_DATA_HALF:
            return visit(blas::Half{}, float{});
        case CUDNN_DATA_BFLOAT16:
            return visit(blas::BFloat16{}, float{});
        default:
            return visit(float{}, float{});
    }
}

// A list of dimensions walked in row-major order, as runs of equal stride: element i of run r lies at
// starts[r] + i * stride.
struct Walk {
    std::vector<std::int64_t> starts;
    std::int64_t count = 1, stride = 1;

    std::int64_t size() const noexcept { return static_cast<std::int64_t>(starts.size()) * count; }
};
struct Dimension {
    std::int64_t size, stride;
};
Walk walk(std::vector<Dimension> dimensions);
Walk walk(const Tensor& tensor);

// The tensor's elements as matrices for planted faults, in memory that the caller may touch: rows are
// channels (the second dimension), columns positions.
std::vector<faults::View> views_of(const Tensor& tensor, void* data);

// alpha and beta of an operation: host values of type float, or double for double tensors.
double scaling(const void* value, cudnnDataType_t type) noexcept;

}  // namespace softcuda::dnn::legacy
