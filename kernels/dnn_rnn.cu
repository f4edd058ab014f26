// The checks of recurrent nets as the GPU has them.
#include "kernels/device/dnn/rnn_backward_body.h"

extern "C" {

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_rnn_forward_check(const __grid_constant__ fumi::RnnCheckParams params) {
    __shared__ fumi::gpu::RnnShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::rnn_forward_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_rnn_backward_check(const __grid_constant__ fumi::RnnCheckParams params) {
    __shared__ fumi::gpu::RnnShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::rnn_backward_check(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kDnnThreads)
    fumi_rnn_weights_check(const __grid_constant__ fumi::RnnCheckParams params) {
    __shared__ fumi::gpu::RnnShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::rnn_weights_check(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
