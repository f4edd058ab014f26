// Batch normalization: y = act( scale (x - mean) / sqrt(variance + epsilon) + bias + z ), its statistics over
// all elements that share a scale, and its backward pass (Ioffe and Szegedy 2015). All pointers are the
// program's own.
#pragma once
#include <vector>

#include "tools/softcuda/dnn/legacy/reduce.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

struct Norm {
    bool per_activation = false;  // statistics over N alone, not over N and the positions
    bool relu = false;            // after normalization and z
    Tensor x, y, z;               // backward: y is dy, z is dz
    cudnnDataType_t parameter_type = CUDNN_DATA_FLOAT;
    const void *x_data = nullptr, *z_data = nullptr;
    void* y_data = nullptr;
    const void *scale = nullptr, *bias = nullptr;
    double alpha = 1, beta = 0, epsilon = 0;
    unsigned char* mask = nullptr;  // one bit per element, where relu let it pass; in logical order

    std::int64_t groups() const noexcept;    // how many scales there are
    std::int64_t elements() const noexcept;  // how many elements share one
};

struct NormTraining : Norm {
    double factor = 1;  // running = (1 - factor) running + factor new
    void *running_mean = nullptr, *running_variance = nullptr, *saved_mean = nullptr,
         *saved_inverse = nullptr;
};

struct NormInference : Norm {
    const void *mean = nullptr, *variance = nullptr;
};

struct NormBackward : Norm {
    void* dx_data = nullptr;  // y_data is not used
    Tensor dx;
    const void* dy_data = nullptr;
    void *dz_data = nullptr, *dscale = nullptr, *dbias = nullptr;
    const void *saved_mean = nullptr, *saved_inverse = nullptr;  // null: computed from x
    double parameter_alpha = 1, parameter_beta = 0;
};

void run(const NormTraining& norm, Deviation& deviation);
void run(const NormInference& norm, Deviation& deviation);
void run(const NormBackward& norm, Deviation& deviation);

std::int64_t mask_bytes(const Tensor& x) noexcept;

// A parameter vector as a matrix of one column.
faults::View parameter_view(const Norm& norm, void* data) noexcept;

}  // namespace softcuda::dnn::legacy
