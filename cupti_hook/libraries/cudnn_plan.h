// From an execution plan's descriptors to what its calls compute: parsed once, when the plan is finalized.
#pragma once
#include <cstdint>
#include <vector>

#include "cupti_hook/libraries/call.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/libraries/cudnn_descriptors.h"

namespace fumi::libraries {

// Everything but the addresses, which come with each execution.
struct DnnPlan {
    DnnCall call;
    std::int64_t uids[most_tensors] = {};  // of call.tensors
    // Scalars that each execution brings along by value (on the host): the tensor's uid, its type, and where
    // in `call` the value goes.
    struct HostScalar {
        std::int64_t uid = 0;
        DataType type = DataType::none;
        std::size_t offset = 0;  // of a double
    };
    std::vector<HostScalar> scalars;
    const char* not_checkable = nullptr;
};

// Of a graph of operations. Throws std::bad_alloc.
DnnPlan parse_graph(const BackendDescriptor& graph);

// A descriptor has been finalized; where it is a plan, it is parsed and remembered with it.
void plan_finalized(cudnnBackendDescriptor_t descriptor) noexcept;
// cudnnBackendExecute and its like. Allocates nothing.
void decode_execution(Call& call, cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                      cudnnBackendDescriptor_t pack) noexcept;

}  // namespace fumi::libraries
