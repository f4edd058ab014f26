#include "tools/softcuda/torch/op_rules.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "tools/softcuda/torch/alias.h"

namespace softcuda::torch_device {
namespace {

using Names = std::unordered_set<std::string_view>;

// cuBLAS serves these: they reach the library's entry points.
const Names& blas_ops() {
    static const Names names{"mm",
                             "addmm",
                             "addmm_",
                             "bmm",
                             "baddbmm",
                             "baddbmm_",
                             "addmv",
                             "addmv_",
                             "mv",
                             "dot",
                             "vdot",
                             "_addmm_activation",
                             "_int_mm",
                             "_scaled_mm",
                             "_scaled_mm_v2",
                             "linalg_solve_triangular",
                             "triangular_solve"};
    return names;
}

// cuDNN serves these, though the CPU has them too.
const Names& dnn_ops() {
    static const Names names{"convolution_backward"};
    return names;
}

// Allocation, storage and metadata: no kernel behind them.
const Names& metadata_ops() {
    static const Names names{"empty",
                             "empty_strided",
                             "set_",
                             "resize_",
                             "_resize_output_",
                             "record_stream",
                             "is_set_to",
                             "_local_scalar_dense",
                             "_efficientzerotensor",
                             "is_pinned",
                             "_pin_memory",
                             "_copy_from",
                             "_copy_from_and_resize",
                             "new_empty_strided",
                             "empty_like",
                             "_has_compatible_shallow_copy_type",
                             "quantize_per_channel",
                             "_empty_affine_quantized",
                             "_empty_per_channel_affine_quantized",
                             "empty_quantized",
                             "_indices",
                             "_values",
                             "indices",
                             "values",
                             "_coalesced_",
                             "is_coalesced",
                             "sparse_dim",
                             "dense_dim",
                             "_dimI",
                             "_dimV",
                             "_nnz",
                             "crow_indices",
                             "col_indices",
                             "ccol_indices",
                             "row_indices",
                             "_sparse_coo_tensor_with_dims",
                             "_sparse_coo_tensor_with_dims_and_tensors",
                             "sparse_resize_",
                             "sparse_resize_and_clear_",
                             "resize_as_sparse_",
                             "copy_sparse_to_sparse_"};
    return names;
}

bool returns_view(const c10::FunctionSchema& schema) {
    return std::any_of(schema.returns().begin(), schema.returns().end(), [](const c10::Argument& returned) {
        return returned.alias_info() != nullptr && !returned.alias_info()->isWrite();
    });
}

bool is_mask(const at::Tensor& tensor) {
    return tensor.defined() && (tensor.scalar_type() == at::kBool || tensor.scalar_type() == at::kByte);
}

std::string_view base_name(const c10::OperatorHandle& op) {
    std::string_view name = op.operator_name().name;
    const size_t colons = name.rfind("::");
    return colons == std::string_view::npos ? name : name.substr(colons + 2);
}

}  // namespace

bool served_by_library(const c10::OperatorHandle& op) {
    return blas_ops().count(base_name(op)) != 0 || dnn_ops().count(base_name(op)) != 0;
}

bool stays_native(const c10::OperatorHandle& op) {
    return metadata_ops().count(base_name(op)) != 0 || returns_view(op.schema());
}

bool mixes_devices(const c10::OperatorHandle& op) {
    static const Names names{"_index_put_impl_",   "index_put_",           "index_put",
                             "_unsafe_index",      "_unsafe_index_put",    "_ctc_loss",
                             "_ctc_loss_backward", "_pack_padded_sequence"};
    const std::string_view name = base_name(op);
    return name == "index" || names.count(name) != 0;
}

bool depends_on_data(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) {
    static const Names names{"bincount",
                             "masked_select",
                             "nonzero",
                             "unique_dim",
                             "unique_consecutive",
                             "unique_dim_consecutive",
                             "_unique",
                             "_unique2",
                             "repeat_interleave",
                             "equal",
                             "segment_reduce",
                             "linalg_lstsq",
                             "is_nonzero",
                             "item",
                             "_embedding_bag",
                             "_embedding_bag_forward_only",
                             "_nested_tensor_from_mask_left_aligned",
                             "_ctc_loss"};
    const std::string_view name = base_name(op);
    if (name == "index" || name == "_unsafe_index" || name == "_index_put_impl_") {
        bool masked = false;
        for_each_tensor(arguments.at(1), [&](const at::Tensor& tensor) { masked |= is_mask(tensor); });
        return masked;
    }
    return names.count(name) != 0 || op.hasTag(at::Tag::dynamic_output_shape) ||
           op.hasTag(at::Tag::data_dependent_output);
}

}  // namespace softcuda::torch_device
