// Graphs of one convolution, with the pointwise operations that may follow it.
#include "cupti_hook/libraries/cudnn_graph_parser.h"

namespace fumi::libraries {

namespace {

struct Direction {
    DnnOperation operation;
    int descriptor, x, w, y, alpha, beta;
};
constexpr Direction forward{DnnOperation::convolution_forward,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
constexpr Direction backward_data{
    DnnOperation::convolution_backward_data,       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
constexpr Direction backward_filter{
    DnnOperation::convolution_backward_filter,       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

const Direction* direction_of(const BackendDescriptor& operation) noexcept {
    switch (operation.type) {
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
            return &forward;
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
            return &backward_data;
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
            return &backward_filter;
        default:
            return nullptr;
    }
}

void read_convolution(const BackendDescriptor& set, DnnCall& call) noexcept {
    DnnConvolution& c = call.convolution;
    c.spatial_rank =
        static_cast<std::int32_t>(set.value<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0));
    c.flipped = set.value(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION) == CUDNN_CONVOLUTION;
    set.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, c.padding);
    set.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, c.post_padding);
    set.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, c.stride);
    set.values<std::int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS, c.dilation);
    call.compute_type = type_attribute(set, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
}

// One value per channel, to be added to a tensor of that rank.
bool is_per_channel(const DnnTensor& tensor) noexcept {
    for (std::int32_t i = 0; i < tensor.rank; ++i)
        if (i != 1 && tensor.size[i] != 1) return false;
    return tensor.rank > 1;
}

bool same_size(const DnnTensor& a, const DnnTensor& b) noexcept {
    if (a.rank != b.rank) return false;
    for (std::int32_t i = 0; i < a.rank; ++i)
        if (a.size[i] != b.size[i]) return false;
    return true;
}

// Walks along the pointwise operations behind the convolution.
class Tail {
  public:
    Tail(DnnPlan& plan, const GraphTensor& result) noexcept : plan_(plan), now_(result) {}

    // False where the operation is none that FuMi knows to follow.
    bool take(const BackendDescriptor& operation) noexcept {
        const GraphTensor x = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
        const GraphTensor b = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        DnnConvolution& c = plan_.call.convolution;
        const double alpha1 = scalar_attribute(operation, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
        const double alpha2 = scalar_attribute(operation, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
        const int mode = pointwise_mode(operation);
        if (c.relu) return false;  // nothing is known behind it
        if (mode == CUDNN_POINTWISE_RELU_FWD && x.uid == now_.uid && is_relu(operation) && alpha1 == 1) {
            c.relu = true;
        } else if (mode == CUDNN_POINTWISE_ADD && (x.uid == now_.uid) != (b.uid == now_.uid)) {
            const bool first = x.uid == now_.uid;
            if ((first ? alpha1 : alpha2) != 1 || !add(first ? b : x, first ? alpha2 : alpha1)) return false;
        } else {
            return false;
        }
        if (now_.is_virtual && now_.tensor.type != plan_.call.compute_type) c.intermediate = now_.tensor.type;
        now_ = graph_tensor(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        return true;
    }
    const GraphTensor& result() const noexcept { return now_; }

  private:
    bool add(const GraphTensor& other, double factor) noexcept {
        if (factor == 0) return true;  // torch.cudnn_convolution_relu: whatever it is, it is not read
        if (other.descriptor == nullptr || other.by_value) return false;
        if (is_per_channel(other.tensor) && factor == 1 && plan_.call.find(DnnRole::bias) == nullptr) {
            add_tensor(plan_, other, DnnRole::bias);
            return true;
        }
        if (!same_size(other.tensor, now_.tensor) || plan_.call.find(DnnRole::z) != nullptr) return false;
        plan_.call.convolution.z_scale = factor;
        add_tensor(plan_, other, DnnRole::z);
        return true;
    }

    DnnPlan& plan_;
    GraphTensor now_;
};

}  // namespace

bool parse_convolution(const GraphOperations& operations, DnnPlan& plan) {
    const BackendDescriptor* operation = nullptr;
    for (const BackendRecord& each : operations) {
        if (direction_of(*each) == nullptr) continue;
        if (operation != nullptr) return false;  // two of them
        operation = each.get();
    }
    if (operation == nullptr) return false;
    const Direction& direction = *direction_of(*operation);
    DnnCall& call = plan.call;
    call.operation = direction.operation;
    call.alpha = scalar_attribute(*operation, direction.alpha, 1);
    call.beta = scalar_attribute(*operation, direction.beta, 0);
    if (const BackendDescriptor* const set = operation->child(direction.descriptor))
        read_convolution(*set, call);
    else
        refuse(plan, "a descriptor of the graph was not seen being made");
    const GraphTensor x = graph_tensor(*operation, direction.x), w = graph_tensor(*operation, direction.w),
                      y = graph_tensor(*operation, direction.y);
    const bool to_x = &direction == &backward_data, to_w = &direction == &backward_filter;
    Tail tail(plan, to_x ? x : to_w ? w : y);
    bool known = true;
    for (const BackendRecord& each : operations) {
        if (each.get() == operation) continue;
        known = known && tail.take(*each);
    }
    // A result in memory can be compared, whatever is made of it afterwards.
    if (!known && tail.result().is_virtual) refuse(plan, no_graph_reference);
    call.partly = !known;
    const GraphTensor& result = tail.result();
    add_tensor(plan, to_x ? result : x, to_x ? DnnRole::dx : DnnRole::x);
    add_tensor(plan, to_w ? result : w, to_w ? DnnRole::dw : DnnRole::w);
    add_tensor(plan, to_x || to_w ? y : result, to_x || to_w ? DnnRole::dy : DnnRole::y);
    const std::int64_t per_group = w.tensor.size[1];
    call.convolution.groups = per_group > 0 ? static_cast<std::int32_t>(x.tensor.size[1] / per_group) : 1;
    return true;
}

}  // namespace fumi::libraries
