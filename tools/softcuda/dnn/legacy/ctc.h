// Connectionist temporal classification (Graves et al. 2006): cost = -log p(labels | probabilities) per
// sample, and its gradient with respect to the activations before the softmax. Label 0 is the blank.
#pragma once
#include <cudnn.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tools/softcuda/dnn/legacy/reduce.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

struct Ctc {
    bool softmax = true;  // the inputs are activations, not probabilities
    // A sample whose labels do not fit into its steps costs nothing; its gradient is zero, or left as it is.
    bool skip_misfits = false;
    std::int64_t longest = 0;  // labels of a sample, at most; 0: not known
    Tensor inputs, gradients;  // steps x batch x classes, float
    const void* input_data = nullptr;
    void *costs = nullptr, *gradient_data = nullptr;  // gradients: null where not wanted
    // On the device, or the host's as of the call.
    const int *labels = nullptr, *label_lengths = nullptr, *input_lengths = nullptr;
    std::shared_ptr<const std::vector<int>> host;  // labels, label lengths, input lengths

    std::int64_t steps() const noexcept { return inputs.size[0]; }
    std::int64_t batch() const noexcept { return inputs.size[1]; }
    std::int64_t classes() const noexcept { return inputs.size[2]; }
};

// Throws std::runtime_error, as an error of the work item, where labels or lengths are out of range.
void run(const Ctc& ctc, Deviation& deviation);

}  // namespace softcuda::dnn::legacy
