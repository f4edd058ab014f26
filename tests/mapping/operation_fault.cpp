// A wrong kernel for fp32: between fault_plant and fault_clear the named operation's first result has one
// number moved, unless it is fp64. Stands above autograd (torch's own key for tests), so composite operations
// are reached too.
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <cstdint>
#include <string>

namespace {

using c10::DispatchKey;

std::string target;
double factor = 1;
bool everywhere = false;
bool doubles = false;  // of fp64 the first result is spoilt
bool spent = false;    // integers and booleans are spoilt once: their rerun looks like the run

// The value's one number that is moved: the largest, so that it counts against any bound.
void spoil(const at::Tensor& whole) {
    const at::Tensor values = whole.is_sparse() ? whole._values() : whole;
    const bool fp64 = c10::toRealValueType(values.scalar_type()) == at::kDouble;
    if (values.numel() == 0 || (fp64 && (!doubles || spent))) {
        return;
    }
    spent = spent || fp64;
    const at::NoGradGuard no_grad;
    at::Tensor detached = values.detach();
    if (values.is_complex() || (everywhere && at::isFloatingType(values.scalar_type()))) {
        detached.mul_(factor);
        return;
    }
    if (!at::isFloatingType(values.scalar_type())) {
        detached.copy_(values + (spent ? 0 : 1));
        spent = true;
        return;
    }
    const at::Tensor flat = detached.reshape({-1}).clone();
    const auto place = flat.abs().nan_to_num(0.0, 0.0, 0.0).argmax().item<int64_t>();
    const double old = flat[place].item<double>();
    flat[place] = old == 0 ? 1e-3 : old * factor;
    detached.copy_(flat.reshape(values.sizes()));
}

void fault(const c10::OperatorHandle& operation, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
    const c10::impl::ExcludeDispatchKeyGuard once(DispatchKey::TESTING_ONLY_GenericMode);
    operation.redispatchBoxed(
        keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, DispatchKey::TESTING_ONLY_GenericMode),
        stack);
    if (operation.schema().name() != target || stack->empty()) {
        return;
    }
    c10::IValue& first = (*stack)[stack->size() - operation.schema().returns().size()];
    if (first.isTensor()) {
        // A view (adjoint, a copy-free max_pool) must not spoil what it looks at.
        const at::Tensor& result = first.toTensor();
        if (result.is_quantized()) {
            first = at::_make_per_tensor_quantized_tensor(at::bitwise_xor(result.int_repr(), 2),
                                                          result.q_scale(), result.q_zero_point());
            return;
        }
        const bool writes = operation.schema().is_mutable();
        at::Tensor own = writes || result.is_sparse() ? result : result.clone();
        spoil(own);
        first = own;
    } else if (first.isBool()) {
        first = first.toBool() == spent;
        spent = true;
    }
}

}  // namespace

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) {
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&fault>());
}

#define FAULT_EXPORT extern "C" __attribute__((visibility("default")))

// On the calling thread. operation: aten::softmax. moved_by: what the number is multiplied with.
FAULT_EXPORT void fault_plant(const char* operation, double moved_by) {
    target = operation;
    factor = moved_by;
    spent = everywhere = doubles = false;
    c10::impl::tls_set_dispatch_key_included(DispatchKey::TESTING_ONLY_GenericMode, true);
}

// After fault_plant: all numbers of the result are multiplied.
FAULT_EXPORT void fault_everywhere() {
    everywhere = true;
}

// After fault_plant: fp64 too, which reruns have; the first of them is the program's.
FAULT_EXPORT void fault_doubles() {
    doubles = true;
}

FAULT_EXPORT void fault_clear() {
    c10::impl::tls_set_dispatch_key_included(DispatchKey::TESTING_ONLY_GenericMode, false);
    target.clear();
}
