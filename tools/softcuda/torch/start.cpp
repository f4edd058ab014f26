#include "tools/softcuda/torch/start.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <exception>
#include <vector>

#include "tools/softcuda/torch/op_rules.h"
#include "tools/softcuda/torch/redirect.h"

namespace softcuda::torch_device {
namespace {

// PyTorch warns of replaced kernels; replacing them is what this library is for.
class QuietHandler : public c10::WarningHandler {
  public:
    void process(const c10::Warning&) override {}
};

struct Backend {
    c10::DispatchKey cuda, cpu;
};

constexpr Backend backends[] = {{c10::DispatchKey::CUDA, c10::DispatchKey::CPU},
                                {c10::DispatchKey::QuantizedCUDA, c10::DispatchKey::QuantizedCPU},
                                {c10::DispatchKey::SparseCUDA, c10::DispatchKey::SparseCPU},
                                {c10::DispatchKey::SparseCsrCUDA, c10::DispatchKey::SparseCsrCPU}};

bool is_redirected(const c10::OperatorHandle& op, const Backend& backend) {
    if (!op.hasSchema() || stays_native(op) || !op.hasComputedKernelForDispatchKey(backend.cpu)) return false;
    const bool dense = backend.cuda == c10::DispatchKey::CUDA;
    if (dense && served_by_library(op)) return false;
    return op.hasKernelForDispatchKey(backend.cuda);
}

}  // namespace

void install_redirects() {
    static auto* const registrations =
        new std::vector<c10::RegistrationHandleRAII>;  // in force until the process ends
    c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
    for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
        if (name.name.rfind("aten::", 0) != 0) continue;
        const std::optional<c10::OperatorHandle> op = dispatcher.findOp(name);
        for (const Backend& backend : backends) {
            if (!op || !is_redirected(*op, backend)) continue;
            registrations->push_back(dispatcher.registerImpl(
                name, backend.cuda,
                c10::KernelFunction::makeFromBoxedFunctor(std::make_unique<RedirectedOp>(*op, backend.cpu)),
                std::nullopt, nullptr, "softcuda"));
        }
    }
}

}  // namespace softcuda::torch_device

extern "C" int softcuda_torch_start(void) {
    using namespace softcuda::torch_device;
    try {
        QuietHandler quiet;
        const c10::WarningUtils::WarningHandlerGuard guard(&quiet);
        install_redirects();
        install_copies();
        install_random_kernels();
        install_library_ops();
        return 0;
    } catch (const std::exception& error) {
        (void)std::fprintf(stderr, "softcuda: cannot take over PyTorch's CUDA operations: %s\n",
                           error.what());
        return -1;
    }
}
