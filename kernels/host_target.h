// The host bodies of one instruction set. kernels/host_*.cpp are compiled once for each, with FUMI_TARGET
// naming it.
#pragma once
#include "kernels/dnn_params.h"
#include "kernels/mode_params.h"
#include "tools/softcuda/softcuda.h"

namespace fumi {

struct HostBodies {
    SoftcudaKernelBody check_real, check_double, check_complex, check_double_complex, merge_stats;
    void (*merge)(ErrorStats& into, const ErrorStats& from);
    SoftcudaKernelBody precision_entries, precision_merge;
};

#define FUMI_DECLARE_BODY(name, parameters, image) void name(const SoftcudaBlock* given);
namespace baseline {
HostBodies host_bodies() noexcept;
FUMI_DNN_KERNELS(FUMI_DECLARE_BODY)
void precision_entries(const SoftcudaBlock* given);
void precision_merge(const SoftcudaBlock* given);
FUMI_MODE_KERNELS(FUMI_DECLARE_BODY)
}  // namespace baseline
namespace avx2 {
HostBodies host_bodies() noexcept;
FUMI_DNN_KERNELS(FUMI_DECLARE_BODY)
void precision_entries(const SoftcudaBlock* given);
void precision_merge(const SoftcudaBlock* given);
FUMI_MODE_KERNELS(FUMI_DECLARE_BODY)
}  // namespace avx2
#undef FUMI_DECLARE_BODY

}  // namespace fumi
