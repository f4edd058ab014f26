#include "cupti_hook/libraries/cublaslt_again.h"

#include <cstring>

#include "cupti_hook/libraries/cublaslt_api.h"
#include "kernels/contract.h"

namespace fumi::libraries {

namespace {

using Attribute = cublasLtMatmulDescAttributes_t;
constexpr std::size_t amax_bytes = 256;
constexpr Attribute amax_pointers[] = {CUBLASLT_MATMUL_DESC_AMAX_D_POINTER,
                                       CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER};

template <class T>
T attribute(cublasLtMatmulDesc_t descriptor, Attribute which, T value) noexcept {
    T read = value;
    std::size_t written = 0;
    const auto status = cublaslt_api()->matmul_desc_get(descriptor, which, &read, sizeof read, &written);
    return status == CUBLAS_STATUS_SUCCESS && written == sizeof read ? read : value;
}

cublasLtMatmulDesc_t descriptor_of(const Call& call) noexcept {
    return static_cast<cublasLtMatmulDesc_t>(const_cast<void*>(call.descriptor));
}

// ReLU's auxiliary output is a bit mask, whose leading dimension and batch stride count bits.
std::size_t aux_bytes(const Call& call, cublasLtMatmulDesc_t descriptor) noexcept {
    if (attribute<void*>(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nullptr) == nullptr) return 0;
    const GemmProblem& p = call.problem;
    const bool mask = (call.epilogue & CUBLASLT_EPILOGUE_RELU) != 0;
    const auto ld = attribute<std::int64_t>(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 0);
    const auto stride =
        attribute<std::int64_t>(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, 0);
    auto type = static_cast<DataType>(
        attribute<std::int32_t>(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, -1));
    if (type == DataType::none) type = p.d.type;
    const std::int64_t units = ld * p.n + stride * (p.batch - 1);
    const std::int64_t bytes = mask ? (units + 7) / 8 : units * element_bytes(type);
    return (static_cast<std::size_t>(bytes) + 511) / 256 * 256;
}

bool set_pointer(cublasLtMatmulDesc_t descriptor, Attribute which, void* to) noexcept {
    return cublaslt_api()->matmul_desc_set(descriptor, which, &to, sizeof to) == CUBLAS_STATUS_SUCCESS;
}

}  // namespace

std::size_t descriptor_output_bytes(const Call& call) noexcept {
    const cublasLtMatmulDesc_t descriptor = descriptor_of(call);
    if (descriptor == nullptr) return 0;
    std::size_t bytes = aux_bytes(call, descriptor);
    for (const Attribute amax : amax_pointers)
        if (attribute<void*>(descriptor, amax, nullptr) != nullptr) bytes += amax_bytes;
    return bytes;
}

bool redirect_descriptor(const Call& call, void* memory, cublasLtMatmulDescOpaque_t& copy) noexcept {
    const cublasLtMatmulDesc_t descriptor = descriptor_of(call);
    if (descriptor == nullptr || cublaslt_api()->matmul_desc_set == nullptr) return false;
    std::memcpy(&copy, descriptor, sizeof copy);
    auto* to = static_cast<char*>(memory);
    for (const Attribute amax : amax_pointers) {
        if (attribute<void*>(descriptor, amax, nullptr) == nullptr) continue;
        if (!set_pointer(&copy, amax, to)) return false;
        to += amax_bytes;
    }
    return aux_bytes(call, descriptor) == 0 ||
           set_pointer(&copy, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, to);
}

}  // namespace fumi::libraries
