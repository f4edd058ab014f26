// The host bodies of the kernels behind repeat, add_noise and checksum.
#include "kernels/device/compare_body.h"
#include "kernels/host_block.h"
#include "kernels/host_target.h"

namespace fumi::FUMI_TARGET {

void compare(const SoftcudaBlock* given) {
    StatsScratch shared;
    HostPerThread<ErrorStats, static_cast<int>(kCheckThreads)> stats;
    compare_results(block_of(given), *static_cast<const CompareParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
