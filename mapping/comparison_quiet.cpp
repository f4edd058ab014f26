#include "mapping/comparison_quiet.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/record_function.h>

#include <exception>
#include <mutex>

namespace fumi::mapping {

RandomState::RandomState(bool cuda) {
    const auto save = [this](at::Generator generator) {
        const std::lock_guard lock(generator.mutex());
        all_.push_back({generator, generator.get_state()});
    };
    save(at::globalContext().defaultGenerator(at::kCPU));
    const int devices = cuda ? at::detail::getCUDAHooks().getNumGPUs() : 0;
    for (int device = 0; device < devices; ++device) {
        save(at::globalContext().defaultGenerator(
            at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device))));
    }
}

void RandomState::restore() const {
    for (const Saved& saved : all_) {
        at::Generator generator = saved.generator;
        const std::lock_guard lock(generator.mutex());
        generator.set_state(saved.state);
    }
}

struct Quiet::Guards {
    at::DisableRecordFunctionGuard observers;
    at::NoGradGuard autograd;
};

Quiet::Quiet(const RandomState& begin, bool cuda) : after_(cuda), guards_(new Guards) {
    begin.restore();
}

Quiet::~Quiet() {
    try {
        after_.restore();
    } catch (const std::exception&) {  // a capture has begun on its device: it has drawn nothing since
        return;
    }
}

}  // namespace fumi::mapping
