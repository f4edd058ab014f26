// Where the matrices of a recurrent network lie in its weight space, and what else its problem needs of the host.
#pragma once
#include "cupti_hook/libraries/cudnn_call.h"
#include "kernels/dnn_problem.h"

namespace fumi::rerun {

struct RnnLayout {
    RnnWeights of[kMostRnnLayers];
    const void* lengths = nullptr;       // int32 on the device
    const void* step_offsets = nullptr;  // int64 on the device, of packed sequences
    const void* x = nullptr;             // backward_data: of the forward call
};

const char* make_rnn(const libraries::DnnCall& call, const RnnLayout* layout, RnnProblem& problem) noexcept;

}  // namespace fumi::rerun
