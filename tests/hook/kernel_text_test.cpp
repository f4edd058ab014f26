// Kernel names as an H200 gave them.
#include "cupti_hook/kernel_text.h"

#include <gtest/gtest.h>

namespace fumi {
namespace {

TEST(KernelText, MangledNamesAreDemangledWithoutTheirParameters) {
    EXPECT_EQ(kernel_text("_ZN7cutlass7Kernel2I41cutlass_80_simt_sgemm_64x64_8x5_tn_align1EEvNT_6ParamsE"),
              "cutlass::Kernel2<cutlass_80_simt_sgemm_64x64_8x5_tn_align1>");
    EXPECT_EQ(
        kernel_text("_Z11scal_kernelIffLi1ELb1ELi6ELi5ELi5ELi3EEv21cublasTransposeParamsIT0_EPKT_PS3_PKS1_"),
        "scal_kernel<float, float, 1, true, 6, 5, 5, 3>");
}

TEST(KernelText, OtherNamesStay) {
    for (const char* name :
         {"nvjet_sm90_hsh_64x16_64x16_2x4_h_bz_TNT", "sm80_xmma_gemm_f32f32_f32f32_f32_nn_n__5x_cublas", ""})
        EXPECT_EQ(kernel_text(name), name);
}

}  // namespace
}  // namespace fumi
