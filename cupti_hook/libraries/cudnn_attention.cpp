// Graphs of scaled dot-product attention: the one operation that cuDNN has for it.
#include <cstddef>

#include "cupti_hook/libraries/cudnn_graph_parser.h"

namespace fumi::libraries {

namespace {

struct Operand {
    int name;
    DnnRole role;
};
constexpr Operand forward[] = {{CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, DnnRole::q},
                               {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, DnnRole::k},
                               {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, DnnRole::v},
                               {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, DnnRole::o},
                               {CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, DnnRole::stats}};
constexpr Operand backward[] = {{CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC, DnnRole::q},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_KDESC, DnnRole::k},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_VDESC, DnnRole::v},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_ODESC, DnnRole::o},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_STATSDESC, DnnRole::stats},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC, DnnRole::dq},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC, DnnRole::dk},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC, DnnRole::dv},
                                {CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC, DnnRole::d_o}};
// What the one operation may have besides, and FuMi's reference has not.
constexpr int unknown_operands[] = {
    CUDNN_ATTR_OPERATION_SDPA_FWD_BLOCK_MASK_DESC,  CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_KDESC,
    CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_VDESC, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC,
    CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC,   CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_QDESC,
    CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_KVDESC};

void read_scale(const BackendDescriptor& operation, int name, DnnPlan& plan) {
    const GraphTensor scale = graph_tensor(operation, name);
    if (scale.descriptor == nullptr) return;
    if (!scale.by_value) {
        refuse(plan, "attention with a scale on the device");
        return;
    }
    plan.scalars.push_back(
        {scale.uid, scale.tensor.type, offsetof(DnnCall, attention) + offsetof(DnnAttention, scale)});
}

}  // namespace

bool parse_attention(const GraphOperations& operations, DnnPlan& plan) {
    if (operations.size() != 1) return parse_attention_graph(operations, plan);
    const BackendDescriptor& operation = *operations[0];
    const bool is_forward = operation.type == CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR;
    if (!is_forward && operation.type != CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR) return false;
    plan.call.operation = is_forward ? DnnOperation::attention_forward : DnnOperation::attention_backward;
    plan.call.compute_type = DataType::f32;
    for (const Operand& operand : is_forward ? std::span<const Operand>(forward) : backward) {
        const GraphTensor tensor = graph_tensor(operation, operand.name);
        const bool optional = is_forward && operand.role == DnnRole::stats;
        if (tensor.descriptor == nullptr && optional) continue;
        add_tensor(plan, tensor, operand.role);
    }
    read_scale(operation,
               is_forward ? CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC : CUDNN_ATTR_OPERATION_SDPA_BWD_SCALEDESC,
               plan);
    for (const int name : unknown_operands)
        if (operation.find(name) != nullptr) refuse(plan, no_graph_reference);
    return true;
}

}  // namespace fumi::libraries
