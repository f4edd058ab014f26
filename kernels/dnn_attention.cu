// The attention checks as the GPU has them.
#include "kernels/device/dnn/attention_body.h"

extern "C" {

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_attention_dots(const __grid_constant__ fumi::AttentionCheckParams params) {
    fumi::gpu::attention_dots(fumi::gpu::Block{}, params);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_attention_queries(const __grid_constant__ fumi::AttentionCheckParams params) {
    __shared__ fumi::gpu::AttentionShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::attention_queries(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_attention_keys(const __grid_constant__ fumi::AttentionCheckParams params) {
    __shared__ fumi::gpu::AttentionShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::attention_keys(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
