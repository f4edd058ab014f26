// Batch norm, softmax and pooling checks as the GPU has them.
#include "kernels/device/dnn/norm_body.h"
#include "kernels/device/dnn/pool_body.h"
#include "kernels/device/dnn/softmax_body.h"

extern "C" {

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_batch_norm_check(const __grid_constant__ fumi::BatchNormCheckParams params) {
    __shared__ fumi::gpu::NormShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::batch_norm_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_softmax_check(const __grid_constant__ fumi::SoftmaxCheckParams params) {
    __shared__ fumi::gpu::SoftmaxShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::softmax_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_pool_check(const __grid_constant__ fumi::PoolCheckParams params) {
    __shared__ fumi::gpu::StatsShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::pool_check(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
