// The checks of CTC and grid sampling as the GPU has them.
#include "kernels/device/dnn/ctc_body.h"
#include "kernels/device/dnn/grid_sample_body.h"

extern "C" {

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_ctc_check(const __grid_constant__ fumi::CtcCheckParams params) {
    __shared__ fumi::gpu::CtcShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::ctc_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_grid_sample_check(const __grid_constant__ fumi::GridSampleCheckParams params) {
    __shared__ fumi::gpu::StatsShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::grid_sample_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_grid_planes_check(const __grid_constant__ fumi::GridSampleCheckParams params) {
    __shared__ fumi::gpu::StatsShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::grid_planes_check(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
