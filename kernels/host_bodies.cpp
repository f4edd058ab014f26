#include "kernels/host_bodies.h"

#include "kernels/host_target.h"
#include "kernels/precision.h"

namespace fumi {
namespace {

bool use_avx2() noexcept {
#ifdef FUMI_HAVE_AVX2
    // __builtin_cpu_supports checks the operating system's support for the wider registers too.
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

HostBodies best_bodies() noexcept {
#ifdef FUMI_HAVE_AVX2
    if (use_avx2()) return avx2::host_bodies();
#endif
    return baseline::host_bodies();
}

bool register_bodies(softcudaRegisterKernel_t registrar) noexcept {
    struct Body {
        const char* name;
        std::uint32_t param_bytes;
        SoftcudaKernelBody body, fast;
    };
#ifdef FUMI_HAVE_AVX2
#define FUMI_BODY(name, parameters, image) \
    {kernel_name::name, sizeof(parameters), baseline::name, avx2::name},
#else
#define FUMI_BODY(name, parameters, image) \
    {kernel_name::name, sizeof(parameters), baseline::name, baseline::name},
#endif
    static constexpr Body bodies[] = {FUMI_DNN_KERNELS(FUMI_BODY) FUMI_MODE_KERNELS(FUMI_BODY)};
#undef FUMI_BODY
    bool registered = true;
    for (const Body& b : bodies)
        registered &= registrar(b.name, use_avx2() ? b.fast : b.body, &b.param_bytes, 1) == 0;
    return registered;
}

}  // namespace

bool register_host_bodies(softcudaRegisterKernel_t registrar) noexcept {
    const HostBodies bodies = best_bodies();
    constexpr std::uint32_t check_size = sizeof(GemmCheckParams), merge_size = sizeof(MergeParams);
    static_assert(check_size < 4096, "kernel parameters end at 4 KiB");
    bool registered = true;
    registered &= registrar(kCheckReal, bodies.check_real, &check_size, 1) == 0;
    registered &= registrar(kCheckDouble, bodies.check_double, &check_size, 1) == 0;
    registered &= registrar(kCheckComplex, bodies.check_complex, &check_size, 1) == 0;
    registered &= registrar(kCheckDoubleComplex, bodies.check_double_complex, &check_size, 1) == 0;
    registered &= registrar(kMergeKernel, bodies.merge_stats, &merge_size, 1) == 0;
    constexpr std::uint32_t precision_size = sizeof(PrecisionParams);
    registered &= registrar(kPrecisionKernel, bodies.precision_entries, &precision_size, 1) == 0;
    registered &= registrar(kPrecisionMergeKernel, bodies.precision_merge, &precision_size, 1) == 0;
    return register_bodies(registrar) && registered;
}

}  // namespace fumi
