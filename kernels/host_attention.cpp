#include "kernels/device/dnn/attention_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {

using HostStats = HostPerThread<ErrorStats, static_cast<int>(kDnnThreads)>;

void attention_dots(const SoftcudaBlock* given) {
    attention_dots(block_of(given), *static_cast<const AttentionCheckParams*>(given->args[0]));
}
void attention_queries(const SoftcudaBlock* given) {
    AttentionShared shared;
    HostStats stats;
    attention_queries(block_of(given), *static_cast<const AttentionCheckParams*>(given->args[0]), shared,
                      stats);
}
void attention_keys(const SoftcudaBlock* given) {
    AttentionShared shared;
    HostStats stats;
    attention_keys(block_of(given), *static_cast<const AttentionCheckParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
