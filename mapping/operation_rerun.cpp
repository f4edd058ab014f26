#include "mapping/operation_rerun.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>  // GRAIN_SIZE
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "mapping/operation_judge.h"
#include "mapping/operation_random.h"
#include "mapping/parallel.h"
#include "mapping/scratch_memory.h"

namespace fumi::mapping {
namespace {

class Silent final : public c10::WarningHandler {
  public:
    void process(const c10::Warning&) override {}
};

Silent& silent() {
    static auto* const handler = new Silent;
    return *handler;
}

double round_number(double value, at::ScalarType type) {
    switch (type) {
        case at::kHalf:
            return static_cast<double>(static_cast<float>(c10::Half(static_cast<float>(value))));
        case at::kBFloat16:
            return static_cast<double>(static_cast<float>(c10::BFloat16(static_cast<float>(value))));
        case at::kFloat:
            return static_cast<double>(static_cast<float>(value));
        default:
            return value;
    }
}

// As to(at::kDouble), whose own loop takes one number at a time.
at::Tensor widened(const at::Tensor& tensor) {
    const bool plain = tensor.is_cpu() && tensor.scalar_type() == at::kFloat &&
                       tensor.layout() == at::kStrided && tensor.is_non_overlapping_and_dense() &&
                       !tensor.is_neg();
    if (!plain) {
        // A copy also where it is fp64 already: what the operation writes unasked must not be the program's.
        return tensor.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
    }
    at::Tensor wide =
        at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().dtype(at::kDouble));
    const float* const from = tensor.const_data_ptr<float>();
    double* const to = wide.mutable_data_ptr<double>();
    constexpr std::int64_t size = at::internal::GRAIN_SIZE;
    const std::int64_t count = tensor.numel();
    in_parallel((count + size - 1) / size, [&](std::int64_t first, std::int64_t last) {
        const std::int64_t begin = first * size;
        widen(from + begin, to + begin, static_cast<std::size_t>(std::min(count, last * size) - begin));
    });
    return wide;
}

// fp64 or complex128; what is neither floating nor complex stays.
at::ScalarType wider(at::ScalarType type) {
    return at::isFloatingType(type) ? at::kDouble : at::isComplexType(type) ? at::kComplexDouble : type;
}

at::Tensor raise_tensor(const at::Tensor& tensor, bool integers) {
    if (at::isComplexType(tensor.scalar_type())) {
        return tensor.to(at::kComplexDouble, /*non_blocking=*/false, /*copy=*/true);
    }
    const bool raise = at::isFloatingType(tensor.scalar_type()) ||
                       (integers && at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false));
    return raise ? widened(tensor) : tensor;
}

bool same_memory(const at::Tensor& a, const at::Tensor& b) {
    return a.defined() && b.defined() && a.has_storage() && b.has_storage() &&
           a.storage().is_alias_of(b.storage());
}

c10::IValue raise_dtype(const c10::IValue& value) {
    return value.isInt()
               ? c10::IValue(static_cast<std::int64_t>(wider(static_cast<at::ScalarType>(value.toInt()))))
               : value;
}

}  // namespace

bool is_number(const c10::Argument& argument) {
    return argument.type()->kind() == c10::TypeKind::NumberType ||
           (argument.type()->kind() == c10::TypeKind::OptionalType &&
            argument.type()->castRaw<c10::OptionalType>()->getElementType()->kind() ==
                c10::TypeKind::NumberType);
}

struct Unseen::Guards {
    InScratch memory;
    at::DisableRecordFunctionGuard observers;
    at::AutoDispatchBelowADInplaceOrView autograd;
    c10::impl::ExcludeDispatchKeyGuard autocast{c10::autocast_dispatch_keyset};
    c10::WarningUtils::WarningHandlerGuard warnings{&silent()};
};

Unseen::Unseen() : guards_(new Guards) {}

Unseen::~Unseen() {
    delete guards_;
}

c10::IValue with_tensors(const c10::IValue& value,
                         const std::function<at::Tensor(const at::Tensor&)>& change) {
    if (value.isTensor()) {
        const at::Tensor& tensor = value.toTensor();
        return tensor.defined() ? c10::IValue(change(tensor)) : value;
    }
    if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor& tensor : value.toTensorVector()) {
            list.push_back(change(tensor));
        }
        return {list};
    }
    return value;
}

Arguments saved(const c10::FunctionSchema& schema, c10::ArrayRef<const c10::IValue> arguments) {
    std::vector<at::Tensor> written;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const c10::AliasInfo* const alias = schema.arguments()[i].alias_info();
        if (alias != nullptr && alias->isWrite()) {
            each_tensor(arguments[i], [&](const at::Tensor& tensor) { written.push_back(tensor); });
        }
    }
    Arguments result;
    result.reserve(arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (written.empty() || schema.arguments()[i].is_out()) {
            result.push_back(arguments[i]);
            continue;
        }
        result.push_back(with_tensors(arguments[i], [&](const at::Tensor& tensor) {
            for (const at::Tensor& target : written) {
                if (same_memory(tensor, target)) {
                    return tensor.clone();
                }
            }
            return tensor;
        }));
    }
    return result;
}

Arguments raised(const RunningOperation& operation, at::ScalarType number, bool integers) {
    const auto& formal = operation.handle.schema().arguments();
    Arguments result;
    result.reserve(operation.arguments.size());
    for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
        const c10::IValue& value = operation.arguments[i];
        if (formal[i].is_out()) {
            result.push_back(with_tensors(value, [](const at::Tensor& tensor) {
                return at::empty({0}, tensor.options().dtype(wider(tensor.scalar_type())));
            }));
        } else if (value.isDouble()) {
            result.emplace_back(is_number(formal[i]) ? round_number(value.toDouble(), number)
                                                     : value.toDouble());
        } else if (formal[i].name() == "dtype") {
            result.push_back(raise_dtype(value));
        } else {
            const bool counts = formal[i].name() == "fweights";
            result.push_back(with_tensors(
                value, [&](const at::Tensor& t) { return raise_tensor(t, integers && !counts); }));
        }
    }
    return result;
}

bool is_floating(const c10::IValue& value) {
    return value.isTensor() && value.toTensor().defined() &&
           at::isFloatingType(value.toTensor().scalar_type());
}

bool is_complex(const c10::IValue& value) {
    return value.isTensor() && value.toTensor().defined() && value.toTensor().is_complex();
}

namespace {

at::Tensor magnitude_of(const at::Tensor& tensor) {
    return is_floating(tensor) || is_complex(tensor) ? tensor.abs() : tensor;
}

at::Tensor ones_like(const at::Tensor& tensor) {
    if (!is_floating(tensor) && !is_complex(tensor)) {
        return tensor;
    }
    const at::TensorOptions real = tensor.options().dtype(at::kDouble);
    return tensor.is_sparse() ? at::ones_like(tensor.to_dense()).to_sparse() : at::ones_like(tensor, real);
}

Arguments changed(const c10::FunctionSchema& schema, const Arguments& arguments,
                  const std::function<at::Tensor(const at::Tensor&)>& tensor, double (*number)(double)) {
    Arguments result;
    result.reserve(arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (is_number(schema.arguments()[i]) && arguments[i].isDouble()) {
            result.emplace_back(number(arguments[i].toDouble()));
        } else if (is_number(schema.arguments()[i]) && arguments[i].isComplexDouble()) {
            result.emplace_back(number(std::abs(arguments[i].toComplexDouble())));
        } else if (is_number(schema.arguments()[i]) && arguments[i].isInt()) {
            result.emplace_back(static_cast<std::int64_t>(number(static_cast<double>(arguments[i].toInt()))));
        } else {
            result.push_back(with_tensors(arguments[i], tensor));
        }
    }
    return result;
}

}  // namespace

Arguments magnitudes(const c10::FunctionSchema& schema, const Arguments& arguments) {
    return changed(schema, arguments, magnitude_of, [](double x) { return x < 0 ? -x : x; });
}

Arguments ones(const c10::FunctionSchema& schema, const Arguments& arguments) {
    return changed(schema, arguments, ones_like, [](double) { return 1.0; });
}

Arguments moved(const Arguments& arguments, std::size_t which, double step) {
    Arguments result = arguments;
    const c10::IValue& value = arguments[which];
    result[which] = value.isDouble() || value.isInt()
                        ? c10::IValue(value.toScalar().toDouble() * (1 + step))
                        : with_tensors(value, [&](const at::Tensor& tensor) { return tensor * (1 + step); });
    return result;
}

std::vector<c10::IValue> run(const c10::OperatorHandle& operation, const Arguments& arguments) {
    SameDraws::begin_run();
    c10::Stack stack;
    stack.reserve(arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const c10::AliasInfo* const alias = operation.schema().arguments()[i].alias_info();
        const bool written = alias != nullptr && alias->isWrite();
        // The arguments serve several runs.
        stack.push_back(written ? with_tensors(arguments[i], [](const at::Tensor& t) { return t.clone(); })
                                : arguments[i]);
    }
    operation.callBoxed(&stack);
    return stack;
}

std::vector<c10::IValue> run_image_by_image(const c10::OperatorHandle& convolution,
                                            const Arguments& arguments) {
    const at::Tensor& x = arguments.at(0).toTensor();
    // Each of torch's threads takes images of its own.
    const std::int64_t at_once = at::get_num_threads();
    if (!x.is_cpu() || x.dim() != arguments.at(1).toTensor().dim() || x.size(0) <= at_once) {
        return run(convolution, arguments);
    }
    Arguments some = arguments;
    at::Tensor whole;
    for (std::int64_t first = 0; first < x.size(0); first += at_once) {
        const std::int64_t count = std::min(at_once, x.size(0) - first);
        some[0] = x.narrow(0, first, count);
        const at::Tensor part = run(convolution, some).at(0).toTensor();
        if (!whole.defined()) {
            std::vector<std::int64_t> sizes = part.sizes().vec();
            sizes[0] = x.size(0);
            whole = at::empty(sizes, part.options());
        }
        whole.narrow(0, first, count).copy_(part);
    }
    return {whole};
}

}  // namespace fumi::mapping
