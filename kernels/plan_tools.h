// What the plans of the cuDNN checks share. Internal to kernels/.
#pragma once
#include <algorithm>

#include "kernels/dnn_params.h"

namespace fumi::plans {

// Enough blocks to fill any GPU several times over; more would only add partials.
inline constexpr std::int64_t kMostBlocks = 2048;
inline constexpr std::int64_t kMostSamples = std::int64_t{1} << 19;  // draw() multiplies by a size in 64 bits

inline std::size_t rounded(std::size_t bytes) noexcept {
    return (bytes + 255) & ~std::size_t{255};
}

// Hands out scratch piece by piece; with a null base only the sum is kept.
class Scratch {
  public:
    Scratch(const CheckTarget& target) noexcept
        : base_(static_cast<char*>(target.scratch)), ceiling_(target.scratch_ceiling) {}
    template <class T>
    T* take(std::size_t count) noexcept {
        const std::size_t at = used_;
        used_ += rounded(count * sizeof(T));
        return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    std::size_t used() const noexcept { return used_; }
    std::size_t left() const noexcept { return used_ < ceiling_ ? ceiling_ - used_ : 0; }
    bool fits() const noexcept { return used_ <= ceiling_; }

  private:
    char* base_;
    std::size_t ceiling_, used_ = 0;
};

inline bool is_real(DataType type) noexcept {
    return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16 || type == DataType::f64;
}
inline bool same_sizes(const TensorView& a, const TensorView& b) noexcept {
    return a.rank == b.rank && std::equal(a.size, a.size + a.rank, b.size);
}
inline std::int64_t elements(const TensorView& view) noexcept {
    std::int64_t count = 1;
    for (int d = 0; d < view.rank; ++d) count *= view.size[d];
    return count;
}
// Two tensors of one shape, both there and of real types.
inline bool usable(const TensorView& view, int rank) noexcept {
    return view.data != nullptr && is_real(view.type) && view.rank == rank;
}
inline bool may_be_nonzero(const ScalarValue& s) noexcept {
    return s.device != nullptr || s.re != 0 || s.im != 0;
}
inline bool is_one(const ScalarValue& s) noexcept {
    return s.device == nullptr && s.re == 1 && s.im == 0;
}
// Neighbouring dimensions as one where the strides allow it: fewer divisions for each element. Elements keep
// their logical index.
inline void merge_dimensions(TensorView& view) noexcept {
    int last = 0;
    for (int d = 1; d < view.rank; ++d) {
        if (view.size[last] == 1 || view.stride[last] == view.stride[d] * view.size[d]) {
            view.size[last] *= view.size[d];
            view.stride[last] = view.stride[d];
        } else if (view.size[d] != 1) {
            ++last;
            view.size[last] = view.size[d];
            view.stride[last] = view.stride[d];
        }
    }
    if (view.rank > 0) view.rank = last + 1;
}
// How many of `count` units of `members` elements each are looked at.
inline std::int64_t sampled_of(const DnnCoverage& coverage, std::int64_t count,
                               std::int64_t members) noexcept {
    if (coverage.sampled == 0) return count;
    const std::int64_t samples = std::clamp<std::int64_t>(coverage.samples, 1, kMostSamples);
    return std::min(count, std::max<std::int64_t>(1, samples / members));
}
inline CheckCommon common_of(const DnnContract& contract, const DnnCoverage& coverage,
                             const CheckTarget& target) noexcept {
    CheckCommon common;
    common.bound = contract.base.bound;
    common.coverage = coverage;
    common.replayed = target.replayed;
    return common;
}

// A check of one kernel with nothing but its partials in scratch.
template <class Params>
void add_one_check(CheckPlan& plan, const char* kernel, std::int64_t units, Params& params,
                   const CheckTarget& target) noexcept {
    Scratch scratch(target);
    const auto room = static_cast<std::int64_t>(scratch.left() / sizeof(ErrorStats));
    const auto blocks = static_cast<unsigned>(std::min({units, kMostBlocks, room}));
    params.common.partials = scratch.take<ErrorStats>(blocks);
    plan.scratch_bytes = scratch.used();
    plan.reference = "fp64";
    if (blocks == 0 || !scratch.fits()) {
        plan.reason = "device scratch ceiling too low";
        return;
    }
    add_launch(plan, kernel, blocks, kDnnThreads, params);
    add_merge(plan, params.common.partials, blocks, target);
}

}  // namespace fumi::plans
