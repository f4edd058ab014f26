// The execution of a plan on a stream.
#pragma once
#include <cudnn.h>

#include <memory>

#include "tools/softcuda/dnn/engines.h"

namespace softcuda::dnn {

// Puts the graph on the handle's stream as one launch, its tensors at the pointers that the variant pack
// gives. Counts the call for planted faults.
cudnnStatus_t execute(cudnnHandle_t handle, std::shared_ptr<const Graph> graph, const Engine& engine,
                      const Descriptor& pack);

// The same for a call that is already filled in, but for its fault, as `function` of the library.
struct Call;
cudnnStatus_t enqueue(cudnnHandle_t handle, std::shared_ptr<Call> call, const char* function);

}  // namespace softcuda::dnn
