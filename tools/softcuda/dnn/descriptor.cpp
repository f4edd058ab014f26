#include "tools/softcuda/dnn/descriptor.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "tools/softcuda/dnn/handle.h"
#include "tools/softcuda/dnn/real.h"

namespace softcuda::dnn {
namespace {

struct Registry {
    std::mutex mutex;
    std::unordered_map<cudnnBackendDescriptor_t, std::shared_ptr<Descriptor>> descriptors;
};

// Never destroyed: programs destroy descriptors from their own static objects.
Registry& registry() {
    static auto* const instance = new Registry;
    return *instance;
}

std::string& last_error() {
    static thread_local std::string message;
    return message;
}

}  // namespace

Descriptor::~Descriptor() {
    static auto* const destroy =
        dnn::real<decltype(cudnnBackendDestroyDescriptor)>("cudnnBackendDestroyDescriptor");
    if (real != nullptr && destroy != nullptr) destroy(real);
}

const Attribute* Descriptor::find(cudnnBackendAttributeName_t name) const noexcept {
    for (const Attribute& attribute : attributes)
        if (attribute.name == name) return &attribute;
    return nullptr;
}

void Descriptor::put(Attribute attribute) {
    std::erase_if(attributes, [&](const Attribute& other) { return other.name == attribute.name; });
    attributes.push_back(std::move(attribute));
}

std::shared_ptr<Descriptor> Descriptor::child(cudnnBackendAttributeName_t name) const noexcept {
    const Attribute* attribute = find(name);
    return attribute == nullptr || attribute->descriptors.empty() ? nullptr : attribute->descriptors[0];
}

double Descriptor::number(cudnnBackendAttributeName_t name, double otherwise) const {
    const Attribute* attribute = find(name);
    if (attribute == nullptr || attribute->count == 0) return otherwise;
    if (attribute->type == CUDNN_TYPE_FLOAT) return static_cast<double>(value(name, 0.0f));
    return attribute->type == CUDNN_TYPE_DOUBLE ? value(name, 0.0) : otherwise;
}

std::size_t size_of(cudnnBackendAttributeType_t type) noexcept {
    switch (type) {
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_INT64:
        case CUDNN_TYPE_DOUBLE:
        case CUDNN_TYPE_VOID_PTR:
        case CUDNN_TYPE_BACKEND_DESCRIPTOR:
            return 8;
        case CUDNN_TYPE_BOOLEAN:
        case CUDNN_TYPE_CHAR:
            return 1;
        case CUDNN_TYPE_FRACTION:
            return 16;
        default:
            return type <= CUDNN_TYPE_MOE_GROUPED_MATMUL_MODE ? 4 : 0;
    }
}

bool is_ours(cudnnBackendDescriptorType_t kind) noexcept {
    switch (kind) {
        case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        case CUDNN_BACKEND_INTERMEDIATE_INFO_DESCRIPTOR:
        case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        case CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR:
        case CUDNN_BACKEND_LAYOUT_INFO_DESCRIPTOR:
            return true;
        default:
            return false;
    }
}

std::shared_ptr<Descriptor> find_descriptor(cudnnBackendDescriptor_t pointer) {
    const std::lock_guard lock(registry().mutex);
    const auto found = registry().descriptors.find(pointer);
    return found == registry().descriptors.end() ? nullptr : found->second;
}

cudnnBackendDescriptor_t add_descriptor(std::shared_ptr<Descriptor> descriptor) {
    cudnnBackendDescriptor_t pointer = descriptor->real != nullptr ? descriptor->real : descriptor.get();
    const std::lock_guard lock(registry().mutex);
    registry().descriptors[pointer] = std::move(descriptor);
    return pointer;
}

bool remove_descriptor(cudnnBackendDescriptor_t pointer) {
    std::shared_ptr<Descriptor> last;  // its end calls the real library: after the lock
    const std::lock_guard lock(registry().mutex);
    const auto found = registry().descriptors.find(pointer);
    if (found == registry().descriptors.end()) return false;
    last = std::move(found->second);
    registry().descriptors.erase(found);
    return true;
}

cudnnStatus_t failed(cudnnStatus_t status, const std::string& why) {
    last_error() = "softcuda: " + why;
    return status;
}

}  // namespace softcuda::dnn

// The real library's messages, and this device's own.
SOFTCUDA_DNN_EXPORT void cudnnGetLastErrorString(char* message, size_t max_size) {
    auto& own = softcuda::dnn::last_error();
    if (message == nullptr || max_size == 0) return;
    if (own.empty()) {
        static auto* const real =
            softcuda::dnn::real<decltype(cudnnGetLastErrorString)>("cudnnGetLastErrorString");
        message[0] = '\0';
        if (real != nullptr) real(message, max_size);
        return;
    }
    const std::size_t length = std::min(own.size(), max_size - 1);
    std::memcpy(message, own.data(), length);
    message[length] = '\0';
    own.clear();
}
