#include "kernels/device/dnn/rnn_backward_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {

using HostStats = HostPerThread<ErrorStats, static_cast<int>(kDnnThreads)>;

void rnn_forward_check(const SoftcudaBlock* given) {
    RnnShared shared;
    HostStats stats;
    rnn_forward_check(block_of(given), *static_cast<const RnnCheckParams*>(given->args[0]), shared, stats);
}
void rnn_backward_check(const SoftcudaBlock* given) {
    RnnShared shared;
    HostStats stats;
    rnn_backward_check(block_of(given), *static_cast<const RnnCheckParams*>(given->args[0]), shared, stats);
}
void rnn_weights_check(const SoftcudaBlock* given) {
    RnnShared shared;
    HostStats stats;
    rnn_weights_check(block_of(given), *static_cast<const RnnCheckParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
