// The ways in: CUDA calls InitializeInjection of the library that CUDA_INJECTION64_PATH names while it
// initialises; LD_PRELOAD brings the library in before main(); torch, through the Python package's entry
// point, calls fumi_start_with_torch when it has been imported; a comparison of two functions calls
// fumi_start_for_comparisons.
#include <cstdlib>

#include <string_view>

#include "cupti_hook/hook.h"
#include "cupti_hook/interpose/guard.h"

#define FUMI_EXPORT extern "C" __attribute__((visibility("default")))

FUMI_EXPORT int InitializeInjection(void) noexcept;

// Returns 1 in every case: a program must not fail to start for FuMi's sake.
FUMI_EXPORT int InitializeInjection(void) noexcept {
    if (fumi::switched_off()) return 1;
    const fumi::interpose::Guard guard;
    fumi::install_hooks();
    fumi::start();
    return 1;
}

FUMI_EXPORT void fumi_start_with_torch(void) noexcept;

FUMI_EXPORT void fumi_start_with_torch(void) noexcept {
    if (fumi::switched_off()) return;
    const fumi::interpose::Guard guard;
    fumi::start_with_torch();
}

FUMI_EXPORT int fumi_start_for_comparisons(void) noexcept;

// 1 where comparisons of functions are made, 0 where the configuration leaves them out.
FUMI_EXPORT int fumi_start_for_comparisons(void) noexcept {
    if (fumi::switched_off()) return 0;
    const fumi::interpose::Guard guard;
    return fumi::start_for_comparisons() ? 1 : 0;
}

namespace {

// Under LD_PRELOAD this library is in every process that the program starts, most of which know nothing of
// CUDA. The hooks wait there: the loader's counters tell when CUDA's libraries appear, and nothing starts
// before the first call, or main() of a program that links torch. Loaded by CUDA itself, InitializeInjection
// follows at once, and this is left to it.
bool preloaded() noexcept {
    const char* preload = std::getenv("LD_PRELOAD");
    return preload != nullptr && std::string_view(preload).find("libfumi_cupti") != std::string_view::npos;
}

__attribute__((constructor)) void on_load() noexcept {
    if (fumi::switched_off() || !preloaded()) return;
    const fumi::interpose::Guard guard;
    fumi::install_hooks(true);
}

}  // namespace

#ifdef FUMI_STATIC_YAML
// libyaml-cpp.a is not position-independent code: it reads this glibc variable without the GOT, which a
// shared library may not do unless the variable is its own. 0 says that there may be several threads, which
// is true of any process here.
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
#endif
