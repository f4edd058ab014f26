// CPU tensors over the memory of CUDA tensors, and the way back.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/quantized/Quantizer.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace softcuda::torch_device {

// What a CPU tensor made by AliasMap lies over.
enum class Backing {
    device_now,  // the device's own view of the CUDA tensor's memory; CPU tensors stay themselves: the caller
                 // waits
    device_later,  // the same with copies of CPU tensors: numbers are read when the call is made, as a
                   // kernel's parameters
    zeros,  // fresh memory of the same size: to learn what an op would return, without touching anything
};

// A result of an op in terms of its arguments.
struct TensorMeta {
    enum class Kind { undefined, fresh, argument, view, sparse };
    Kind kind = Kind::undefined;
    size_t argument = 0;  // argument, view: its place in AliasMap's order
    std::vector<int64_t> sizes, strides;
    int64_t offset = 0;  // view: elements from the argument's own offset
    caffe2::TypeMeta dtype;
    bool conj = false, neg = false;
    at::QuantizerPtr quantizer;  // of quantized tensors
};

// The CPU counterparts of one call's tensors. The same tensor gives the same counterpart and shared storage
// stays shared, so that an op's own checks for identity and overlap answer as they would on the device.
class AliasMap {
  public:
    explicit AliasMap(Backing backing) : backing_(backing) {}

    // Counterparts do not own device memory: like a kernel, work relies on the stream order of the caching
    // allocator.
    at::Tensor to_cpu(const at::Tensor& tensor);
    c10::IValue to_cpu(const c10::IValue& value);

    size_t size() const { return device_.size(); }
    const at::Tensor& device(size_t index) const { return device_[index]; }
    const at::Tensor& cpu(size_t index) const { return cpu_[index]; }

    // How `result`, returned by the CPU kernel, relates to the arguments.
    TensorMeta describe(const at::Tensor& result) const;

    // The device tensor that `meta` stands for; a fresh one is allocated and left unwritten.
    at::Tensor materialize(const TensorMeta& meta, c10::Device device) const;

  private:
    at::Tensor dense_counterpart(const at::Tensor& tensor);
    c10::Storage storage_for(const c10::Storage& storage);

    Backing backing_;
    std::vector<at::Tensor> device_, cpu_;
    std::vector<std::pair<const c10::StorageImpl*, c10::Storage>> storages_;
};

// Applies `use` to every tensor in `value`: a tensor, a list of (optional) tensors; others are passed over.
template <class Use>
void for_each_tensor(const c10::IValue& value, Use&& use) {
    if (value.isTensor()) {
        use(value.toTensor());
    } else if (value.isTensorList()) {
        for (const at::Tensor& tensor : value.toTensorVector()) use(tensor);
    } else if (value.isList()) {
        for (const c10::IValue& element : value.toListRef()) for_each_tensor(element, use);
    }
}

// Bytes that a tensor of this layout spans from its first element.
size_t span_bytes(const at::Tensor& tensor);

}  // namespace softcuda::torch_device
