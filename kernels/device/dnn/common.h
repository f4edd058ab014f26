// What the bodies of the cuDNN checks share.
#pragma once
#include "kernels/device/gemm_check_body.h"
#include "kernels/dnn_params.h"

namespace fumi::FUMI_TARGET {

// The types that cuDNN computes on: fewer than cuBLAS has, and less code in each kernel.
template <class F>
FUMI_DEVICE void with_real_type(DataType type, F f) {
    switch (type) {
        case DataType::f64:
            return f(double{});
        case DataType::f16:
            return f(Half{});
        case DataType::bf16:
            return f(BFloat{});
        default:
            return f(float{});
    }
}

FUMI_DEVICE_CALL double read_real(const Memory& memory, const void* base, std::int64_t index, DataType type) {
    double value = 0;
    with_real_type(type, [&](auto sample) {
        using T = decltype(sample);
        value = decode(memory.at(static_cast<const T*>(base))[index]);
    });
    return value;
}

// Shared memory of kernels that need it for the statistics alone.
struct StatsShared {
    ErrorStats slots[kStatsSlots];
};

FUMI_DEVICE std::uint64_t seed_of(const Memory& memory, const CheckCommon& common) {
    const std::uint64_t seed = common.coverage.seed;
    if (common.replayed == nullptr) return seed;
    return hash(seed, load_word(&memory.at(common.replayed)->stats.launches));
}

}  // namespace fumi::FUMI_TARGET
