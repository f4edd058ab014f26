// Names and texts of the error codes; the tables come from NVIDIA's headers at build time (errors.py).
#include <cuda.h>
#include <cuda_runtime_api.h>

namespace {

struct ErrorText {
    int code;
    const char* name;
    const char* text;
};

#include "softcuda_errors.inc"

template <int count>
const ErrorText* find(const ErrorText (&table)[count], int code) {
    for (const ErrorText& each : table) {
        if (each.code == code) return &each;
    }
    return nullptr;
}

}  // namespace

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
    const ErrorText* found = find(runtime_errors, error);
    return found == nullptr ? "unrecognized error code" : found->name;
}

const char* cudaGetErrorString(cudaError_t error) {
    const ErrorText* found = find(runtime_errors, error);
    return found == nullptr ? "unrecognized error code" : found->text;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
    const ErrorText* found = find(driver_errors, error);
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *name = found == nullptr ? nullptr : found->name;
    return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    const ErrorText* found = find(driver_errors, error);
    if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *text = found == nullptr ? nullptr : found->text;
    return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // extern "C"
