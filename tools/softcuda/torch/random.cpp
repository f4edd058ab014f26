#include "tools/softcuda/torch/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>

#include <mutex>

#include "tools/softcuda/core/device.h"

namespace softcuda::torch_device {
namespace {

// Steps of the Philox counter that one op takes: a GPU's number depends on its grid; what matters is that it
// is a multiple of 4 and that no two ops share a (seed, offset) pair.
constexpr uint64_t offset_step = 4;

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): neighbouring inputs give unrelated outputs.
uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

}  // namespace

at::PhiloxCudaState take_random_state(const std::optional<at::Generator>& generator) {
    auto* cuda = at::get_generator_or_default<at::CUDAGeneratorImpl>(
        generator, at::cuda::detail::getDefaultCUDAGenerator());
    const std::lock_guard<std::mutex> lock(cuda->mutex_);
    return cuda->philox_cuda_state(offset_step);
}

at::Generator generator_for(const at::PhiloxCudaState& state) {
    uint64_t seed = state.seed_.val;
    uint64_t offset = state.offset_.val;
    if (state.captured_) {
        seed = static_cast<uint64_t>(*view(state.seed_.ptr));
        offset = static_cast<uint64_t>(*view(state.offset_.ptr)) + state.offset_intragraph_;
    }
    return at::detail::createCPUGenerator(mix(mix(seed) ^ offset));
}

}  // namespace softcuda::torch_device
