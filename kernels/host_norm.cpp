#include "kernels/device/dnn/norm_body.h"
#include "kernels/device/dnn/pool_body.h"
#include "kernels/device/dnn/softmax_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {

using HostStats = HostPerThread<ErrorStats, static_cast<int>(kDnnThreads)>;

void batch_norm_check(const SoftcudaBlock* given) {
    NormShared shared;
    HostStats stats;
    batch_norm_check(block_of(given), *static_cast<const BatchNormCheckParams*>(given->args[0]), shared,
                     stats);
}
void softmax_check(const SoftcudaBlock* given) {
    SoftmaxShared shared;
    HostStats stats;
    softmax_check(block_of(given), *static_cast<const SoftmaxCheckParams*>(given->args[0]), shared, stats);
}
void pool_check(const SoftcudaBlock* given) {
    StatsShared shared;
    HostStats stats;
    pool_check(block_of(given), *static_cast<const PoolCheckParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
