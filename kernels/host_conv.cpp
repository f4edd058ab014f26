#include <new>

#include "kernels/device/dnn/conv_body.h"
#include "kernels/host_block.h"

namespace fumi::FUMI_TARGET {
namespace {

// Left uninitialised: the body sets what it reads, and a slice of a small sample is shorter than clearing all
// of it.
template <class G>
struct Workspace {
    ConvShared<G> shared;
    HostPerThread<ThreadSums<G>, G::kThreads> sums;
    HostPerThread<ErrorStats, G::kThreads> stats;
};

template <class Sums>
void check(const SoftcudaBlock* given) {
    using G = Geometry<Sums>;
    const auto& params = *static_cast<const ConvCheckParams*>(given->args[0]);
    const auto block = block_of(given);
    constexpr std::align_val_t alignment{alignof(Workspace<G>)};
    auto* workspace =
        static_cast<Workspace<G>*>(::operator new(sizeof(Workspace<G>), alignment, std::nothrow));
    if (workspace == nullptr) {
        // No element was compared, and that is what the partial says.
        *(block.memory.at(params.common.partials) + block.index()) = ErrorStats{};
        return;
    }
    conv_check<G>(block, params, workspace->shared, workspace->sums, workspace->stats);
    ::operator delete(workspace, alignment);
}

}  // namespace

void conv_check_real(const SoftcudaBlock* given) {
    check<RealSums>(given);
}
void conv_check_double(const SoftcudaBlock* given) {
    check<DoubleSums>(given);
}
void conv_combine(const SoftcudaBlock* given) {
    StatsShared shared;
    HostPerThread<ErrorStats, static_cast<int>(kDnnThreads)> stats;
    conv_combine(block_of(given), *static_cast<const ConvCheckParams*>(given->args[0]), shared, stats);
}

}  // namespace fumi::FUMI_TARGET
