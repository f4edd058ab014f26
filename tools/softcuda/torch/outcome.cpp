#include "tools/softcuda/torch/outcome.h"

#include <c10/core/DefaultDtype.h>

#include <mutex>
#include <unordered_map>

#include "tools/softcuda/torch/sparse.h"

namespace softcuda::torch_device {
namespace {

constexpr size_t most_outcomes = 1 << 16;

struct OutcomeTable {
    std::mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<const Outcome>> entries;
};

OutcomeTable& table() {
    static auto* const leaked = new OutcomeTable;  // threads may outlive static destruction
    return *leaked;
}

class SignatureWriter {
  public:
    explicit SignatureWriter(std::string& out) : out_(out) {}

    template <class T>
    void put(const T& value) {
        out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }

    void put(at::IntArrayRef values) {
        put(values.size());
        out_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t));
    }

    void put(const at::Tensor& tensor) {
        if (!tensor.defined()) return put('u');
        put('t');
        put(tensor.device().type());
        put(tensor.dtype().id());
        put(tensor.sizes());
        put(tensor.strides());
        put(static_cast<char>(tensor.is_conj() + 2 * tensor.is_neg() +
                              4 * tensor.unsafeGetTensorImpl()->is_wrapped_number()));
        put_aliasing(tensor);
    }

    // False where the value cannot be told from others like it.
    bool put(const c10::IValue& value, bool with_doubles) {
        put(static_cast<char>(value.isTensor() ? 'T' : value.isInt() ? 'I' : value.isDouble() ? 'D' : 'O'));
        if (value.isTensor()) {
            put(value.toTensor());
        } else if (value.isNone() || value.isGenerator()) {
            put('n');
        } else if (value.isInt()) {
            put(value.toInt());
        } else if (value.isBool()) {
            put(value.toBool());
        } else if (value.isDouble()) {
            if (with_doubles) put(value.toDouble());
        } else if (value.isComplexDouble()) {
            if (with_doubles) put(value.toComplexDouble());
        } else if (value.isString()) {
            put(value.toStringRef().size());
            out_ += value.toStringRef();
        } else if (value.isDevice()) {
            put(value.toDevice().type());
        } else if (value.isIntList()) {
            put(at::IntArrayRef(value.toIntVector()));
        } else if (value.isList()) {
            put(value.toListRef().size());
            for (const c10::IValue& element : value.toListRef()) {
                if (!put(element, with_doubles)) return false;
            }
        } else {
            return false;
        }
        return true;
    }

  private:
    // Which earlier tensor shares this one's storage, and how far apart they begin: overlap decides between
    // success and error.
    void put_aliasing(const at::Tensor& tensor) {
        if (!tensor.has_storage()) return;
        const void* storage = tensor.storage().unsafeGetStorageImpl();
        for (size_t i = 0; i < seen_.size(); ++i) {
            if (seen_[i].first != storage) continue;
            put(i);
            put(tensor.storage_offset() - seen_[i].second);
            return;
        }
        seen_.emplace_back(storage, tensor.storage_offset());
    }

    std::string& out_;
    std::vector<std::pair<const void*, int64_t>> seen_;
};

}  // namespace

Outcome describe_outcome(const AliasMap& aliases, const std::vector<c10::IValue>& results) {
    Outcome outcome;
    for (const c10::IValue& result : results) {
        ReturnMeta meta;
        meta.is_list = !result.isTensor();
        if (!result.isTensor() && !result.isTensorList()) outcome.reusable = false;
        for_each_tensor(result, [&](const at::Tensor& tensor) {
            meta.tensors.push_back(aliases.describe(tensor));
            const TensorMeta& told = meta.tensors.back();
            // A quantizer is made of numbers that a signature does not have.
            if (told.kind == TensorMeta::Kind::sparse || told.quantizer) outcome.reusable = false;
        });
        outcome.returns.push_back(std::move(meta));
    }
    for (size_t i = 0; i < aliases.size(); ++i) {
        const at::Tensor& cpu = aliases.cpu(i);
        const at::Tensor& device = aliases.device(i);
        if (is_sparse(device)) continue;
        if (cpu.sizes() == device.sizes() && cpu.strides() == device.strides()) continue;
        TensorMeta meta;
        meta.sizes = cpu.sizes().vec();
        meta.strides = cpu.strides().vec();
        outcome.resized.emplace_back(i, std::move(meta));
    }
    return outcome;
}

std::string signature_of(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) {
    std::string signature;
    signature.reserve(256);
    SignatureWriter writer(signature);
    writer.put(static_cast<const void*>(&op.schema()));
    writer.put(c10::get_default_dtype().id());
    bool any_tensor = false, any_sparse = false;
    for (size_t i = 0; i < arguments.size(); ++i) {
        const c10::Argument& formal = op.schema().arguments()[i];
        const bool is_out = formal.kwarg_only() && formal.alias_info() != nullptr;
        for_each_tensor(arguments[i], [&](const at::Tensor& tensor) {
            any_sparse |= is_sparse(tensor);
            any_tensor |= tensor.defined() && !is_out;
        });
    }
    if (any_sparse) return {};
    for (const c10::IValue& argument : arguments) {
        if (!writer.put(argument, !any_tensor)) return {};
    }
    return signature;
}

std::shared_ptr<const Outcome> find_outcome(const std::string& signature) {
    OutcomeTable& outcomes = table();
    const std::lock_guard<std::mutex> lock(outcomes.mutex);
    const auto found = outcomes.entries.find(signature);
    return found == outcomes.entries.end() ? nullptr : found->second;
}

void remember_outcome(const std::string& signature, std::shared_ptr<const Outcome> outcome) {
    OutcomeTable& outcomes = table();
    const std::lock_guard<std::mutex> lock(outcomes.mutex);
    if (outcomes.entries.size() >= most_outcomes) outcomes.entries.clear();
    outcomes.entries.insert_or_assign(signature, std::move(outcome));
}

}  // namespace softcuda::torch_device
