// fumi_calibrate [-o FILE] [--cublas LIBRARY]: measures how the first device adds up products, by small GEMMs
// through cublasGemmEx whose every output is the same designed dot product. `fumi calibrate` starts it.
#include <cublas_api.h>
#include <cuda.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "kernels/calibration.h"

namespace fumi {
namespace {

// Large enough that a library takes its tensor cores, small enough to be quick.
constexpr int kSize = 64;

// cuda.h and cublas_api.h map some names to versioned ones, by a macro that the name must pass through.
#define FUMI_TEXT(name) #name
#define FUMI_NAME(name) FUMI_TEXT(name)
#define CALL(library, function, ...) \
    check(entry<decltype(&(function))>(library, FUMI_NAME(function))(__VA_ARGS__), FUMI_NAME(function))

template <class Status>
void check(Status status, const char* call) {
    if (static_cast<int>(status) != 0)
        throw std::runtime_error(fmt::format("{} failed with error {}", call, static_cast<int>(status)));
}

template <class F>
F entry(void* library, const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) throw std::runtime_error(fmt::format("there is no {}", name));
    return reinterpret_cast<F>(symbol);
}

// A preloaded one, the path given, the loader's own, then that of a virtual environment's nvidia packages.
void* open_cublas(const std::string& given) {
    if (given.empty() && dlsym(RTLD_DEFAULT, "cublasGemmEx") != nullptr) return RTLD_DEFAULT;
    std::vector<std::string> names = {given};
    if (given.empty()) names = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    const char* environment = std::getenv("VIRTUAL_ENV");
    std::error_code code;
    if (given.empty() && environment != nullptr) {
        const std::filesystem::path root = std::filesystem::path(environment) / "lib";
        for (const auto& python : std::filesystem::directory_iterator(root, code)) {
            for (const char* part : {"cu13/lib/libcublas.so.13", "cublas/lib/libcublas.so.12"})
                names.push_back((python.path() / "site-packages/nvidia" / part).string());
        }
    }
    for (const std::string& name : names) {
        if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    }
    throw std::runtime_error("libcublas is not found; give its path with --cublas");
}

// The bits of a power of two (or 0) in the type; every format here holds it exactly where its exponent fits.
struct Format {
    cudaDataType_t type;
    int bytes, exponent_bits, mantissa_bits;
};
constexpr Format kSingle{CUDA_R_32F, 4, 8, 23}, kHalf{CUDA_R_16F, 2, 5, 10}, kBfloat{CUDA_R_16BF, 2, 8, 7},
    kDouble{CUDA_R_64F, 8, 11, 52};

std::uint64_t encode(const Format& format, double x) {
    if (x == 0) return 0;
    const int bias = (1 << (format.exponent_bits - 1)) - 1;
    const std::uint64_t sign = std::uint64_t{x < 0} << (format.exponent_bits + format.mantissa_bits);
    const int exponent = std::ilogb(x) + bias;
    const double significand = std::fabs(std::ldexp(x, format.mantissa_bits - std::ilogb(x)));
    const auto mantissa =
        static_cast<std::uint64_t>(significand) - (std::uint64_t{1} << format.mantissa_bits);
    if (exponent <= 0)  // subnormal
        return sign | static_cast<std::uint64_t>(std::fabs(std::ldexp(x, format.mantissa_bits + bias - 1)));
    return sign | static_cast<std::uint64_t>(exponent) << format.mantissa_bits | mantissa;
}

double decode(const Format& format, std::uint64_t raw) {
    const int bias = (1 << (format.exponent_bits - 1)) - 1;
    const auto exponent =
        static_cast<int>(raw >> format.mantissa_bits & ((std::uint64_t{1} << format.exponent_bits) - 1));
    const auto mantissa = static_cast<double>(raw & ((std::uint64_t{1} << format.mantissa_bits) - 1));
    const double one = std::ldexp(1.0, format.mantissa_bits);
    const double size = exponent == 0 ? std::ldexp(mantissa, 1 - bias - format.mantissa_bits)
                                      : std::ldexp(one + mantissa, exponent - bias - format.mantissa_bits);
    return (raw >> (format.exponent_bits + format.mantissa_bits) & 1) != 0 ? -size : size;
}

// The header has another of that name, for old programs.
using GemmEx = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                                  const void*, const void*, cudaDataType, int, const void*, cudaDataType, int,
                                  const void*, void*, cudaDataType, int, cublasComputeType_t,
                                  cublasGemmAlgo_t);

class Device {
  public:
    explicit Device(const std::string& cublas) {
        driver_ = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
        if (driver_ == nullptr)
            throw std::runtime_error("no libcuda.so.1: neither a GPU's driver nor the software device");
        CALL(driver_, cuInit, 0);
        CUdevice device = 0;
        CALL(driver_, cuDeviceGet, &device, 0);
        CALL(driver_, cuDeviceGetName, name_, sizeof name_, device);
        int major = 0, minor = 0;
        CALL(driver_, cuDeviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
        CALL(driver_, cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
        capability_ = 10 * major + minor;
        CUcontext context = nullptr;
        CALL(driver_, cuDevicePrimaryCtxRetain, &context, device);
        CALL(driver_, cuCtxSetCurrent, context);
        cublas_ = open_cublas(cublas);
        CALL(cublas_, cublasCreate_v2, &handle_);
        for (CUdeviceptr* memory : {&a_, &b_, &c_})
            CALL(driver_, cuMemAlloc, memory, kSize * kCalibrationLength * sizeof(double));
    }
    const char* name() const { return name_; }
    int capability() const { return capability_; }

    // Every row of A is a, every column of B is b: every element of C is their dot product.
    double dot(const Format& inputs, const Format& output, cublasComputeType_t compute,
               const std::vector<double>& a, const std::vector<double>& b) {
        upload(a_, inputs, a);
        upload(b_, inputs, b);
        const float one = 1, zero = 0;
        const double wide_one = 1, wide_zero = 0;
        const std::uint16_t half_one = 0x3c00, half_zero = 0;
        const void *alpha = &one, *beta = &zero;
        if (compute == CUBLAS_COMPUTE_64F) {
            alpha = &wide_one;
            beta = &wide_zero;
        } else if (compute == CUBLAS_COMPUTE_16F) {
            alpha = &half_one;
            beta = &half_zero;
        }
        const auto pointer = [](CUdeviceptr memory) { return reinterpret_cast<void*>(memory); };
        check(entry<GemmEx>(cublas_, "cublasGemmEx")(
                  handle_, CUBLAS_OP_T, CUBLAS_OP_N, kSize, kSize, kCalibrationLength, alpha, pointer(a_),
                  inputs.type, kCalibrationLength, pointer(b_), inputs.type, kCalibrationLength, beta,
                  pointer(c_), output.type, kSize, compute, CUBLAS_GEMM_DEFAULT),
              "cublasGemmEx");
        std::uint64_t raw = 0;
        CALL(driver_, cuMemcpyDtoH, &raw, c_, static_cast<std::size_t>(output.bytes));
        return decode(output, raw);
    }

  private:
    void upload(CUdeviceptr to, const Format& format, const std::vector<double>& line) {
        std::vector<std::uint8_t> bytes;
        for (int i = 0; i < kSize; ++i) {
            for (const double x : line) {
                const std::uint64_t raw = encode(format, x);
                const auto* from = reinterpret_cast<const std::uint8_t*>(&raw);
                bytes.insert(bytes.end(), from, from + format.bytes);
            }
        }
        CALL(driver_, cuMemcpyHtoD, to, bytes.data(), bytes.size());
    }

    void* driver_ = nullptr;
    void* cublas_ = nullptr;
    cublasHandle_t handle_ = nullptr;
    CUdeviceptr a_ = 0, b_ = 0, c_ = 0;
    char name_[256] = "";
    int capability_ = 0;
};

Calibration calibrate(Device& device) {
    Calibration found;
    found.device = device.name();
    found.capability = device.capability();
    const auto core = [&](const Format& in, const Format& out, cublasComputeType_t compute, int largest) {
        return measure_core([&](const auto& a, const auto& b) { return device.dot(in, out, compute, a, b); },
                            largest);
    };
    found.fp32 = core(kSingle, kSingle, CUBLAS_COMPUTE_32F_PEDANTIC, 30);
    found.tf32 = core(kSingle, kSingle, CUBLAS_COMPUTE_32F_FAST_TF32, 30);
    found.fp16 = core(kHalf, kSingle, CUBLAS_COMPUTE_32F, 30);
    found.bf16 = core(kBfloat, kSingle, CUBLAS_COMPUTE_32F, 30);
    found.fp16_sums = core(kHalf, kHalf, CUBLAS_COMPUTE_16F, 15);
    found.fp64 = core(kDouble, kDouble, CUBLAS_COMPUTE_64F, 60);
    // Three quarters of TF32's last place: rounded up, cut off, or kept where TF32 is not used.
    std::vector<double> a(kCalibrationLength, 0.0), b = a;
    a[0] = 1 + 0x1p-11 + 0x1p-12;
    b[0] = 1;
    const double converted = device.dot(kSingle, kSingle, CUBLAS_COMPUTE_32F_FAST_TF32, a, b);
    found.tf32_inputs = converted == a[0] ? "kept" : (converted == 1 ? "truncated" : "rounded");
    return found;
}

int run(int argc, char** argv) {
    std::string output, cublas;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "-o") == 0) output = argv[i + 1];
        if (std::strcmp(argv[i], "--cublas") == 0) cublas = argv[i + 1];
    }
    Device device(cublas);
    const std::string text = print(calibrate(device));
    if (output.empty()) {
        fmt::print("{}", text);
        return 0;
    }
    std::ofstream file(output);
    file << text;
    file.close();
    if (!file) throw std::runtime_error(output + " cannot be written");
    return 0;
}

}  // namespace
}  // namespace fumi

int main(int argc, char** argv) {
    try {
        return fumi::run(argc, argv);
    } catch (const std::exception& error) {
        static_cast<void>(std::fprintf(stderr, "fumi calibrate: %s\n", error.what()));
        return 1;
    }
}
