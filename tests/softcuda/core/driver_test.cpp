#include <cuda.h>
#include <dlfcn.h>

#include <cstring>
#include <string>

#include "tests/softcuda/core/support.h"

namespace {

TEST(Driver, NamesTheDevice) {
    EXPECT_EQ(cuInit(0), CUDA_SUCCESS);
    int count = 0;
    EXPECT_CUDA(cudaGetDeviceCount(&count));
    EXPECT_EQ(count, 1);
    cudaDeviceProp properties{};
    EXPECT_CUDA(cudaGetDeviceProperties(&properties, 0));
    EXPECT_STREQ(properties.name, "Software CUDA device");
    EXPECT_EQ(properties.major * 10 + properties.minor, 90);
    EXPECT_EQ(properties.multiProcessorCount, 132);
    int major = 0;
    EXPECT_EQ(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0), CUDA_SUCCESS);
    EXPECT_EQ(major, 9);
    EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
    cudaGetLastError();
}

TEST(Driver, GivesItsOwnEntryPoints) {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    EXPECT_CUDA(cudaGetDriverEntryPointByVersion("cuMemAlloc", &function, 12000, 0, &found));
    EXPECT_EQ(found, cudaDriverEntryPointSuccess);
    EXPECT_EQ(function, reinterpret_cast<void*>(&cuMemAlloc_v2));
    EXPECT_CUDA(cudaGetDriverEntryPointByVersion("cuNoSuchThing", &function, 12000, 0, &found));
    EXPECT_EQ(found, cudaDriverEntryPointSymbolNotFound);
    CUdriverProcAddressQueryResult result{};
    EXPECT_EQ(cuGetProcAddress_v2("cuInit", &function, 12000, 0, &result), CUDA_SUCCESS);
    EXPECT_EQ(function, reinterpret_cast<void*>(&cuInit));
}

TEST(Driver, IsWhatALaterLoadOfTheDriverFinds) {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW);
    ASSERT_NE(driver, nullptr) << dlerror();
    EXPECT_EQ(dlsym(driver, "cuInit"), reinterpret_cast<void*>(&cuInit));
}

TEST(Driver, LookupsInNvidiasLibrariesGiveTheDevicesFunctions) {
    void* library = dlopen(SOFTCUDA_TEST_CUBLAS, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    void* ours = dlsym(RTLD_DEFAULT, "cublasLtMatmul");
    ASSERT_NE(ours, nullptr);
    EXPECT_EQ(dlsym(library, "cublasLtMatmul"), ours);
    // What works without a GPU stays the real library's.
    void* real = dlsym(library, "cublasLtMatmulDescCreate");
    Dl_info where{};
    ASSERT_NE(dladdr(real, &where), 0);
    EXPECT_NE(std::string(where.dli_fname).find("libcublasLt.so"), std::string::npos);
    // Lookups that depend on the caller, and other people's, are as ever.
    EXPECT_EQ(dlsym(RTLD_DEFAULT, "no_such_function"), nullptr);
    EXPECT_NE(dlsym(RTLD_NEXT, "strlen"), nullptr);
}

TEST(Driver, MissingEntryPointsNameThemselvesOnce) {
    using Missing = cudaError_t (*)(void*);
    const auto missing = reinterpret_cast<Missing>(dlsym(RTLD_DEFAULT, "cudaGraphExecGetFlags"));
    ASSERT_NE(missing, nullptr);
    testing::internal::CaptureStderr();
    EXPECT_EQ(missing(nullptr), cudaErrorNotSupported);
    EXPECT_EQ(missing(nullptr), cudaErrorNotSupported);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "softcuda: cudaGraphExecGetFlags (cudart) is not there; returning cudaErrorNotSupported\n");
}

TEST(Driver, PointerAttributes) {
    const Device<char> device(100);
    const auto address = reinterpret_cast<CUdeviceptr>(device.data());
    unsigned type = 0;
    CUdeviceptr begin = 0;
    size_t size = 0;
    CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                                   CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void* values[] = {&type, &begin, &size};
    EXPECT_EQ(cuPointerGetAttributes(3, which, values, address + 50), CUDA_SUCCESS);
    EXPECT_EQ(type, CU_MEMORYTYPE_DEVICE);
    EXPECT_EQ(begin, address);
    EXPECT_EQ(size, 100U);
    int local = 0;
    EXPECT_EQ(cuPointerGetAttribute(&type, which[0], reinterpret_cast<CUdeviceptr>(&local)),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuPointerGetAttributes(1, which, values, reinterpret_cast<CUdeviceptr>(&local)), CUDA_SUCCESS);
    EXPECT_EQ(type, 0U);
}

TEST(Driver, ErrorsHaveNamesAndTexts) {
    EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
    EXPECT_STREQ(cudaGetErrorName(cudaSuccess), "cudaSuccess");
    EXPECT_NE(std::strlen(cudaGetErrorString(cudaErrorStreamCaptureUnsupported)), 0U);
    const char* name = nullptr;
    EXPECT_EQ(cuGetErrorName(CUDA_ERROR_NOT_FOUND, &name), CUDA_SUCCESS);
    EXPECT_STREQ(name, "CUDA_ERROR_NOT_FOUND");
    EXPECT_EQ(cuGetErrorName(static_cast<CUresult>(998), &name), CUDA_ERROR_INVALID_VALUE);
}

TEST(Driver, FillsByWords) {
    const Device<unsigned> device(4);
    EXPECT_EQ(cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(device.data()), 0x01020304, 4, nullptr),
              CUDA_SUCCESS);
    EXPECT_EQ(device.read(), std::vector<unsigned>(4, 0x01020304));
    EXPECT_EQ(cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(device.data()), 0, 5, nullptr),
              CUDA_ERROR_INVALID_VALUE);
    cudaGetLastError();
}

}  // namespace
