// The convolution checks as the GPU has them.
#include "kernels/device/dnn/conv_body.h"

namespace {

template <class Sums>
__device__ __forceinline__ void check(const fumi::ConvCheckParams& params) {
    using Geometry = fumi::gpu::Geometry<Sums>;
    __shared__ fumi::gpu::ConvShared<Geometry> shared;
    fumi::gpu::PerThread<fumi::gpu::ThreadSums<Geometry>> sums;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::conv_check<Geometry>(fumi::gpu::Block{}, params, shared, sums, stats);
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_conv_check_real(const __grid_constant__ fumi::ConvCheckParams params) {
    check<fumi::gpu::RealSums>(params);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_conv_check_double(const __grid_constant__ fumi::ConvCheckParams params) {
    check<fumi::gpu::DoubleSums>(params);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_conv_combine(const __grid_constant__ fumi::ConvCheckParams params) {
    __shared__ fumi::gpu::StatsShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::conv_combine(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
