// cuDNN's dropout descriptors and the dropout layer.
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "tools/softcuda/blas/pack.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/dropout.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {
namespace {

constexpr std::size_t states_bytes = 4096;

struct Table {
    std::mutex mutex;
    std::unordered_map<cudnnDropoutDescriptor_t, Dropout> dropouts;
};
Table& table() {
    static auto* const instance = new Table;  // never destroyed: descriptors may outlive static objects
    return *instance;
}

cudnnStatus_t check(cudnnDropoutDescriptor_t descriptor, float probability, const void* states,
                    std::size_t size) noexcept {
    if (descriptor == nullptr || !(probability >= 0 && probability <= 1)) return CUDNN_STATUS_BAD_PARAM;
    if (states != nullptr && size < states_bytes) return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

void remember(cudnnDropoutDescriptor_t descriptor, const Dropout& dropout) {
    const std::lock_guard lock(table().mutex);
    table().dropouts[descriptor] = dropout;
}

std::uint64_t mixed(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// One layer: forward draws the mask and keeps it, backward applies it.
struct Layer {
    Tensor from, to;
    const void* in;
    void* out;
    unsigned char* mask;  // one bit per element
    Dropout dropout;
    bool forward;
};

template <class T>
void run_layer(const Layer& layer) {
    const Walk from = walk(layer.from), to = walk(layer.to);
    auto* state = static_cast<DropoutState*>(view(layer.dropout.states));
    unsigned char* mask = view(layer.mask);
    const auto scale =
        layer.dropout.probability < 1 ? 1 / (1 - static_cast<T>(layer.dropout.probability)) : T{};
    blas::visit_type(number_type(layer.from.type), [&](auto tag) {
        using E = decltype(tag);
        const auto* in = static_cast<const E*>(view(layer.in));
        auto* out = static_cast<E*>(view(layer.out));
        for (std::int64_t i = 0; i < from.size(); ++i) {
            const auto bit = static_cast<unsigned char>(1u << (i % 8));
            if (layer.forward) {
                const bool kept = state == nullptr ||
                                  keeps(*state, static_cast<std::uint64_t>(i), layer.dropout.probability);
                mask[i / 8] = static_cast<unsigned char>(kept ? mask[i / 8] | bit : mask[i / 8] & ~bit);
            }
            const bool kept = (mask[i / 8] & bit) != 0;
            const E x = in[from.starts[i / from.count] + i % from.count * from.stride];
            out[to.starts[i / to.count] + i % to.count * to.stride] =
                blas::store<E>(kept ? blas::widened<T>(x) * scale : T{});
        }
    });
    if (layer.forward && state != nullptr) state->drawn += static_cast<std::uint64_t>(from.size());
}

cudnnStatus_t launch_layer(cudnnHandle_t handle, const char* function, cudnnDropoutDescriptor_t descriptor,
                           cudnnTensorDescriptor_t from, const void* in, cudnnTensorDescriptor_t to,
                           void* out, void* reserve, std::size_t reserve_size, bool forward) {
    Layer layer{{}, {}, in, out, static_cast<unsigned char*>(reserve), {}, forward};
    const auto dropout = find_dropout(descriptor);
    if (!dropout || in == nullptr || out == nullptr || reserve == nullptr) return CUDNN_STATUS_BAD_PARAM;
    layer.dropout = *dropout;
    if (const auto status = read(from, layer.from)) return status;
    if (const auto status = read(to, layer.to)) return status;
    if (!layer.from.same_sizes(layer.to) || layer.from.type != layer.to.type) return CUDNN_STATUS_BAD_PARAM;
    if (!is_real(layer.from.type)) return CUDNN_STATUS_NOT_SUPPORTED;
    if (reserve_size < static_cast<std::size_t>((layer.from.count() + 7) / 8)) return CUDNN_STATUS_BAD_PARAM;
    if (forward && dropout->probability > 0 && dropout->states == nullptr) return CUDNN_STATUS_BAD_PARAM;
    Call call{
        function, forward ? "dropout_fp" : "dropout_bp", {layer.from.count(), 1, 1, 1}, [layer](Deviation&) {
            layer.from.type == CUDNN_DATA_DOUBLE ? run_layer<double>(layer) : run_layer<float>(layer);
        }};
    call.results = [layer] { return views_of(layer.to, layer.out); };
    return enqueue(handle, std::move(call));
}

}  // namespace

std::optional<Dropout> find_dropout(cudnnDropoutDescriptor_t descriptor) noexcept {
    const std::lock_guard lock(table().mutex);
    const auto found = table().dropouts.find(descriptor);
    if (found == table().dropouts.end()) return std::nullopt;
    return found->second;
}

bool keeps(const DropoutState& state, std::uint64_t index, float probability) noexcept {
    const std::uint64_t bits = mixed(mixed(state.seed) ^ (state.drawn + index));
    return static_cast<double>(bits >> 11) * 0x1p-53 >= static_cast<double>(probability);
}

}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnDropoutGetStatesSize(cudnnHandle_t handle, std::size_t* size) {
    return entry(handle, [&] {
        if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
        *size = states_bytes;
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t descriptor,
                                                            cudnnHandle_t handle, float probability,
                                                            void* states, std::size_t size,
                                                            unsigned long long seed) {
    return entry(handle, [&] {
        if (const auto status = check(descriptor, probability, states, size)) return status;
        remember(descriptor, {probability, states, seed});
        if (states == nullptr) return CUDNN_STATUS_SUCCESS;
        return softcuda::dnn::status_of(
            softcuda::launch(handle->stream, "softcuda_dropout_init_states", [states, seed] {
                const DropoutState state{seed, 0};
                std::memcpy(softcuda::view(states), &state, sizeof state);
            }));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnRestoreDropoutDescriptor(cudnnDropoutDescriptor_t descriptor,
                                                                cudnnHandle_t handle, float probability,
                                                                void* states, std::size_t size,
                                                                unsigned long long seed) {
    return entry(handle, [&] {
        if (const auto status = check(descriptor, probability, states, size)) return status;
        remember(descriptor, {probability, states, seed});
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetDropoutDescriptor(cudnnDropoutDescriptor_t descriptor,
                                                            cudnnHandle_t handle, float* probability,
                                                            void** states, unsigned long long* seed) {
    return entry(handle, [&] {
        const auto dropout = find_dropout(descriptor);
        if (!dropout) return CUDNN_STATUS_BAD_PARAM;
        if (probability != nullptr) *probability = dropout->probability;
        if (states != nullptr) *states = dropout->states;
        if (seed != nullptr) *seed = dropout->seed;
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnDropoutForward(cudnnHandle_t handle,
                                                      const cudnnDropoutDescriptor_t descriptor,
                                                      const cudnnTensorDescriptor_t x_desc, const void* x,
                                                      const cudnnTensorDescriptor_t y_desc, void* y,
                                                      void* reserve, std::size_t reserve_size) {
    return entry(handle, [&] {
        return launch_layer(handle, "cudnnDropoutForward", descriptor, x_desc, x, y_desc, y, reserve,
                            reserve_size, true);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnDropoutBackward(cudnnHandle_t handle,
                                                       const cudnnDropoutDescriptor_t descriptor,
                                                       const cudnnTensorDescriptor_t dy_desc, const void* dy,
                                                       const cudnnTensorDescriptor_t dx_desc, void* dx,
                                                       void* reserve, std::size_t reserve_size) {
    return entry(handle, [&] {
        return launch_layer(handle, "cudnnDropoutBackward", descriptor, dy_desc, dy, dx_desc, dx, reserve,
                            reserve_size, false);
    });
}
