// The host bodies of the kernels behind repeat, add_noise and checksum.
#include "kernels/device/checksum_body.h"
#include "kernels/device/compare_body.h"
#include "kernels/device/noise_body.h"
#include "kernels/host_block.h"
#include "kernels/host_target.h"

namespace fumi::FUMI_TARGET {

void compare(const SoftcudaBlock* given) {
    StatsScratch shared;
    HostPerThread<ErrorStats, static_cast<int>(kCheckThreads)> stats;
    compare_results(block_of(given), *static_cast<const CompareParams*>(given->args[0]), shared, stats);
}

void checksum_columns(const SoftcudaBlock* given) {
    checksum_columns(block_of(given), *static_cast<const ChecksumParams*>(given->args[0]));
}

void checksum_rows(const SoftcudaBlock* given) {
    ChecksumShared shared;
    HostPerThread<RowSums, static_cast<int>(kCheckThreads)> sums;
    HostPerThread<ErrorStats, static_cast<int>(kCheckThreads)> stats;
    checksum_rows(block_of(given), *static_cast<const ChecksumParams*>(given->args[0]), shared, sums, stats);
}

void add_noise(const SoftcudaBlock* given) {
    NoiseShared shared;
    add_noise(block_of(given), *static_cast<const NoiseParams*>(given->args[0]), shared);
}

void noise_response(const SoftcudaBlock* given) {
    StatsScratch shared;
    HostPerThread<ErrorStats, static_cast<int>(kCheckThreads)> stats;
    noise_response(block_of(given), *static_cast<const NoiseResponseParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
