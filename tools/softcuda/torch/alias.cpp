#include "tools/softcuda/torch/alias.h"

#include <ATen/EmptyTensor.h>
#include <ATen/cuda/EmptyTensor.h>
#include <ATen/quantized/QTensorImpl.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/StorageImpl.h>
#include <c10/core/TensorImpl.h>

#include <cstring>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/torch/sparse.h"

namespace softcuda::torch_device {
namespace {

at::Tensor strided(c10::Storage storage, c10::DispatchKey backend, caffe2::TypeMeta dtype,
                   at::IntArrayRef sizes, at::IntArrayRef strides, int64_t offset) {
    auto impl = c10::make_intrusive<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(backend), dtype);
    impl->set_sizes_and_strides(sizes, strides, offset);
    return at::Tensor(std::move(impl));
}

// Per tensor: the numbers of a quantizer per channel would lie in another device's memory.
at::Tensor quantized(c10::Storage storage, c10::DispatchKey backend, caffe2::TypeMeta dtype,
                     at::IntArrayRef sizes, at::IntArrayRef strides, int64_t offset,
                     at::QuantizerPtr quantizer) {
    TORCH_CHECK_NOT_IMPLEMENTED(quantizer->qscheme() == at::kPerTensorAffine,
                                "softcuda: the software device has tensors quantized per tensor only");
    auto impl = c10::make_intrusive<at::QTensorImpl>(std::move(storage), c10::DispatchKeySet(backend), dtype,
                                                     std::move(quantizer));
    impl->set_sizes_and_strides(sizes, strides, offset);
    return at::Tensor(std::move(impl));
}

void set_bits(const at::Tensor& tensor, bool conj, bool neg) {
    if (conj) tensor._set_conj(true);
    if (neg) tensor._set_neg(true);
}

at::Tensor copy_of(const at::Tensor& tensor) {
    at::Tensor copy(at::detail::empty_strided_cpu(tensor.sizes(), tensor.strides(), tensor.scalar_type()));
    if (tensor.numel() != 0)
        std::memcpy(copy.mutable_data_ptr(), tensor.const_data_ptr(), span_bytes(tensor));
    set_bits(copy, tensor.is_conj(), tensor.is_neg());
    copy.unsafeGetTensorImpl()->set_wrapped_number(tensor.unsafeGetTensorImpl()->is_wrapped_number());
    return copy;
}

}  // namespace

size_t span_bytes(const at::Tensor& tensor) {
    return at::detail::computeStorageNbytes(tensor.sizes(), tensor.strides(), tensor.element_size());
}

c10::Storage AliasMap::storage_for(const c10::Storage& storage) {
    for (const auto& [original, alias] : storages_) {
        if (original == storage.unsafeGetStorageImpl()) return alias;
    }
    const size_t bytes = storage.nbytes();
    c10::Allocator* allocator = c10::GetCPUAllocator();
    at::DataPtr data;
    if (backing_ != Backing::zeros) {
        data = at::DataPtr(host_view(storage.data()), c10::Device(c10::kCPU));
    } else {
        data = allocator->allocate(bytes);
        if (bytes != 0) std::memset(data.get(), 0, bytes);
    }
    // Resizable with an allocator of its own: a result that outgrows its out= argument moves to host memory,
    // which is noticed when the call is over.
    c10::Storage alias(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(),
                                                             c10::SymInt(bytes), std::move(data), allocator,
                                                             /*resizable=*/true));
    storages_.emplace_back(storage.unsafeGetStorageImpl(), alias);
    return alias;
}

at::Tensor AliasMap::dense_counterpart(const at::Tensor& tensor) {
    if (tensor.is_quantized()) {
        return quantized(storage_for(tensor.storage()), c10::DispatchKey::QuantizedCPU, tensor.dtype(),
                         tensor.sizes(), tensor.strides(), tensor.storage_offset(),
                         at::get_qtensorimpl(tensor)->quantizer());
    }
    at::Tensor alias = strided(storage_for(tensor.storage()), c10::DispatchKey::CPU, tensor.dtype(),
                               tensor.sizes(), tensor.strides(), tensor.storage_offset());
    set_bits(alias, tensor.is_conj(), tensor.is_neg());
    if (tensor.unsafeGetTensorImpl()->is_wrapped_number())
        alias.unsafeGetTensorImpl()->set_wrapped_number(true);
    return alias;
}

at::Tensor AliasMap::to_cpu(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (tensor.is_cpu() && backing_ == Backing::device_now) return tensor;
    if (tensor.is_cpu() && backing_ == Backing::device_later) return copy_of(tensor);
    for (size_t i = 0; i < device_.size(); ++i) {
        if (device_[i].is_same(tensor)) return cpu_[i];
    }
    TORCH_CHECK_NOT_IMPLEMENTED(!tensor.is_nested(),
                                "softcuda: the software device has no nested tensors for this operation");
    at::Tensor alias = is_sparse(tensor) ? sparse_counterpart(*this, tensor) : dense_counterpart(tensor);
    device_.push_back(tensor);
    cpu_.push_back(alias);
    return alias;
}

c10::IValue AliasMap::to_cpu(const c10::IValue& value) {
    if (value.isTensor()) return to_cpu(value.toTensor());
    if (value.isDevice()) return value.toDevice().is_cuda() ? c10::Device(c10::kCPU) : value.toDevice();
    if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(to_cpu(tensor));
        return list;
    }
    if (value.isList() && !value.toListRef().empty() &&
        value.toList().elementType()->kind() == c10::TypeKind::OptionalType) {
        c10::List<std::optional<at::Tensor>> list;
        for (const c10::IValue& element : value.toListRef()) {
            list.push_back(element.isNone() ? std::nullopt
                                            : std::optional<at::Tensor>(to_cpu(element.toTensor())));
        }
        return list;
    }
    return value;
}

TensorMeta AliasMap::describe(const at::Tensor& result) const {
    TensorMeta meta;
    if (!result.defined()) return meta;
    if (is_sparse(result)) {
        meta.kind = TensorMeta::Kind::sparse;
        return meta;
    }
    meta.sizes = result.sizes().vec();
    meta.strides = result.strides().vec();
    meta.dtype = result.dtype();
    meta.conj = result.is_conj();
    meta.neg = result.is_neg();
    if (result.is_quantized()) meta.quantizer = at::get_qtensorimpl(result)->quantizer();
    meta.kind = TensorMeta::Kind::fresh;
    for (size_t i = 0; i < cpu_.size(); ++i) {
        if (cpu_[i].is_same(result)) {
            meta.kind = TensorMeta::Kind::argument;
            meta.argument = i;
            return meta;
        }
        if (result.has_storage() && meta.kind == TensorMeta::Kind::fresh && cpu_[i].has_storage() &&
            cpu_[i].storage().is_alias_of(result.storage())) {
            meta.kind = TensorMeta::Kind::view;
            meta.argument = i;
            const auto bytes = static_cast<const char*>(result.const_data_ptr()) -
                               (static_cast<const char*>(cpu_[i].storage().data()) +
                                cpu_[i].storage_offset() * static_cast<int64_t>(cpu_[i].element_size()));
            meta.offset = bytes / static_cast<int64_t>(result.element_size());
        }
    }
    return meta;
}

at::Tensor AliasMap::materialize(const TensorMeta& meta, c10::Device device) const {
    switch (meta.kind) {
        case TensorMeta::Kind::undefined:
        case TensorMeta::Kind::sparse:
            return {};  // the caller copies it, once it is there
        case TensorMeta::Kind::argument:
            return device_[meta.argument];
        case TensorMeta::Kind::view: {
            const at::Tensor& base = device_[meta.argument];
            const int64_t base_bytes = base.storage_offset() * static_cast<int64_t>(base.element_size());
            const int64_t offset = base_bytes / static_cast<int64_t>(meta.dtype.itemsize()) + meta.offset;
            if (meta.quantizer) {
                return quantized(base.storage(), c10::DispatchKey::QuantizedCUDA, meta.dtype, meta.sizes,
                                 meta.strides, offset, meta.quantizer);
            }
            at::Tensor view =
                strided(base.storage(), c10::DispatchKey::CUDA, meta.dtype, meta.sizes, meta.strides, offset);
            set_bits(view, meta.conj, meta.neg);
            return view;
        }
        case TensorMeta::Kind::fresh:
            break;
    }
    if (meta.quantizer) {
        const auto options = at::TensorOptions().device(device).dtype(c10::typeMetaToScalarType(meta.dtype));
        return at::new_qtensor(meta.sizes, options, meta.quantizer).as_strided_(meta.sizes, meta.strides);
    }
    at::Tensor fresh(at::detail::empty_strided_cuda(meta.sizes, meta.strides,
                                                    c10::typeMetaToScalarType(meta.dtype), device));
    set_bits(fresh, meta.conj, meta.neg);
    return fresh;
}

}  // namespace softcuda::torch_device
