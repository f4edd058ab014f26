#include "cupti_hook/libraries/cublas_api.h"

#include "cupti_hook/libraries/loaded_library.h"

namespace fumi::libraries {

namespace {

CublasApi* load_from(const char* soname) {
    const LoadedLibrary library(soname);
    if (!library) return nullptr;
    CublasApi api;
    if (!library.find(api.get_stream, "cublasGetStream_v2") ||
        !library.find(api.get_pointer_mode, "cublasGetPointerMode_v2") ||
        !library.find(api.get_math_mode, "cublasGetMathMode") ||
        !library.find(api.get_property, "cublasGetProperty"))
        return nullptr;
    return new CublasApi(api);
}

CublasApi* load() {
    for (const char* soname : {"libcublas.so.13", "libcublas.so.12"})
        if (CublasApi* api = load_from(soname)) return api;
    return nullptr;
}

}  // namespace

const CublasApi* cublas_api() noexcept {
    static LazyTable<CublasApi> table(load);
    return table.get();
}

}  // namespace fumi::libraries
