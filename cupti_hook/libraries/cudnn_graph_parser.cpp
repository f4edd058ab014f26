#include "cupti_hook/libraries/cudnn_graph_parser.h"

#include <limits>

namespace fumi::libraries {

DataType data_type(cudnnDataType_t type) noexcept {
    switch (type) {
        case CUDNN_DATA_FLOAT:
            return DataType::f32;
        case CUDNN_DATA_DOUBLE:
            return DataType::f64;
        case CUDNN_DATA_HALF:
            return DataType::f16;
        case CUDNN_DATA_BFLOAT16:
            return DataType::bf16;
        case CUDNN_DATA_INT8:
            return DataType::i8;
        case CUDNN_DATA_UINT8:
            return DataType::u8;
        case CUDNN_DATA_INT32:
            return DataType::i32;
        case CUDNN_DATA_FP8_E4M3:
            return DataType::e4m3;
        case CUDNN_DATA_FP8_E5M2:
            return DataType::e5m2;
        case CUDNN_DATA_COMPLEX_FP32:
            return DataType::c32;
        case CUDNN_DATA_COMPLEX_FP64:
            return DataType::c64;
        default:
            return DataType::none;
    }
}

DnnCall& this_threads_dnn_call() noexcept {
    thread_local DnnCall call;
    return call;
}

GraphTensor graph_tensor(const BackendDescriptor& operation, int name) noexcept {
    GraphTensor found;
    const BackendDescriptor* const set = operation.child(name);
    if (set == nullptr) return found;
    found.descriptor = set;
    found.uid = set->value<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, -1);
    found.is_virtual = set->value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false);
    found.by_value = set->value<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE, false);
    DnnTensor& tensor = found.tensor;
    tensor.type = type_attribute(*set, CUDNN_ATTR_TENSOR_DATA_TYPE);
    tensor.rank =
        static_cast<std::int32_t>(set->values<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, tensor.size));
    set->values<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES, tensor.stride);
    return found;
}

void refuse(DnnPlan& plan, const char* reason) noexcept {
    if (plan.not_checkable == nullptr) plan.not_checkable = reason;
}

void add_tensor(DnnPlan& plan, const GraphTensor& tensor, DnnRole role) noexcept {
    DnnTensor* const added = plan.call.add(role);
    if (added == nullptr) {
        refuse(plan, "a graph of more tensors than FuMi has room for");
        return;
    }
    *added = tensor.tensor;
    added->role = role;
    plan.uids[plan.call.tensor_count - 1] = tensor.uid;
    if (tensor.descriptor == nullptr)
        refuse(plan, "a tensor of the graph was not seen being made");
    else if (tensor.is_virtual)
        refuse(plan, "a tensor of the graph never reaches memory");
    else if (tensor.by_value)
        refuse(plan, "a tensor of the graph is passed by value");
    const BackendDescriptor* const set = tensor.descriptor;
    if (set != nullptr && set->value<std::int64_t>(CUDNN_ATTR_TENSOR_VECTOR_COUNT, 1) > 1)
        refuse(plan, "a vectorised tensor layout");
    if (set != nullptr && set->find(CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC) != nullptr)
        refuse(plan, "a ragged tensor");
}

DataType type_attribute(const BackendDescriptor& descriptor, int name) noexcept {
    const auto type = descriptor.value<std::int32_t>(name, -1);
    return type < 0 ? DataType::none : data_type(static_cast<cudnnDataType_t>(type));
}

double scalar_attribute(const BackendDescriptor& operation, int name, double otherwise) noexcept {
    const BackendAttribute* const set = operation.find(name);
    if (set == nullptr) return otherwise;
    if (set->type == CUDNN_TYPE_FLOAT) return operation.value<float>(name, static_cast<float>(otherwise));
    return operation.value<double>(name, otherwise);
}

int pointwise_mode(const BackendDescriptor& operation) noexcept {
    if (operation.type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) return -1;
    const BackendDescriptor* const pointwise = operation.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    return pointwise == nullptr ? -1 : pointwise->value<std::int32_t>(CUDNN_ATTR_POINTWISE_MODE, -1);
}

bool is_relu(const BackendDescriptor& operation) noexcept {
    if (pointwise_mode(operation) != CUDNN_POINTWISE_RELU_FWD) return false;
    const BackendDescriptor& pointwise = *operation.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const double largest = std::numeric_limits<float>::max();
    return scalar_attribute(pointwise, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0) == 0 &&
           scalar_attribute(pointwise, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0) == 0 &&
           scalar_attribute(pointwise, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, largest) >= largest;
}

DnnPlan parse_graph(const BackendDescriptor& graph) {
    DnnPlan plan;
    plan.call.operation = DnnOperation::other;
    const BackendAttribute* const set = graph.find(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    if (set == nullptr) {
        plan.not_checkable = "the graph's operations were not seen being made";
        return plan;
    }
    const GraphOperations& operations = set->children;
    for (const BackendRecord& operation : operations) {
        if (!operation) {
            plan.not_checkable = "the graph's operations were not seen being made";
            return plan;
        }
        if (plan.call.graph_count == most_graph_operations) continue;
        const int mode = pointwise_mode(*operation);
        plan.call.graph[plan.call.graph_count++] = {static_cast<std::uint16_t>(operation->type),
                                                    static_cast<std::uint16_t>(mode < 0 ? 0 : mode)};
    }
    if (!parse_convolution(operations, plan) && !parse_attention(operations, plan))
        plan.not_checkable = no_graph_reference;
    return plan;
}

}  // namespace fumi::libraries
