// Shared by the parsers of operation graphs.
#pragma once
#include "cupti_hook/libraries/cudnn_plan.h"

namespace fumi::libraries {

// A tensor of a graph, as it was set.
struct GraphTensor {
    const BackendDescriptor* descriptor = nullptr;
    std::int64_t uid = -1;
    bool is_virtual = false, by_value = false;
    DnnTensor tensor;  // without address
};
// Of operation attribute `name`; descriptor is null where it was not set (or not seen).
GraphTensor graph_tensor(const BackendDescriptor& operation, int name) noexcept;

// The first reason stays.
void refuse(DnnPlan& plan, const char* reason) noexcept;
// Puts it among the plan's tensors. A virtual one, one by value, or one beyond the room makes the plan not
// checkable.
void add_tensor(DnnPlan& plan, const GraphTensor& tensor, DnnRole role) noexcept;

// none where it was not set, or is a type that FuMi does not know.
DataType type_attribute(const BackendDescriptor& descriptor, int name) noexcept;
// A float or a double, as it was set.
double scalar_attribute(const BackendDescriptor& operation, int name, double otherwise) noexcept;

// Is the operation a pointwise one, and of which mode; -1 where it is none.
int pointwise_mode(const BackendDescriptor& operation) noexcept;
bool is_relu(const BackendDescriptor& operation) noexcept;  // with its lower clip at 0 and no upper one

using GraphOperations = std::vector<BackendRecord>;
// Each fills the plan where the graph is of its kind; false where it is not.
bool parse_convolution(const GraphOperations& operations, DnnPlan& plan);
bool parse_attention(const GraphOperations& operations, DnnPlan& plan);
bool parse_attention_graph(const GraphOperations& operations, DnnPlan& plan);

}  // namespace fumi::libraries
