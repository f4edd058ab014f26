// Backend descriptors as this device knows them: what was set on each of them, in order. Those that need no
// device (tensors, operations, operation graphs, variant packs...) stand beside NVIDIA's own descriptor,
// which checks every call first; heuristics, engines, engine configurations and plans are this device's
// alone.
#pragma once
#include <cudnn.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace softcuda::dnn {

struct Graph;
struct Descriptor;

struct Attribute {
    cudnnBackendAttributeName_t name{};
    cudnnBackendAttributeType_t type{};
    std::int64_t count = 0;
    std::vector<unsigned char> bytes;                      // of values
    std::vector<std::shared_ptr<Descriptor>> descriptors;  // of CUDNN_TYPE_BACKEND_DESCRIPTOR
};

// Shared by whoever refers to it: a program destroys the parts of a graph while the plan lives on.
struct Descriptor {
    explicit Descriptor(cudnnBackendDescriptorType_t what) noexcept : kind(what) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();

    const Attribute* find(cudnnBackendAttributeName_t name) const noexcept;
    void put(Attribute attribute);
    // The descriptor in an attribute; null where it is not set.
    std::shared_ptr<Descriptor> child(cudnnBackendAttributeName_t name) const noexcept;

    template <class T>
    std::vector<T> values(cudnnBackendAttributeName_t name) const {
        const Attribute* attribute = find(name);
        if (attribute == nullptr) return {};
        std::vector<T> result;
        for (std::size_t at = 0; at + sizeof(T) <= attribute->bytes.size(); at += sizeof(T)) {
            T element{};
            std::memcpy(static_cast<void*>(&element), attribute->bytes.data() + at, sizeof(T));
            result.push_back(element);
        }
        return result;
    }
    template <class T>
    T value(cudnnBackendAttributeName_t name, T otherwise) const {
        const auto all = values<T>(name);
        return all.empty() ? otherwise : all[0];
    }
    // A real number that the program may give as float or as double.
    double number(cudnnBackendAttributeName_t name, double otherwise) const;

    cudnnBackendDescriptorType_t kind;
    cudnnBackendDescriptor_t real = nullptr;  // NVIDIA's; null for the kinds that are this device's alone
    bool finalized = false;
    std::vector<Attribute> attributes;
    std::shared_ptr<const Graph> graph;  // what a finalized operation graph says
};

// Size of one element of an attribute; 0 for a type that is not known.
std::size_t size_of(cudnnBackendAttributeType_t type) noexcept;

// True for the kinds that are this device's alone.
bool is_ours(cudnnBackendDescriptorType_t kind) noexcept;

// The descriptor behind a program's pointer; null for one that was created elsewhere or destroyed.
std::shared_ptr<Descriptor> find_descriptor(cudnnBackendDescriptor_t pointer);
cudnnBackendDescriptor_t add_descriptor(std::shared_ptr<Descriptor> descriptor);
bool remove_descriptor(cudnnBackendDescriptor_t pointer);

// What cudnnGetLastErrorString says of this device's own errors. Returns `status`.
cudnnStatus_t failed(cudnnStatus_t status, const std::string& why);

}  // namespace softcuda::dnn
