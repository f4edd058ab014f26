#include "tools/softcuda/blas/gemm.h"

#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "tools/softcuda/blas/epilogue.h"
#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/faulty.h"
#include "tools/softcuda/blas/names.h"
#include "tools/softcuda/blas/product.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {
namespace {

template <class T>
void run_as(const Gemm& gemm, const Planted& planted) {
    // A null alpha means that A and B are not read at all.
    const bool product_counts = !is_zero(gemm.alpha);
    for (std::int64_t index = 0; index < gemm.batch; ++index) {
        if (!product_counts) {
            finish<T>(gemm, index, nullptr, planted.bias_row);
            continue;
        }
        Buffer<T> acc(gemm.m * gemm.n);
        product<T>(gemm, index, planted.sum, acc.data());
        finish<T>(gemm, index, acc.data(), planted.bias_row);
    }
}

}  // namespace

Scalar host_scalar(const void* value, cudaDataType type) noexcept {
    Scalar scalar;
    scalar.type = type;
    std::memcpy(scalar.value, value, size_of(type));
    return scalar;
}

Scalar device_scalar(const void* pointer, cudaDataType type) noexcept {
    Scalar scalar;
    scalar.type = type;
    scalar.device = pointer;
    return scalar;
}

const char* intern(std::string name) {
    static auto* const mutex = new std::mutex;  // never destroyed: worker threads may outlive static objects
    static auto* const names = new std::set<std::string>;
    const std::lock_guard lock(*mutex);
    return names->insert(std::move(name)).first->c_str();
}

namespace {

char layout_letter(const Matrix& matrix) noexcept {
    if (matrix.conjugate) return 'c';
    return matrix.row_stride == 1 ? 'n' : 't';
}

const char* kernel_name(const Gemm& gemm) {
    const bool tensor =
        settings().numerics == Numerics::tensorcore && gemm.arithmetic >= Arithmetic::tensor_low;
    const char* math = "";
    if (tensor) {
        switch (gemm.arithmetic) {
            case Arithmetic::tensor_tf32:
                math = "_tf32";
                break;
            case Arithmetic::tensor_from_f16:
                math = "_fast16f";
                break;
            case Arithmetic::tensor_from_bf16:
                math = "_fast16bf";
                break;
            case Arithmetic::tensor_f16:
                math = "_f16acc";
                break;
            case Arithmetic::tensor_fp8_fast:
                math = "_fastacc";
                break;
            default:
                math = "_f32acc";
                break;
        }
    }
    std::string name = std::string("softcuda_") + (tensor ? "tensor_" : "") + gemm.kind + "_" +
                       short_name(gemm.a.type) + "_" + short_name(gemm.d.type) + math + "_";
    name += layout_letter(gemm.a);
    if (std::strcmp(gemm.kind, "gemm") == 0) name += layout_letter(gemm.b);
    return intern(std::move(name));
}

}  // namespace

void run_planted(const Gemm& gemm, const Planted& planted) {
    if (gemm.m == 0 || gemm.n == 0) return;
    if (gemm.arithmetic == Arithmetic::s32) return run_as<double>(gemm, planted);
    switch (gemm.a.type) {
        case CUDA_R_64F:
            return run_as<double>(gemm, planted);
        case CUDA_C_32F:
            return run_as<std::complex<float>>(gemm, planted);
        case CUDA_C_64F:
            return run_as<std::complex<double>>(gemm, planted);
        default:
            return run_as<float>(gemm, planted);
    }
}

void run(const Gemm& gemm) {
    if (gemm.fault == nullptr)
        run_planted(gemm, {});
    else
        run_faulty(gemm, *gemm.fault);
}

cudaError_t launch(cudaStream_t stream, Gemm gemm) noexcept {
    try {
        const char* name = kernel_name(gemm);
        gemm.fault = faults::plan(gemm.function, {gemm.m, gemm.n, gemm.k, gemm.batch});
        if (settings().compute_null) return softcuda::launch(stream, name, [] {});
        return softcuda::launch(stream, name,
                                [work = std::make_shared<const Gemm>(std::move(gemm))] { run(*work); });
    } catch (const std::bad_alloc&) {
        return cudaErrorMemoryAllocation;
    }
}

}  // namespace softcuda::blas
