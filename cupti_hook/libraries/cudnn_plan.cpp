#include "cupti_hook/libraries/cudnn_plan.h"

#include <cstring>
#include <new>

#include "cupti_hook/libraries/cudnn_api.h"
#include "cupti_hook/libraries/cudnn_engine.h"
#include "cupti_hook/libraries/cudnn_graph_parser.h"

namespace fumi::libraries {

namespace {

float half_value(std::uint16_t bits) noexcept {
    const std::uint32_t sign = (bits & 0x8000U) << 16, exponent = bits >> 10 & 31U, fraction = bits & 1023U;
    if (exponent == 0) return (sign != 0 ? -1.0F : 1.0F) * static_cast<float>(fraction) * 0x1p-24F;
    const std::uint32_t wide =
        exponent == 31 ? sign | 0x7f800000U | fraction << 13 : sign | (exponent + 112) << 23 | fraction << 13;
    float value = 0;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

// A scalar that lies on the host.
bool read_host(const void* where, DataType type, double& value) noexcept {
    if (where == nullptr) return false;
    std::uint16_t bits = 0;
    float single = 0;
    switch (type) {
        case DataType::f32:
            std::memcpy(&single, where, sizeof single);
            value = single;
            return true;
        case DataType::f64:
            std::memcpy(&value, where, sizeof value);
            return true;
        case DataType::f16:
            std::memcpy(&bits, where, sizeof bits);
            value = half_value(bits);
            return true;
        case DataType::bf16: {
            std::memcpy(&bits, where, sizeof bits);
            const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
            std::memcpy(&single, &wide, sizeof single);
            value = single;
            return true;
        }
        default:
            return false;
    }
}

void fill(Call& call, DnnCall& dnn, const DnnPlan& plan, cudnnBackendDescriptor_t descriptor) noexcept {
    VariantPack pack;
    if (!backend::read_pack(descriptor, pack)) {
        call.not_checkable = "the variant pack was not seen being made";
        return;
    }
    for (std::int32_t i = 0; i < dnn.tensor_count; ++i) {
        dnn.tensors[i].data = pack.find(plan.uids[i]);
        if (dnn.tensors[i].data == nullptr && call.not_checkable == nullptr)
            call.not_checkable = "a tensor of the graph has no address in the variant pack";
    }
    for (const DnnPlan::HostScalar& scalar : plan.scalars) {
        double value = 0;
        if (read_host(pack.find(scalar.uid), scalar.type, value))
            std::memcpy(reinterpret_cast<char*>(&dnn) + scalar.offset, &value, sizeof value);
        else if (call.not_checkable == nullptr)
            call.not_checkable = "a scalar of the graph cannot be read";
    }
}

// The graph that an execution plan is of.
const BackendDescriptor* graph_of(const BackendDescriptor& plan) noexcept {
    const BackendDescriptor* const configuration = plan.child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (configuration == nullptr) return nullptr;
    if (configuration->graph) return configuration->graph.get();
    const BackendDescriptor* const engine = configuration->child(CUDNN_ATTR_ENGINECFG_ENGINE);
    return engine == nullptr ? nullptr : engine->child(CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
}

}  // namespace

void plan_finalized(cudnnBackendDescriptor_t descriptor) noexcept try {
    const BackendRecord record = backend::find(descriptor);
    if (!record || record->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) return;
    const BackendDescriptor* const graph = graph_of(*record);
    if (graph == nullptr) return;
    auto parsed = std::make_shared<DnnPlan>(parse_graph(*graph));
    parsed->call.engine = read_engine(descriptor);
    backend::attach(descriptor, std::move(parsed));
} catch (const std::bad_alloc&) {
    return;
}

void decode_execution(Call& call, cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                      cudnnBackendDescriptor_t pack) noexcept {
    call.library = Library::cudnn;
    call.handle = handle;
    const CudnnApi* const api = cudnn_api();
    if (api == nullptr) {
        call.not_checkable = "the descriptors cannot be read";
        return;
    }
    cudaStream_t stream = nullptr;
    if (api->cudnnGetStream(handle, &stream) != CUDNN_STATUS_SUCCESS)
        call.not_checkable = "the handle's stream cannot be read";
    call.stream = stream;
    const BackendRecord record = backend::find(plan);
    const DnnPlan* const parsed = record ? record->plan.get() : nullptr;
    if (parsed == nullptr) {
        call.not_checkable = "the plan was not seen being made (before FuMi, or from JSON)";
        return;
    }
    DnnCall& dnn = this_threads_dnn_call();
    std::memcpy(&dnn, &parsed->call, dnn_call_bytes(parsed->call));
    call.dnn = &dnn;
    call.decoded = true;
    if (call.not_checkable == nullptr) call.not_checkable = parsed->not_checkable;
    fill(call, dnn, *parsed, pack);
}

}  // namespace fumi::libraries
