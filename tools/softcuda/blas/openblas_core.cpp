// OpenBLAS chooses its kernels by the processor's model number, and takes the slowest where it does not know
// the number (0.3.21 on a processor of 2023: a fifth of the speed). Here it is told by the instruction sets
// that are there.
#include <cblas.h>

#include <cstdlib>

extern "C" {
void gotoblas_dynamic_init();
void gotoblas_dynamic_quit();
}

namespace {

const char* core_by_instructions() noexcept {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
    return nullptr;
}

// While the library is loaded no other thread reads the environment, which is the only way to name a core.
[[gnu::constructor]] void choose_core() noexcept {
    constexpr const char* variable = "OPENBLAS_CORETYPE";
    __builtin_cpu_init();
    const char* core = core_by_instructions();
    if (core == nullptr || std::getenv(variable) != nullptr) return;
    if (setenv(variable, core, 1) != 0) return;
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(variable);
}

}  // namespace
