// The rest of cuBLAS's arithmetic that torch (with the linear algebra it brings) calls: told, with the reason
// that FuMi has no reference for it. Copies and swaps compute nothing and are left alone.
#include <type_traits>

#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/cublas_decode.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/wrapper.h"

namespace fumi::libraries {

namespace {

template <class T>
constexpr DataType pointed_type() noexcept {
    using Pointee = std::remove_cv_t<std::remove_pointer_t<T>>;
    if constexpr (std::is_pointer_v<Pointee>)
        return pointed_type<Pointee>();
    else
        return data_type_of<Pointee>;
}

// The type of the matrices is that of the last typed pointer: scalars come first, and are real for
// cublasCsscal.
template <class... Args>
void traced(Call& call, cublasHandle_t handle, const Args&...) noexcept {
    ((call.problem.a.type =
          pointed_type<Args>() == DataType::none ? call.problem.a.type : pointed_type<Args>()),
     ...);
    if (decode_handle(call, handle)) call.not_checkable = no_reference;
}

#define FUMI_SDCZ(X, name) \
    X(cublasS##name, traced) X(cublasD##name, traced) X(cublasC##name, traced) X(cublasZ##name, traced)
#define FUMI_SD(X, name) X(cublasS##name, traced) X(cublasD##name, traced)
#define FUMI_CZ(X, name) X(cublasC##name, traced) X(cublasZ##name, traced)

// clang-format off
#define FUMI_TRACED_FUNCTIONS(X) \
    FUMI_SDCZ(X, getrfBatched) FUMI_SDCZ(X, getrsBatched) FUMI_SDCZ(X, geqrfBatched) \
    FUMI_SDCZ(X, gelsBatched) FUMI_SDCZ(X, getriBatched) FUMI_SDCZ(X, matinvBatched) \
    FUMI_SDCZ(X, trsm_v2) FUMI_SDCZ(X, trsm_v2_64) FUMI_SDCZ(X, trsmBatched) \
    FUMI_SDCZ(X, trsmBatched_64) FUMI_SDCZ(X, trmm_v2) FUMI_SDCZ(X, symm_v2) FUMI_SDCZ(X, syrk_v2) \
    FUMI_SDCZ(X, syr2k_v2) \
    FUMI_CZ(X, hemm_v2) FUMI_CZ(X, herk_v2) FUMI_CZ(X, her2k_v2) FUMI_CZ(X, gemm3m) \
    X(cublasCgemm3mEx, traced) X(cublasCgemm3mBatched, traced) \
    X(cublasCgemm3mStridedBatched, traced) \
    FUMI_SD(X, gemmGroupedBatched) FUMI_SD(X, gemmGroupedBatched_64) \
    X(cublasGemmGroupedBatchedEx, traced) X(cublasGemmGroupedBatchedEx_64, traced) \
    FUMI_SDCZ(X, symv_v2) \
    FUMI_CZ(X, hemv_v2) \
    FUMI_SDCZ(X, trmv_v2) FUMI_SDCZ(X, trsv_v2) \
    FUMI_SD(X, ger_v2) \
    FUMI_CZ(X, geru_v2) FUMI_CZ(X, gerc_v2) \
    FUMI_SDCZ(X, syr_v2) FUMI_SDCZ(X, syr2_v2) \
    FUMI_CZ(X, her_v2) FUMI_CZ(X, her2_v2) \
    FUMI_SDCZ(X, axpy_v2) FUMI_SDCZ(X, scal_v2) \
    X(cublasCsscal_v2, traced) X(cublasZdscal_v2, traced) \
    FUMI_SDCZ(X, rot_v2) \
    X(cublasCsrot_v2, traced) X(cublasZdrot_v2, traced) \
    FUMI_SD(X, rotm_v2) \
    FUMI_SDCZ(X, rotg_v2) \
    FUMI_SD(X, rotmg_v2) FUMI_SD(X, nrm2_v2) \
    X(cublasScnrm2_v2, traced) X(cublasDznrm2_v2, traced) \
    FUMI_SD(X, asum_v2) \
    X(cublasScasum_v2, traced) X(cublasDzasum_v2, traced)
// clang-format on

FUMI_TRACED_FUNCTIONS(FUMI_TAG)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cublas_soname)
const interpose::Hook hooks[] = {FUMI_TRACED_FUNCTIONS(FUMI_LINE)};

}  // namespace

std::span<const interpose::Hook> cublas_traced_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
