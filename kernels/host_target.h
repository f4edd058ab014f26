// The host bodies of one instruction set. kernels/host_target.cpp is compiled once for each, with FUMI_TARGET
// naming it.
#pragma once
#include "kernels/error_stats.h"
#include "tools/softcuda/softcuda.h"

namespace fumi {

struct HostBodies {
    SoftcudaKernelBody check_real, check_double, check_complex, check_double_complex, merge_stats;
    void (*merge)(ErrorStats& into, const ErrorStats& from);
};

namespace baseline {
HostBodies host_bodies() noexcept;
}
namespace avx2 {
HostBodies host_bodies() noexcept;
}

}  // namespace fumi
