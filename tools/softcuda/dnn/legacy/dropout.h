// What is known of a dropout descriptor. The real library's Set needs a device, so the device keeps it beside
// the descriptor. Descriptors are destroyed by the real library: what was kept stays until the address is set
// again.
#pragma once
#include <cudnn.h>

#include <cstdint>
#include <optional>

namespace softcuda::dnn::legacy {

struct Dropout {
    float probability = 0;  // that an element becomes zero
    void* states = nullptr;
    unsigned long long seed = 0;
};

// Empty for a descriptor that was never set.
std::optional<Dropout> find_dropout(cudnnDropoutDescriptor_t descriptor) noexcept;

// The random numbers' state at the begin of the states buffer, in device memory: who draws, advances it
// there, so that replays of a captured graph draw anew.
struct DropoutState {
    std::uint64_t seed = 0, drawn = 0;
};

// Whether draw `index` after `state` keeps its element.
bool keeps(const DropoutState& state, std::uint64_t index, float probability) noexcept;

}  // namespace softcuda::dnn::legacy
