#include <new>

#include "kernels/device/precision_body.h"
#include "kernels/host_target.h"

namespace fumi::FUMI_TARGET {
namespace {

HostBlock<kProbeThreads> probe_block(const SoftcudaBlock* given) {
    HostBlock<kProbeThreads> block;
    block.memory = {given->device_offset, given->device_begin, given->device_end};
    block.block_index = given->block_idx.x;
    block.block_count = given->grid_dim.x;
    return block;
}

// On the heap: larger than a worker's stack may be.
struct Workspace {
    ProbeShared shared;
    HostPerThread<ProbeThread, kProbeThreads> state;
};

}  // namespace

void precision_entries(const SoftcudaBlock* given) {
    const auto block = probe_block(given);
    const auto& params = *static_cast<const PrecisionParams*>(given->args[0]);
    auto* workspace = new (std::nothrow) Workspace;
    if (workspace == nullptr) {
        *(block.memory.at(params.entries) + block.index()) = PrecisionEntry{};
        return;
    }
    precision_entry(block, params, workspace->shared, workspace->state);
    delete workspace;
}

void precision_merge(const SoftcudaBlock* given) {
    PrecisionMergeShared shared;
    precision_merge(probe_block(given), *static_cast<const PrecisionParams*>(given->args[0]), shared);
}

}  // namespace fumi::FUMI_TARGET
