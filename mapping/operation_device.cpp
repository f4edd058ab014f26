#include "mapping/operation_device.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace fumi::mapping {
namespace {

// beta_t of docs/numerics.md section 3 for the oldest tensor cores, 4 u_in of a conversion that truncates,
// and (2 S - 1) u_out of split-K with S = 4, all in u = 2^-24.
constexpr double truncated_sums = 0.45;
constexpr double tf32_inputs = 4 * 0x1p13;
constexpr double fp16_sums = 0x1p13;

double split_k(at::ScalarType type) {
    return 7 * (type == at::kHalf ? 0x1p13 : 0x1p16);
}

bool is_convolution(const c10::OperatorHandle& handle) {
    return handle.schema().name().find("conv") != std::string::npos;
}

bool is_tf32_allowed(const c10::OperatorHandle& handle) {
    const at::Float32Op op = is_convolution(handle) ? at::Float32Op::CONV : at::Float32Op::MATMUL;
    return at::globalContext().float32Precision(at::Float32Backend::CUDA, op) == at::Float32Precision::TF32;
}

bool is_split_k_narrow(const c10::OperatorHandle& handle, at::ScalarType type) {
    if (is_convolution(handle)) {
        return false;
    }
    const auto allowed = at::CuBLASReductionOption::AllowReducedPrecisionWithSplitK;
    const at::Context& context = at::globalContext();
    return (type == at::kHalf ? context.allowFP16ReductionCuBLAS() : context.allowBF16ReductionCuBLAS()) ==
           allowed;
}

}  // namespace

std::optional<c10::Device> cuda_device(std::span<const c10::IValue> arguments) {
    std::optional<c10::Device> device;
    for (const c10::IValue& value : arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            if (!device.has_value() && tensor.is_cuda()) {
                device = tensor.device();
            }
        });
    }
    return device;
}

void* current_stream(c10::Device device) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    return guard.getStreamNativeHandle(guard.getStream(device));
}

bool has_caught_up(c10::Device device) {
    using namespace std::chrono_literals;
    const c10::impl::VirtualGuardImpl guard(device.type());
    const c10::Stream stream = guard.getStream(device);
    const auto end = std::chrono::steady_clock::now() + 30s;
    for (auto pause = 10us; !guard.queryStream(stream); pause = std::min(2 * pause, 1000us)) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(pause);
    }
    return true;
}

Arguments on_cpu(const Arguments& arguments) {
    Arguments result;
    result.reserve(arguments.size());
    for (const c10::IValue& value : arguments) {
        result.push_back(value.isDevice() ? c10::IValue(c10::Device(at::kCPU))
                                          : with_tensors(value, [](const at::Tensor& t) { return t.cpu(); }));
    }
    return result;
}

bool lacks_kernel(const std::exception& error) {
    return dynamic_cast<const c10::NotImplementedError*>(&error) != nullptr ||
           std::strstr(error.what(), "not implemented for") != nullptr;
}

Latitude latitude_of_product(const RunningOperation& operation) {
    if (!cuda_device(operation.arguments).has_value()) {
        return {};
    }
    for (const c10::IValue& value : operation.arguments) {
        if (!is_floating(value) && !is_complex(value)) {
            continue;
        }
        const at::ScalarType type = c10::toRealValueType(value.toTensor().scalar_type());
        if (type == at::kHalf || type == at::kBFloat16) {
            Latitude latitude;
            latitude.each_term = truncated_sums;
            latitude.words = ", tensor cores' sums";
            latitude.partial_sums = is_split_k_narrow(operation.handle, type) ? split_k(type) : 0;
            if (type == at::kHalf && at::globalContext().allowFP16AccumulationCuBLAS()) {
                latitude.coarser = fp16_sums;
                latitude.each_term = truncated_sums * fp16_sums;
            }
            return latitude;
        }
        if (type == at::kFloat && is_tf32_allowed(operation.handle)) {
            Latitude latitude;
            latitude.inputs = tf32_inputs;
            latitude.each_term = truncated_sums;
            latitude.words = ", inputs as TF32 (allowed)";
            return latitude;
        }
    }
    return {};
}

}  // namespace fumi::mapping
