// A block of the software device as the bodies take it. For the sources that are compiled once per
// FUMI_TARGET.
#pragma once
#include "kernels/device/block.h"
#include "tools/softcuda/softcuda.h"

namespace fumi::FUMI_TARGET {

inline HostBlock<static_cast<int>(kCheckThreads)> block_of(const SoftcudaBlock* given) {
    HostBlock<static_cast<int>(kCheckThreads)> block;
    block.memory = {given->device_offset, given->device_begin, given->device_end};
    block.block_index = given->block_idx.x;
    block.block_count = given->grid_dim.x;
    return block;
}

}  // namespace fumi::FUMI_TARGET
