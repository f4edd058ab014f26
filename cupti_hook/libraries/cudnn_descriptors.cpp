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

// Programs make a pack for each execution and destroy it behind it: those that are gone are used again, so
// that no memory is asked for once the first few calls are made.
class Packs {
  public:
    VariantPack* find(cudnnBackendDescriptor_t descriptor) noexcept {
        for (const auto& [known, pack] : alive_)
            if (known == descriptor) return pack.get();
        return nullptr;
    }
    void add(cudnnBackendDescriptor_t descriptor) {
        VariantPack* pack = find(descriptor);
        if (pack == nullptr) {
            if (spare_.empty()) spare_.push_back(std::make_unique<VariantPack>());
            alive_.emplace_back(descriptor, std::move(spare_.back()));
            spare_.pop_back();
            pack = alive_.back().second.get();
        }
        pack->uid_count = pack->pointer_count = 0;
    }
    bool remove(cudnnBackendDescriptor_t descriptor) {
        for (auto& each : alive_) {
            if (each.first != descriptor) continue;
            spare_.push_back(std::move(each.second));
            each = std::move(alive_.back());
            alive_.pop_back();
            return true;
        }
        return false;
    }
    std::size_t size() const noexcept { return alive_.size(); }

  private:
    std::vector<std::pair<cudnnBackendDescriptor_t, std::unique_ptr<VariantPack>>> alive_;
    std::vector<std::unique_ptr<VariantPack>> spare_;
};

// Never destroyed: other threads may be in a wrapper while the process exits.
struct Shard {
    std::mutex mutex;
    std::unordered_map<cudnnBackendDescriptor_t, std::shared_ptr<BackendDescriptor>> known;
    Packs packs;
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
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:  // packs are kept apart
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
    if (type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        shard.packs.add(descriptor);
    else
        shard.packs.remove(descriptor);
    const auto found = shard.known.find(descriptor);
    if (found != shard.known.end()) {
        old = std::move(found->second);
        if (!fresh) shard.known.erase(found);
    }
    if (fresh) shard.known[descriptor] = std::move(fresh);
} catch (const std::bad_alloc&) {
    destroyed(descriptor);
}

namespace {

void set_pack(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, std::int64_t count,
              const void* values) noexcept {
    Shard& shard = shard_of(descriptor);
    const std::lock_guard lock(shard.mutex);
    VariantPack* const pack = shard.packs.find(descriptor);
    if (pack == nullptr) return;
    const auto bytes = static_cast<std::size_t>(std::min(count, most_pack_tensors)) * sizeof(void*);
    if (name == CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS) {
        pack->uid_count = count;
        std::memcpy(pack->uids, values, bytes);
    } else if (name == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS) {
        pack->pointer_count = count;
        std::memcpy(pack->pointers, values, bytes);
    }
}

}  // namespace

void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept try {
    if (count <= 0 || values == nullptr) return;
    const auto mine = find_own(descriptor);
    if (!mine) return set_pack(descriptor, name, count, values);
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
    if (shard.packs.remove(descriptor)) return;
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

bool read_pack(cudnnBackendDescriptor_t descriptor, VariantPack& pack) noexcept {
    Shard& shard = shard_of(descriptor);
    const std::lock_guard lock(shard.mutex);
    const VariantPack* const known = shard.packs.find(descriptor);
    if (known == nullptr || known->uid_count != known->pointer_count || known->uid_count > most_pack_tensors)
        return false;
    pack.uid_count = pack.pointer_count = known->uid_count;
    std::copy_n(known->uids, known->uid_count, pack.uids);
    std::copy_n(known->pointers, known->uid_count, pack.pointers);
    return true;
}

std::size_t remembered() noexcept {
    std::size_t count = 0;
    for (Shard& shard : all().shards) {
        const std::lock_guard lock(shard.mutex);
        count += shard.known.size() + shard.packs.size();
    }
    return count;
}

void forget_after_fork() noexcept {
    for (Shard& shard : all().shards) new (&shard.mutex) std::mutex;
}

}  // namespace backend

}  // namespace fumi::libraries
