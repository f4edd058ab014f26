// The convolution functions from before the graph API, as graphs of the device's own.
#pragma once
#include <cudnn.h>

#include <memory>

#include "tools/softcuda/dnn/engines.h"
#include "tools/softcuda/dnn/graph.h"

namespace softcuda::dnn::legacy {

// A convolution as its descriptors say, before anything is known of pointers.
struct ConvolutionCall {
    Graph graph;  // tensors x, w, y; one operation
    Direction direction{};
    Engine engine;
};

// Reads the descriptors; x and y are dx and dy, w is dw, as the direction has it. `algorithm` is the enum's
// value for that direction. CUDNN_STATUS_NOT_SUPPORTED for one that the device has not.
cudnnStatus_t read_convolution(ConvolutionCall& call, Direction direction, cudnnTensorDescriptor_t x,
                               cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t convolution,
                               cudnnTensorDescriptor_t y, int algorithm);

// The algorithms that there are for a direction, the fastest first.
std::vector<int> algorithms_of(Direction direction);

// Repeatable results in spite of a sum in parts.
bool is_deterministic(Direction direction, int algorithm) noexcept;

// Adds y = act( alpha1 conv + alpha2 z + bias ): tensors z and bias, and those between.
cudnnStatus_t add_bias_and_activation(ConvolutionCall& call, double alpha2, cudnnTensorDescriptor_t z,
                                      cudnnTensorDescriptor_t bias, cudnnActivationDescriptor_t activation);

// pointers: of the graph's tensors, null for virtual ones.
cudnnStatus_t launch(cudnnHandle_t handle, const char* function, ConvolutionCall call,
                     std::vector<void*> pointers);

}  // namespace softcuda::dnn::legacy
