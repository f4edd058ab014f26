// What the program has put into the descriptors of cuDNN's backend API, as it was set. The library's own
// answers are no substitute: sub-descriptors are gone before their plan is executed, and a tensor read back
// through an operation has other dimensions than the one that was set.
#pragma once
#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace fumi::libraries {

struct DnnPlan;
struct BackendDescriptor;
using BackendRecord = std::shared_ptr<const BackendDescriptor>;

struct BackendAttribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    std::int64_t count = 0;
    std::vector<std::byte> bytes;         // of plain values
    std::vector<BackendRecord> children;  // of descriptors; one that FuMi has not seen made is null
};

// One descriptor. Immutable once it is part of another, as cuDNN itself has it (it must be finalized by
// then).
struct BackendDescriptor {
    cudnnBackendDescriptorType_t type;
    std::vector<BackendAttribute> attributes;
    // An engine configuration that a heuristic filled in: the graph that was asked about.
    BackendRecord graph;
    // A finalized execution plan: what it was parsed to.
    std::shared_ptr<const DnnPlan> plan;

    const BackendAttribute* find(int name) const noexcept;
    // The first descriptor of an attribute; nullptr where there is none.
    const BackendDescriptor* child(int name) const noexcept;
    // Plain values, as many as were set and fit: how many.
    template <class T>
    std::int64_t values(int name, std::span<T> into) const noexcept {
        return copy(name, into.data(), into.size(), sizeof(T));
    }
    template <class T>
    T value(int name, T otherwise) const noexcept {
        T read = otherwise;
        return copy(name, &read, 1, sizeof(T)) == 1 ? read : otherwise;
    }

  private:
    std::int64_t copy(int name, void* into, std::size_t room, std::size_t element) const noexcept;
};

// The addresses of one execution. cuDNN does not tell them (GetAttribute: not supported), so they are noted
// too.
inline constexpr std::int64_t most_pack_tensors = 64;
struct VariantPack {
    std::int64_t uid_count = 0, pointer_count = 0;  // that were set; beyond the room nothing is noted
    std::int64_t uids[most_pack_tensors];
    const void* pointers[most_pack_tensors];

    const void* find(std::int64_t uid) const noexcept {
        for (std::int64_t i = 0; i < uid_count; ++i)
            if (uids[i] == uid) return pointers[i];
        return nullptr;
    }
};

namespace backend {

// After the library has done the same with success. Any thread; memory that runs out makes FuMi forget the
// descriptor, and the calls of its plan are recorded as not decoded.
void created(cudnnBackendDescriptor_t descriptor, cudnnBackendDescriptorType_t type) noexcept;
void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept;
// GetAttribute: a heuristic's results are configurations of the graph that it was asked about.
void got(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept;
void destroyed(cudnnBackendDescriptor_t descriptor) noexcept;

BackendRecord find(cudnnBackendDescriptor_t descriptor) noexcept;
void attach(cudnnBackendDescriptor_t plan, std::shared_ptr<const DnnPlan> parsed) noexcept;
// False where the pack is not known, or holds more than there is room for.
bool read_pack(cudnnBackendDescriptor_t descriptor, VariantPack& pack) noexcept;
// How many descriptors are remembered now.
std::size_t remembered() noexcept;
// In a forked child: locks may have been held by threads that are gone.
void forget_after_fork() noexcept;

}  // namespace backend

}  // namespace fumi::libraries
