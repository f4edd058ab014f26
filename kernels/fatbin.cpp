#include "kernels/gemm_check.h"

extern "C" const unsigned char fumi_fatbin_begin[];
extern "C" const unsigned char fumi_fatbin_end[];

namespace fumi {

const void* fatbin() noexcept {
    return fumi_fatbin_begin;
}
std::size_t fatbin_bytes() noexcept {
    return static_cast<std::size_t>(fumi_fatbin_end - fumi_fatbin_begin);
}

}  // namespace fumi
