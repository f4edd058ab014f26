#include "kernels/check_launch.h"

namespace fumi {

void add_merge(CheckPlan& plan, const ErrorStats* partials, unsigned blocks,
               const CheckTarget& target) noexcept {
    MergeParams merge;
    merge.partials = partials;
    merge.count = blocks;
    merge.slot = target.slot;
    merge.sequence = target.sequence;
    merge.mode = target.mode;
    add_launch(plan, kMergeKernel, 1, kMergeThreads, merge);
}

}  // namespace fumi
