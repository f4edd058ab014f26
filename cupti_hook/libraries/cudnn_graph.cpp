// cuDNN's backend API: its descriptors are watched as they are made, and a plan's execution is a Call.
// libcudnn and libcudnn_graph export the same functions, so there is one wrapper for each of the two.
#include "cupti_hook/libraries/cudnn_api.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/libraries/cudnn_descriptors.h"
#include "cupti_hook/libraries/cudnn_plan.h"
#include "cupti_hook/libraries/cudnn_wrapper.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

// A function that makes or changes a descriptor: the library first, then what FuMi notes of it.
template <class Tag, int library, class Signature>
struct Watched;

template <class Tag, int library, class... Args>
struct Watched<Tag, library, cudnnStatus_t(Args...)> {
    static inline constinit std::atomic<void*> original{nullptr};

    static cudnnStatus_t call(Args... args) noexcept {
        const interpose::Guard guard;
        auto* function =
            reinterpret_cast<cudnnStatus_t (*)(Args...)>(original.load(std::memory_order_acquire));
        if (function == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
        // A descriptor's record must be gone before its address can be another's.
        const bool noted = guard && observer() != nullptr;
        if (Tag::ends && noted) Tag::note(args...);
        const cudnnStatus_t status = function(args...);
        if (!Tag::ends && noted && status == CUDNN_STATUS_SUCCESS) Tag::note(args...);
        return status;
    }
};

struct Create {
    static constexpr bool ends = false;
    static void note(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* made) noexcept {
        backend::created(*made, type);
    }
};
struct Destroy {
    static constexpr bool ends = true;
    static void note(cudnnBackendDescriptor_t descriptor) noexcept { backend::destroyed(descriptor); }
};
struct Set {
    static constexpr bool ends = false;
    static void note(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, std::int64_t count, const void* values) noexcept {
        backend::set(descriptor, name, type, count, values);
    }
};
struct Get {
    static constexpr bool ends = false;
    static void note(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, std::int64_t requested, const std::int64_t* count,
                     const void* values) noexcept {
        if (count != nullptr) backend::got(descriptor, name, type, std::min(requested, *count), values);
    }
};
struct Finalize {
    static constexpr bool ends = false;
    static void note(cudnnBackendDescriptor_t descriptor) noexcept { plan_finalized(descriptor); }
};

void execute(Call& call, cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
             cudnnBackendDescriptor_t pack) noexcept {
    decode_execution(call, handle, plan, pack);
}

// The plan becomes nodes of a graph that the program launches itself: where and how often, FuMi does not see.
void to_graph(Call& call, cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack,
              cudaGraph_t) noexcept {
    decode_execution(call, handle, plan, pack);
    call.not_checkable = "the plan was written into a CUDA graph, not executed";
}

FUMI_CUDNN_TAG(cudnnBackendExecute, execute)
FUMI_CUDNN_TAG(cudnnBackendPopulateCudaGraph, to_graph)
FUMI_CUDNN_TAG(cudnnBackendUpdateCudaGraph, to_graph)

// The tags of the second library: a wrapper's original is a static of its tag.
struct execute_in_graph_library : cudnnBackendExecute_tag {};
struct populate_in_graph_library : cudnnBackendPopulateCudaGraph_tag {};
struct update_in_graph_library : cudnnBackendUpdateCudaGraph_tag {};

template <class Tag, int library, class Signature>
constexpr interpose::Hook watch(const char* name) noexcept {
    using Function = Watched<Tag, library, Signature>;
    return {name, nullptr, library == 0 ? cudnn_soname : cudnn_graph_soname,
            reinterpret_cast<void*>(&Function::call), &Function::original};
}

#define FUMI_WATCH(tag, name) watch<tag, 0, decltype(::name)>(#name), watch<tag, 1, decltype(::name)>(#name),
const interpose::Hook hooks[] = {
    // clang-format off
    FUMI_WATCH(Create, cudnnBackendCreateDescriptor)
    FUMI_WATCH(Destroy, cudnnBackendDestroyDescriptor)
    FUMI_WATCH(Set, cudnnBackendSetAttribute)
    FUMI_WATCH(Get, cudnnBackendGetAttribute)
    FUMI_WATCH(Finalize, cudnnBackendFinalize)
    FUMI_HOOK(cudnnBackendExecute, cudnn_soname)
    FUMI_HOOK(cudnnBackendPopulateCudaGraph, cudnn_soname)
    FUMI_HOOK(cudnnBackendUpdateCudaGraph, cudnn_soname)
    // clang-format on
    Wrapper<execute_in_graph_library, decltype(::cudnnBackendExecute)>::hook(cudnn_graph_soname),
    Wrapper<populate_in_graph_library, decltype(::cudnnBackendPopulateCudaGraph)>::hook(cudnn_graph_soname),
    Wrapper<update_in_graph_library, decltype(::cudnnBackendUpdateCudaGraph)>::hook(cudnn_graph_soname),
};

}  // namespace

std::span<const interpose::Hook> cudnn_graph_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
