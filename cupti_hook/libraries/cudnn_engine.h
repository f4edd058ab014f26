// What cuDNN says of the engine of a finalized execution plan.
#pragma once
#include "cupti_hook/libraries/cudnn_call.h"

namespace fumi::libraries {

// Fields that this cuDNN does not tell stay unknown.
DnnEngine read_engine(cudnnBackendDescriptor_t plan) noexcept;

}  // namespace fumi::libraries
