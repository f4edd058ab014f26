// The spatial transformer (Jaderberg et al. 2015): a grid of sampling points from affine transformations, and
// bilinear sampling at them. Points are (x, y) in -1..1, the corners' centres at its ends; outside lie zeros.
#pragma once
#include <cudnn.h>

#include <cstdint>
#include <vector>

#include "tools/softcuda/dnn/legacy/reduce.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

struct Sampler {
    Tensor x, y;  // N, C, H, W and N, C, Ho, Wo
    const void* x_data = nullptr;
    const void* grid = nullptr;  // N, Ho, Wo, 2, contiguous, of x's type
    double alpha = 1, beta = 0;  // of y, or of dx
    void* y_data = nullptr;
};
struct SamplerBackward : Sampler {  // y is dy
    const void* dy_data = nullptr;
    Tensor dx;
    void *dx_data = nullptr, *dgrid = nullptr;
    double grid_alpha = 1, grid_beta = 0;
};
struct GridGenerator {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    std::int64_t batch = 0, height = 0, width = 0;
    bool backward = false;
    const void* from = nullptr;  // theta (N, 2, 3), or dgrid
    void* to = nullptr;          // grid (N, H, W, 2), or dtheta
};
void run(const Sampler& sampler, Deviation& deviation);
void run(const SamplerBackward& sampler, Deviation& deviation);
void run(const GridGenerator& generator, Deviation& deviation);

}  // namespace softcuda::dnn::legacy
