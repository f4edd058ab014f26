#include "tools/softcuda/torch/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>

#include <cstring>
#include <mutex>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/softcuda.h"
#include "tools/softcuda/torch/start.h"

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

namespace {

// Writes seed and offset where cuDNN's attention reads them.
void unpack_for_cudnn(const SoftcudaBlock* block) {
    at::PhiloxCudaState state;
    int64_t *seed = nullptr, *offset = nullptr;
    std::memcpy(static_cast<void*>(&state), block->args[0], sizeof state);
    std::memcpy(static_cast<void*>(&seed), block->args[1], sizeof seed);
    std::memcpy(static_cast<void*>(&offset), block->args[2], sizeof offset);
    *view(seed) = state.captured_ ? *view(state.seed_.ptr) : static_cast<int64_t>(state.seed_.val);
    *view(offset) = state.captured_
                        ? *view(state.offset_.ptr) + static_cast<int64_t>(state.offset_intragraph_)
                        : static_cast<int64_t>(state.offset_.val);
}

}  // namespace

void install_random_kernels() {
    const uint32_t sizes[] = {sizeof(at::PhiloxCudaState), sizeof(int64_t*), sizeof(int64_t*)};
    softcudaRegisterKernel("_ZN2at4cuda6philox12unpack_cudnnENS_15PhiloxCudaStateEPlS3_", unpack_for_cudnn,
                           sizes, 3);
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
