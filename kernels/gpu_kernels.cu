// The kernels as the GPU has them: the bodies of kernels/device under the names that kernels/gemm_check.h
// lists.
#include "kernels/device/checksum_body.h"
#include "kernels/device/compare_body.h"
#include "kernels/device/gemm_check_body.h"
#include "kernels/device/noise_body.h"
#include "kernels/device/precision_body.h"

namespace {

template <class Sums>
__device__ __forceinline__ void check(const fumi::GemmCheckParams& params) {
    using Geometry = fumi::gpu::Geometry<Sums>;
    __shared__ fumi::gpu::Shared<Geometry> shared;
    fumi::gpu::PerThread<fumi::gpu::ThreadSums<Geometry>> sums;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::gemm_check<Geometry>(fumi::gpu::Block{}, params, shared, sums, stats);
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_gemm_check_real(const __grid_constant__ fumi::GemmCheckParams params) {
    check<fumi::gpu::RealSums>(params);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_gemm_check_double(const __grid_constant__ fumi::GemmCheckParams params) {
    check<fumi::gpu::DoubleSums>(params);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_gemm_check_complex(const __grid_constant__ fumi::GemmCheckParams params) {
    check<fumi::gpu::ComplexSums>(params);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_gemm_check_double_complex(const __grid_constant__ fumi::GemmCheckParams params) {
    check<fumi::gpu::DoubleComplexSums>(params);
}

__global__ void __launch_bounds__(fumi::kMergeThreads)
    fumi_merge_stats(const __grid_constant__ fumi::MergeParams params) {
    __shared__ fumi::gpu::MergeShared shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::merge_stats(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kPrecisionThreads)
    fumi_precision_entries(const __grid_constant__ fumi::PrecisionParams params) {
    __shared__ fumi::gpu::ProbeShared shared;
    fumi::gpu::PerThread<fumi::gpu::ProbeThread> state;
    fumi::gpu::precision_entry(fumi::gpu::Block{}, params, shared, state);
}

__global__ void __launch_bounds__(fumi::kPrecisionThreads)
    fumi_precision_merge(const __grid_constant__ fumi::PrecisionParams params) {
    __shared__ fumi::gpu::PrecisionMergeShared shared;
    fumi::gpu::precision_merge(fumi::gpu::Block{}, params, shared);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_compare(const __grid_constant__ fumi::CompareParams params) {
    __shared__ fumi::gpu::StatsScratch shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::compare_results(fumi::gpu::Block{}, params, shared, stats);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_checksum_columns(const __grid_constant__ fumi::ChecksumParams params) {
    fumi::gpu::checksum_columns(fumi::gpu::Block{}, params);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_checksum_rows(const __grid_constant__ fumi::ChecksumParams params) {
    __shared__ fumi::gpu::ChecksumShared shared;
    fumi::gpu::PerThread<fumi::gpu::RowSums> sums;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::checksum_rows(fumi::gpu::Block{}, params, shared, sums, stats);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_add_noise(const __grid_constant__ fumi::NoiseParams params) {
    __shared__ fumi::gpu::NoiseShared shared;
    fumi::gpu::add_noise(fumi::gpu::Block{}, params, shared);
}

__global__ void __launch_bounds__(fumi::kCheckThreads)
    fumi_noise_response(const __grid_constant__ fumi::NoiseResponseParams params) {
    __shared__ fumi::gpu::StatsScratch shared;
    fumi::gpu::PerThread<fumi::ErrorStats> stats;
    fumi::gpu::noise_response(fumi::gpu::Block{}, params, shared, stats);
}

}  // extern "C"
