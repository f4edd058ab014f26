// The entry points of cuDNN's backend graph API.
#include <algorithm>

#include "tools/softcuda/dnn/descriptor.h"
#include "tools/softcuda/dnn/engines.h"
#include "tools/softcuda/dnn/execute.h"
#include "tools/softcuda/dnn/handle.h"
#include "tools/softcuda/dnn/real.h"

namespace softcuda::dnn {
namespace {

// Handles are this device's own: the real library gets none of them.
bool is_handle(cudnnBackendAttributeName_t name) noexcept {
    return name == CUDNN_ATTR_OPERATIONGRAPH_HANDLE || name == CUDNN_ATTR_EXECUTION_PLAN_HANDLE ||
           name == CUDNN_ATTR_DEVICEPROP_HANDLE;
}

cudnnStatus_t create(cudnnBackendDescriptorType_t kind, cudnnBackendDescriptor_t* result) {
    static auto* const create_real =
        real<decltype(cudnnBackendCreateDescriptor)>("cudnnBackendCreateDescriptor");
    if (result == nullptr)
        return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "nowhere to put the descriptor");
    auto descriptor = std::make_shared<Descriptor>(kind);
    if (!is_ours(kind)) {
        if (create_real == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
        if (const auto status = create_real(kind, &descriptor->real); status != CUDNN_STATUS_SUCCESS)
            return status;
    }
    *result = add_descriptor(std::move(descriptor));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_handle(cudnnBackendAttributeType_t type, std::int64_t count, const void* elements) {
    if (type != CUDNN_TYPE_HANDLE) return failed(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "a handle is wanted");
    cudnnHandle_t handle = nullptr;
    if (count == 1) handle = *static_cast<const cudnnHandle_t*>(elements);
    if (handle == nullptr) return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the handle is null");
    return valid(handle) ? CUDNN_STATUS_SUCCESS : failed(CUDNN_STATUS_BAD_PARAM, "the handle is no handle");
}

cudnnStatus_t record(Descriptor& descriptor, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, std::int64_t count, const void* elements) {
    Attribute attribute{name, type, count, {}, {}};
    const std::size_t size = size_of(type);
    if (size == 0) return failed(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "the attribute type is not known");
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        const auto* pointers = static_cast<const cudnnBackendDescriptor_t*>(elements);
        for (std::int64_t i = 0; i < count; ++i) {
            auto part = find_descriptor(pointers[i]);
            if (part == nullptr)
                return failed(CUDNN_STATUS_BAD_PARAM, "a descriptor in an attribute is none");
            if (!part->finalized && is_ours(descriptor.kind) &&
                part->kind != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
                return failed(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
                              "a descriptor in an attribute is not finalized");
            attribute.descriptors.push_back(std::move(part));
        }
    } else {
        const auto* bytes = static_cast<const unsigned char*>(elements);
        attribute.bytes.assign(bytes, bytes + static_cast<std::size_t>(count) * size);
    }
    descriptor.put(std::move(attribute));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set(Descriptor& descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  std::int64_t count, const void* elements) {
    static auto* const set_real = real<decltype(cudnnBackendSetAttribute)>("cudnnBackendSetAttribute");
    if (is_handle(name)) {
        if (elements == nullptr) return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the handle is null");
        if (const auto status = check_handle(type, count, elements); status != CUDNN_STATUS_SUCCESS)
            return status;
    } else if (descriptor.real != nullptr) {
        const auto status = set_real(descriptor.real, name, type, count, elements);
        if (status != CUDNN_STATUS_SUCCESS) return status;
    }
    if (descriptor.finalized) return failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is finalized");
    if (count < 0 || (count > 0 && elements == nullptr))
        return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "an attribute without elements");
    if (name == CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)
        return failed(CUDNN_STATUS_NOT_SUPPORTED, "plans cannot be read from JSON");
    return record(descriptor, name, type, count, elements);
}

// The engine that an engine descriptor names. Empty where the graph has no such engine.
std::optional<Engine> engine_of(const Descriptor& engine) {
    const auto graph = engine.child(CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    if (graph == nullptr || graph->graph == nullptr) return std::nullopt;
    const auto index = engine.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    for (Engine& candidate : engines_for(*graph->graph))
        if (candidate.index == index) return std::move(candidate);
    return std::nullopt;
}

std::shared_ptr<Descriptor> engine_in_config(const Descriptor& config) {
    return config.child(CUDNN_ATTR_ENGINECFG_ENGINE);
}

cudnnStatus_t finalize_graph(Descriptor& descriptor) {
    auto graph = std::make_shared<Graph>();
    const auto status = read_graph(descriptor, *graph);
    if (status == CUDNN_STATUS_SUCCESS) descriptor.graph = std::move(graph);
    return status;
}

cudnnStatus_t finalize_ours(Descriptor& descriptor) {
    switch (descriptor.kind) {
        case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
            if (descriptor.child(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH) == nullptr ||
                descriptor.find(CUDNN_ATTR_ENGINEHEUR_MODE) == nullptr)
                return failed(CUDNN_STATUS_BAD_PARAM, "a heuristic needs an operation graph and a mode");
            return CUDNN_STATUS_SUCCESS;
        case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
            return engine_of(descriptor)
                       ? CUDNN_STATUS_SUCCESS
                       : failed(CUDNN_STATUS_NOT_SUPPORTED, "the graph has no engine of that index");
        case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
            return engine_in_config(descriptor) != nullptr
                       ? CUDNN_STATUS_SUCCESS
                       : failed(CUDNN_STATUS_BAD_PARAM, "an engine configuration needs an engine");
        case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: {
            const auto config = descriptor.child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
            if (config == nullptr || engine_in_config(*config) == nullptr ||
                !engine_of(*engine_in_config(*config)))
                return failed(CUDNN_STATUS_BAD_PARAM, "a plan needs an engine configuration");
            return CUDNN_STATUS_SUCCESS;
        }
        default:
            return CUDNN_STATUS_SUCCESS;
    }
}

cudnnStatus_t finalize(Descriptor& descriptor) {
    static auto* const finalize_real = real<decltype(cudnnBackendFinalize)>("cudnnBackendFinalize");
    if (descriptor.finalized) return CUDNN_STATUS_SUCCESS;
    const bool of_this_device = descriptor.kind == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR &&
                                descriptor.find(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION) == nullptr;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    if (descriptor.real != nullptr && !of_this_device) status = finalize_real(descriptor.real);
    if (status == CUDNN_STATUS_SUCCESS && descriptor.kind == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        status = finalize_graph(descriptor);
    if (status == CUDNN_STATUS_SUCCESS && descriptor.real == nullptr) status = finalize_ours(descriptor);
    descriptor.finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
}

// Where a getter's answers go.
struct Answer {
    cudnnBackendAttributeType_t type;
    std::int64_t wanted;
    std::int64_t* count;
    void* elements;

    template <class T>
    cudnnStatus_t values(const std::vector<T>& all) const {
        const auto there = static_cast<std::int64_t>(all.size());
        const bool ask = wanted == 0 || elements == nullptr;
        if (count != nullptr) *count = ask ? there : std::min(there, wanted);
        if (!ask) std::copy_n(all.begin(), std::min(there, wanted), static_cast<T*>(elements));
        return CUDNN_STATUS_SUCCESS;
    }
};

// Makes `target`, which the program created, what `source` is.
cudnnStatus_t copy_into(Descriptor& target, const Descriptor& source) {
    static auto* const set_real = real<decltype(cudnnBackendSetAttribute)>("cudnnBackendSetAttribute");
    static auto* const finalize_real = real<decltype(cudnnBackendFinalize)>("cudnnBackendFinalize");
    if (target.kind != source.kind)
        return failed(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "the descriptor to fill is of another type");
    if (&target == &source) return CUDNN_STATUS_SUCCESS;
    for (const Attribute& attribute : source.attributes) {
        if (target.real == nullptr || is_handle(attribute.name)) continue;
        std::vector<cudnnBackendDescriptor_t> parts;
        parts.reserve(attribute.descriptors.size());
        for (const auto& part : attribute.descriptors) parts.push_back(part->real);
        const void* elements =
            parts.empty() ? static_cast<const void*>(attribute.bytes.data()) : parts.data();
        const auto status = set_real(target.real, attribute.name, attribute.type, attribute.count, elements);
        if (status != CUDNN_STATUS_SUCCESS) return status;
    }
    if (target.real != nullptr && source.finalized)
        if (const auto status = finalize_real(target.real); status != CUDNN_STATUS_SUCCESS) return status;
    target.attributes = source.attributes;
    target.graph = source.graph;
    target.finalized = source.finalized;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t fill(const Answer& answer, const std::vector<std::shared_ptr<Descriptor>>& sources) {
    const auto there = static_cast<std::int64_t>(sources.size());
    const bool ask = answer.wanted == 0 || answer.elements == nullptr;
    if (answer.count != nullptr) *answer.count = ask ? there : std::min(there, answer.wanted);
    if (ask) return CUDNN_STATUS_SUCCESS;
    const auto* targets = static_cast<const cudnnBackendDescriptor_t*>(answer.elements);
    for (std::int64_t i = 0; i < std::min(there, answer.wanted); ++i) {
        const auto target = find_descriptor(targets[i]);
        if (target == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a descriptor to fill was not created");
        const auto status = copy_into(*target, *sources[static_cast<std::size_t>(i)]);
        if (status != CUDNN_STATUS_SUCCESS) return status;
    }
    return CUDNN_STATUS_SUCCESS;
}

// One engine configuration for each engine of the graph.
std::vector<std::shared_ptr<Descriptor>> configurations(const std::shared_ptr<Descriptor>& graph) {
    std::vector<std::shared_ptr<Descriptor>> results;
    for (const Engine& engine : engines_for(*graph->graph)) {
        auto described = std::make_shared<Descriptor>(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        described->put({CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, {}, {graph}});
        Attribute index{CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, {}, {}};
        index.bytes.resize(sizeof engine.index);
        std::memcpy(index.bytes.data(), &engine.index, sizeof engine.index);
        described->put(std::move(index));
        described->finalized = true;
        auto config = std::make_shared<Descriptor>(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        config->put(
            {CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, {}, {std::move(described)}});
        config->finalized = true;
        results.push_back(std::move(config));
    }
    return results;
}

std::optional<Engine> engine_of_plan(const Descriptor& plan) {
    const auto config = plan.child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const auto engine = config == nullptr ? nullptr : engine_in_config(*config);
    return engine == nullptr ? std::nullopt : engine_of(*engine);
}

cudnnStatus_t get_recorded(const Descriptor& descriptor, cudnnBackendAttributeName_t name,
                           const Answer& answer) {
    const Attribute* attribute = descriptor.find(name);
    if (attribute == nullptr) return answer.values(std::vector<unsigned char>{});
    if (attribute->type != answer.type)
        return failed(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "the attribute has another type");
    if (answer.type == CUDNN_TYPE_BACKEND_DESCRIPTOR) return fill(answer, attribute->descriptors);
    const bool ask = answer.wanted == 0 || answer.elements == nullptr;
    const std::int64_t given = ask ? attribute->count : std::min(attribute->count, answer.wanted);
    if (answer.count != nullptr) *answer.count = given;
    if (!ask)
        std::copy_n(attribute->bytes.begin(), static_cast<std::size_t>(given) * size_of(answer.type),
                    static_cast<unsigned char*>(answer.elements));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t get_ours(const Descriptor& descriptor, cudnnBackendAttributeName_t name, const Answer& answer) {
    switch (name) {
        case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
            const auto graph = descriptor.child(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
            if (graph == nullptr || graph->graph == nullptr)
                return failed(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "the heuristic is not finalized");
            return fill(answer, configurations(graph));
        }
        case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
            const auto engine = engine_of(descriptor);
            return answer.values(engine ? engine->notes : std::vector<cudnnBackendNumericalNote_t>{});
        }
        case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE: {
            const auto engine = engine_of_plan(descriptor);
            return answer.values(std::vector<std::int64_t>{engine ? engine->workspace : 0});
        }
        case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE: {
            const auto engine = engine_in_config(descriptor);
            const auto known = engine == nullptr ? std::nullopt : engine_of(*engine);
            return answer.values(std::vector<std::int64_t>{known ? known->workspace : 0});
        }
        case CUDNN_ATTR_ENGINECFG_SHARED_MEMORY_USED:
            return answer.values(std::vector<std::int32_t>{0});
        default:
            return get_recorded(descriptor, name, answer);
    }
}

cudnnStatus_t get(const Descriptor& descriptor, cudnnBackendAttributeName_t name, const Answer& answer) {
    static auto* const get_real = real<decltype(cudnnBackendGetAttribute)>("cudnnBackendGetAttribute");
    if (descriptor.real == nullptr)
        return descriptor.finalized
                   ? get_ours(descriptor, name, answer)
                   : failed(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "the descriptor is not finalized");
    if (is_handle(name)) return get_recorded(descriptor, name, answer);
    if (name == CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT && descriptor.graph != nullptr)
        return answer.values(
            std::vector<std::int64_t>{static_cast<std::int64_t>(engines_for(*descriptor.graph).size())});
    return get_real(descriptor.real, name, answer.type, answer.wanted, answer.count, answer.elements);
}

}  // namespace
}  // namespace softcuda::dnn

using namespace softcuda::dnn;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t kind,
                                                               cudnnBackendDescriptor_t* descriptor) {
    return guarded([&] { return create(kind, descriptor); });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    return guarded([&] {
        if (descriptor == nullptr || remove_descriptor(descriptor)) return CUDNN_STATUS_SUCCESS;
        return failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is none, or destroyed");
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendInitialize(cudnnBackendDescriptor_t descriptor) {
    return guarded([&] {
        return find_descriptor(descriptor) != nullptr
                   ? CUDNN_STATUS_SUCCESS
                   : failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is none");
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    return guarded([&] {
        const auto known = find_descriptor(descriptor);
        return known != nullptr ? finalize(*known) : failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is none");
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                                           cudnnBackendAttributeName_t name,
                                                           cudnnBackendAttributeType_t type, int64_t count,
                                                           const void* elements) {
    return guarded([&] {
        const auto known = find_descriptor(descriptor);
        return known != nullptr ? set(*known, name, type, count, elements)
                                : failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is none");
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                                           cudnnBackendAttributeName_t name,
                                                           cudnnBackendAttributeType_t type, int64_t wanted,
                                                           int64_t* count, void* elements) {
    return guarded([&] {
        const auto known = find_descriptor(descriptor);
        return known != nullptr ? get(*known, name, {type, wanted, count, elements})
                                : failed(CUDNN_STATUS_BAD_PARAM, "the descriptor is none");
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                                      cudnnBackendDescriptor_t pack) {
    return guarded(handle, [&] {
        const auto known = find_descriptor(plan), pointers = find_descriptor(pack);
        if (known == nullptr || pointers == nullptr)
            return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the plan or the variant pack is none");
        if (known->kind != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
            pointers->kind != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
            return failed(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "a plan and a variant pack are wanted");
        if (!known->finalized || !pointers->finalized)
            return failed(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
                          "the plan or the variant pack is not finalized");
        const auto engine = engine_in_config(*known->child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
        const auto graph = engine->child(CUDNN_ATTR_ENGINE_OPERATION_GRAPH)->graph;
        return execute(handle, graph, *engine_of(*engine), *pointers);
    });
}
