#include "cupti_hook/libraries/cublaslt_api.h"

#include "cupti_hook/libraries/loaded_library.h"

namespace fumi::libraries {

namespace {

CublasLtApi* load_from(const char* soname) {
    const LoadedLibrary library(soname);
    if (!library) return nullptr;
    CublasLtApi api;
    if (!library.find(api.matmul_desc_get, "cublasLtMatmulDescGetAttribute") ||
        !library.find(api.matmul_desc_set, "cublasLtMatmulDescSetAttribute") ||
        !library.find(api.matrix_layout_get, "cublasLtMatrixLayoutGetAttribute") ||
        !library.find(api.algo_config_get, "cublasLtMatmulAlgoConfigGetAttribute") ||
        !library.find(api.get_version, "cublasLtGetVersion"))
        return nullptr;
    return new CublasLtApi(api);
}

CublasLtApi* load() {
    for (const char* soname : {"libcublasLt.so.13", "libcublasLt.so.12"})
        if (CublasLtApi* api = load_from(soname)) return api;
    return nullptr;
}

}  // namespace

const CublasLtApi* cublaslt_api() noexcept {
    static LazyTable<CublasLtApi> table(load);
    return table.get();
}

}  // namespace fumi::libraries
