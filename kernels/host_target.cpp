#include "kernels/host_target.h"

#include <new>

#include "kernels/device/gemm_check_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {
namespace {

// Shared memory and the threads' own state, on the heap: together they are larger than a worker's stack may
// be.
template <class G>
struct Workspace {
    Shared<G> shared;
    HostPerThread<ThreadSums<G>, G::kThreads> sums;
    HostPerThread<ErrorStats, G::kThreads> stats;
};

template <class Sums>
void check(const SoftcudaBlock* given) {
    using G = Geometry<Sums>;
    const auto& params = *static_cast<const GemmCheckParams*>(given->args[0]);
    const auto block = block_of(given);
    auto* workspace = new (std::nothrow) Workspace<G>;
    if (workspace == nullptr) {
        // No element was compared, and that is what the partial says.
        *(block.memory.at(params.partials) + block.index()) = ErrorStats{};
        return;
    }
    gemm_check<G>(block, params, workspace->shared, workspace->sums, workspace->stats);
    delete workspace;
}

void merge_body(const SoftcudaBlock* given) {
    HostBlock<static_cast<int>(kMergeThreads)> block;
    block.memory = {given->device_offset, given->device_begin, given->device_end};
    MergeShared shared;
    HostPerThread<ErrorStats, static_cast<int>(kMergeThreads)> stats;
    merge_stats(block, *static_cast<const MergeParams*>(given->args[0]), shared, stats);
}

void merge_two(ErrorStats& into, const ErrorStats& from) {
    merge(into, from);
}

}  // namespace

HostBodies host_bodies() noexcept {
    return {check<RealSums>, check<DoubleSums>, check<ComplexSums>, check<DoubleComplexSums>,
            merge_body,      merge_two,         precision_entries,  precision_merge};
}

}  // namespace fumi::FUMI_TARGET
