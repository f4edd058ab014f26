#include "mapping/operation_random.h"

#include <ATen/ATen.h>

#include <cmath>
#include <mutex>
#include <optional>

#include "mapping/operation_device.h"

namespace fumi::mapping {
namespace {

thread_local const Generators* draws_of_each_run = nullptr;

// P(|zeros - n p| > t) <= 2 exp(-2 t^2 / n) (Hoeffding 1963), 1e-10 at t = 3.45 sqrt(n).
constexpr double deviation = 3.45;

std::optional<c10::IValue> argument(const c10::OperatorHandle& handle, std::span<const c10::IValue> arguments,
                                    const char* name) {
    const auto& formal = handle.schema().arguments();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (formal[i].name() == name) {
            return arguments[i];
        }
    }
    return std::nullopt;
}

at::Tensor dropped_out(const at::Tensor& result, const at::Tensor& x, double p) {
    const at::Tensor kept = (result != 0).logical_or(x == 0);
    const auto count = static_cast<double>(x.numel());
    const double zeros = count - kept.sum().item<double>();
    const double passed_over = (x == 0).sum().item<double>();
    if (zeros > count * p + deviation * std::sqrt(count) ||
        zeros < (count - passed_over) * p - deviation * std::sqrt(count)) {
        return {};
    }
    return at::where(kept, x / (1 - p), at::zeros_like(x));
}

}  // namespace

bool draws_random_numbers(const c10::OperatorHandle& handle, std::span<const c10::IValue> arguments) {
    for (const char* const name : {"training", "train"}) {
        const auto training = argument(handle, arguments, name);
        if (training.has_value() && training->isBool() && !training->toBool()) {
            return false;
        }
    }
    const auto dropout = argument(handle, arguments, "dropout_p");
    if (dropout.has_value() && dropout->isDouble()) {
        return dropout->toDouble() != 0;
    }
    const auto generator = argument(handle, arguments, "generator");
    return handle.hasTag(at::Tag::nondeterministic_seeded) ||
           (generator.has_value() && generator->isGenerator());
}

Generators::Generators(std::span<const c10::IValue> arguments) {
    for (const c10::IValue& value : arguments) {
        if (value.isGenerator()) {
            add(value.toGenerator());
            return;
        }
    }
    add(at::globalContext().defaultGenerator(at::kCPU));
    if (const auto device = cuda_device(arguments)) {
        add(at::globalContext().defaultGenerator(*device));
    }
}

void Generators::add(at::Generator generator) {
    const std::lock_guard lock(generator.mutex());
    states_.emplace_back(generator, generator.get_state());
}

void Generators::restore() const {
    for (const auto& [kept, state] : states_) {
        at::Generator generator = kept;
        const std::lock_guard lock(generator.mutex());
        generator.set_state(state);
    }
}

SameDraws::SameDraws(const Generators* first, std::span<const c10::IValue> arguments)
    : after_(first != nullptr ? std::make_unique<const Generators>(arguments) : nullptr) {
    draws_of_each_run = first;
}

SameDraws::~SameDraws() {
    draws_of_each_run = nullptr;
    if (after_ != nullptr) {
        try {
            after_->restore();
        } catch (const std::exception&) {  // the generator's owner has begun a capture: it has drawn nothing
            return;
        }
    }
}

void SameDraws::begin_run() {
    if (draws_of_each_run != nullptr) {
        draws_of_each_run->restore();
    }
}

at::Tensor with_draws_of(const at::Tensor& result, const c10::OperatorHandle& handle,
                         const std::vector<c10::IValue>& arguments) {
    const std::string& name = handle.schema().name();
    if (!arguments.at(0).isTensor() || !arguments[0].toTensor().defined()) {
        return {};
    }
    const at::Tensor& x = arguments[0].toTensor();
    const at::Tensor own = result.to(x.device());
    if (name == "aten::dropout" || name == "aten::dropout_" || name == "aten::native_dropout") {
        return dropped_out(own, x, arguments.at(1).toDouble());
    }
    if (name == "aten::rrelu" || name == "aten::rrelu_") {
        const double lower = argument(handle, arguments, "lower").value_or(c10::IValue(0.0)).toDouble();
        const double upper = argument(handle, arguments, "upper").value_or(c10::IValue(1.0)).toDouble();
        const at::Tensor slope = own.to(at::kDouble).clamp(x * upper, x * lower);
        return at::where(x < 0, slope, x);
    }
    return {};
}

}  // namespace fumi::mapping
