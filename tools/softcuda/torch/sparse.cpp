#include "tools/softcuda/torch/sparse.h"

#include <ATen/SparseTensorImpl.h>
#include <ATen/cuda/EmptyTensor.h>
#include <ATen/native/SparseTensorUtils.h>
#include <ATen/ops/_sparse_compressed_tensor_unsafe.h>
#include <ATen/ops/_sparse_coo_tensor_unsafe.h>

#include <cstring>
#include <utility>

#include "tools/softcuda/core/device.h"

namespace softcuda::torch_device {
namespace {

bool by_rows(const at::Tensor& tensor) {
    return tensor.layout() == at::kSparseCsr || tensor.layout() == at::kSparseBsr;
}

// The two index tensors of a compressed layout: the compressed one, then the plain one.
std::pair<at::Tensor, at::Tensor> compressed_indices(const at::Tensor& tensor) {
    return by_rows(tensor) ? std::pair(tensor.crow_indices(), tensor.col_indices())
                           : std::pair(tensor.ccol_indices(), tensor.row_indices());
}

// The same tensor with each of its parts replaced by convert(part).
template <class Convert>
at::Tensor rebuild(const at::Tensor& tensor, Convert&& convert) {
    if (tensor.layout() == at::kSparse) {
        const at::Tensor values = convert(tensor._values());
        return at::_sparse_coo_tensor_unsafe(convert(tensor._indices()), values, tensor.sizes(),
                                             values.options().layout(at::kSparse), tensor.is_coalesced());
    }
    const auto [compressed, plain] = compressed_indices(tensor);
    const at::Tensor values = convert(tensor.values());
    return at::_sparse_compressed_tensor_unsafe(convert(compressed), convert(plain), values, tensor.sizes(),
                                                values.options().layout(tensor.layout()));
}

}  // namespace

bool is_sparse(const at::Tensor& tensor) {
    if (!tensor.defined()) return false;
    switch (tensor.layout()) {
        case at::kSparse:
        case at::kSparseCsr:
        case at::kSparseCsc:
        case at::kSparseBsr:
        case at::kSparseBsc:
            return true;
        default:
            return false;
    }
}

at::Tensor sparse_counterpart(AliasMap& aliases, const at::Tensor& tensor) {
    return rebuild(tensor, [&](const at::Tensor& part) { return aliases.to_cpu(part); });
}

at::Tensor copy_to_device(const at::Tensor& cpu, c10::Device device) {
    if (is_sparse(cpu)) {
        return rebuild(cpu, [&](const at::Tensor& part) { return copy_to_device(part, device); });
    }
    at::Tensor copy(at::detail::empty_strided_cuda(cpu.sizes(), cpu.strides(), cpu.scalar_type(), device));
    if (cpu.numel() != 0)
        std::memcpy(host_view(copy.mutable_data_ptr()), cpu.const_data_ptr(), span_bytes(cpu));
    return copy;
}

void update_sparse(const at::Tensor& device, const at::Tensor& cpu) {
    if (cpu.layout() != at::kSparse) return;  // compressed layouts are written in place, through their parts
    const bool same = cpu._values().const_data_ptr() == host_view(device._values().const_data_ptr()) &&
                      cpu._indices().const_data_ptr() == host_view(device._indices().const_data_ptr()) &&
                      cpu._nnz() == device._nnz() && cpu.sizes() == device.sizes();
    at::SparseTensorImpl* impl = at::sparse::get_sparse_impl(device);
    if (!same) {
        impl->raw_resize_(cpu.sparse_dim(), cpu.dense_dim(), cpu.sizes());
        impl->set_indices_and_values_unsafe(copy_to_device(cpu._indices(), device.device()),
                                            copy_to_device(cpu._values(), device.device()));
    }
    impl->set_coalesced(cpu.is_coalesced());
}

}  // namespace softcuda::torch_device
