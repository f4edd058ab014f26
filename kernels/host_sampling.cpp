#include "kernels/device/dnn/ctc_body.h"
#include "kernels/device/dnn/grid_sample_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {

using HostStats = HostPerThread<ErrorStats, static_cast<int>(kDnnThreads)>;

void ctc_check(const SoftcudaBlock* given) {
    CtcShared shared;
    HostStats stats;
    ctc_check(block_of(given), *static_cast<const CtcCheckParams*>(given->args[0]), shared, stats);
}
void grid_sample_check(const SoftcudaBlock* given) {
    StatsShared shared;
    HostStats stats;
    grid_sample_check(block_of(given), *static_cast<const GridSampleCheckParams*>(given->args[0]), shared,
                      stats);
}
void grid_planes_check(const SoftcudaBlock* given) {
    StatsShared shared;
    HostStats stats;
    grid_planes_check(block_of(given), *static_cast<const GridSampleCheckParams*>(given->args[0]), shared,
                      stats);
}

}  // namespace fumi::FUMI_TARGET
