#include "cupti_hook/libraries/cudnn_descriptors.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>

namespace fumi::libraries {

const BackendAttribute* BackendDescriptor::find(int name) const noexcept {
    for (const BackendAttribute& attribute : attributes)
        if (attribute.name == name) return &attribute;
    return nullptr;
}

const BackendDescriptor* BackendDescriptor::child(int name) const noexcept {
    const BackendAttribute* const attribute = find(name);
    return attribute == nullptr || attribute->children.empty() ? nullptr : attribute->children[0].get();
}

std::int64_t BackendDescriptor::copy(int name, void* into, std::size_t room,
                                     std::size_t element) const noexcept {
    const BackendAttribute* const attribute = find(name);
    if (attribute == nullptr || attribute->count <= 0) return 0;
    if (attribute->bytes.size() != static_cast<std::size_t>(attribute->count) * element) return 0;
    const std::size_t taken = std::min(room, static_cast<std::size_t>(attribute->count));
    std::memcpy(into, attribute->bytes.data(), taken * element);
    return static_cast<std::int64_t>(taken);
}

namespace backend {

namespace {

// Never destroyed: other threads may be in a wrapper while the process exits.
struct Shard {
    std::mutex mutex;
    std::unordered_map<cudnnBackendDescriptor_t, std::shared_ptr<BackendDescriptor>> known;
};
constexpr std::size_t shard_count = 16;
struct Shards {
    Shard shards[shard_count];
};

Shards& all() {
    static Shards* const made = new Shards;
    return *made;
}

Shard& shard_of(cudnnBackendDescriptor_t descriptor) {
    const auto address = reinterpret_cast<std::uintptr_t>(descriptor);
    return all().shards[(address >> 4 ^ address >> 12) % shard_count];
}

std::shared_ptr<BackendDescriptor> find_own(cudnnBackendDescriptor_t descriptor) noexcept try {
    Shard& shard = shard_of(descriptor);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.known.find(descriptor);
    return found == shard.known.end() ? nullptr : found->second;
} catch (const std::bad_alloc&) {
    return nullptr;
}

// Bytes of one plain value; 0 for descriptors, and for types of a newer cuDNN.
std::size_t element_size(cudnnBackendAttributeType_t type) noexcept {
    switch (type) {
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_INT64:
        case CUDNN_TYPE_DOUBLE:
        case CUDNN_TYPE_VOID_PTR:
            return 8;
        case CUDNN_TYPE_BOOLEAN:
        case CUDNN_TYPE_CHAR:
            return 1;
        case CUDNN_TYPE_FRACTION:
            return sizeof(cudnnFraction_t);
        case CUDNN_TYPE_BACKEND_DESCRIPTOR:
            return 0;
        default:
            return type <= CUDNN_TYPE_MOE_GROUPED_MATMUL_MODE ? 4 : 0;  // the enumerations, float and int32
    }
}

BackendAttribute attribute_of(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                              std::int64_t count, const void* values) {
    BackendAttribute attribute{name, type, count, {}, {}};
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        const auto* descriptors = static_cast<const cudnnBackendDescriptor_t*>(values);
        attribute.children.reserve(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) attribute.children.push_back(find_own(descriptors[i]));
    } else {
        const auto* bytes = static_cast<const std::byte*>(values);
        attribute.bytes.assign(bytes, bytes + static_cast<std::size_t>(count) * element_size(type));
    }
    return attribute;
}

bool worth_keeping(cudnnBackendDescriptorType_t type) noexcept {
    switch (type) {
        // Made anew for each call, and read from the library itself.
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        case CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR:
        case CUDNN_BACKEND_LAYOUT_INFO_DESCRIPTOR:
        case CUDNN_BACKEND_INTERMEDIATE_INFO_DESCRIPTOR:
        case CUDNN_BACKEND_KERNEL_CACHE_DESCRIPTOR:
        case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
            return false;
        default:
            return true;
    }
}

}  // namespace

void created(cudnnBackendDescriptor_t descriptor, cudnnBackendDescriptorType_t type) noexcept try {
    Shard& shard = shard_of(descriptor);
    // Also where it is not kept: the address may have been another's, whose end was not seen.
    auto fresh = worth_keeping(type) ? std::make_shared<BackendDescriptor>() : nullptr;
    if (fresh) fresh->type = type;
    std::shared_ptr<BackendDescriptor> old;  // outlives the lock: it may own a whole graph
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.known.find(descriptor);
    if (found != shard.known.end()) {
        old = std::move(found->second);
        if (!fresh) shard.known.erase(found);
    }
    if (fresh) shard.known[descriptor] = std::move(fresh);
} catch (const std::bad_alloc&) {
    destroyed(descriptor);
}

void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept try {
    if (count <= 0 || values == nullptr) return;
    const auto mine = find_own(descriptor);
    if (!mine) return;
    BackendAttribute attribute = attribute_of(name, type, count, values);
    Shard& shard = shard_of(descriptor);
    const std::lock_guard lock(shard.mutex);
    for (BackendAttribute& known : mine->attributes) {
        if (known.name != name) continue;
        known = std::move(attribute);
        return;
    }
    mine->attributes.push_back(std::move(attribute));
} catch (const std::bad_alloc&) {
    destroyed(descriptor);
}

void got(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept try {
    if (name != CUDNN_ATTR_ENGINEHEUR_RESULTS || type != CUDNN_TYPE_BACKEND_DESCRIPTOR || values == nullptr)
        return;
    const auto heuristic = find_own(descriptor);
    if (!heuristic) return;
    const BackendAttribute* const graph = heuristic->find(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    if (graph == nullptr || graph->children.empty()) return;
    const auto* configurations = static_cast<const cudnnBackendDescriptor_t*>(values);
    for (std::int64_t i = 0; i < count; ++i) {
        if (const auto configuration = find_own(configurations[i])) {
            const std::lock_guard lock(shard_of(configurations[i]).mutex);
            configuration->graph = graph->children[0];
        }
    }
} catch (const std::bad_alloc&) {
    return;
}

void destroyed(cudnnBackendDescriptor_t descriptor) noexcept try {
    std::shared_ptr<BackendDescriptor> last;  // outlives the lock
    Shard& shard = shard_of(descriptor);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.known.find(descriptor);
    if (found == shard.known.end()) return;
    last = std::move(found->second);
    shard.known.erase(found);
} catch (const std::bad_alloc&) {
    return;
}

BackendRecord find(cudnnBackendDescriptor_t descriptor) noexcept {
    return find_own(descriptor);
}

void attach(cudnnBackendDescriptor_t plan, std::shared_ptr<const DnnPlan> parsed) noexcept {
    const auto mine = find_own(plan);
    if (!mine) return;
    const std::lock_guard lock(shard_of(plan).mutex);
    mine->plan = std::move(parsed);
}

std::size_t remembered() noexcept {
    std::size_t count = 0;
    for (Shard& shard : all().shards) {
        const std::lock_guard lock(shard.mutex);
        count += shard.known.size();
    }
    return count;
}

void forget_after_fork() noexcept {
    for (Shard& shard : all().shards) new (&shard.mutex) std::mutex;
}

}  // namespace backend

}  // namespace fumi::libraries
