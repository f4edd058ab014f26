#include "cupti_hook/libraries/cudnn_api.h"

#include "cupti_hook/libraries/loaded_library.h"

namespace fumi::libraries {

namespace {

CudnnApi* load_from(const char* soname) {
    const LoadedLibrary library(soname);
    if (!library) return nullptr;
    CudnnApi api;
#define FUMI_REQUIRE(name) \
    if (!library.find(api.name, #name)) return nullptr;
#define FUMI_TRY(name) (void)library.find(api.name, #name);
    FUMI_CUDNN_FUNCTIONS(FUMI_REQUIRE)
    FUMI_CUDNN_LEGACY_FUNCTIONS(FUMI_TRY)
#undef FUMI_REQUIRE
#undef FUMI_TRY
    return new CudnnApi(api);
}

CudnnApi* load() {
    for (const char* soname : {cudnn_soname, cudnn_graph_soname})
        if (CudnnApi* api = load_from(soname)) return api;
    return nullptr;
}

}  // namespace

const CudnnApi* cudnn_api() noexcept {
    static LazyTable<CudnnApi> table(load);
    return table.get();
}

}  // namespace fumi::libraries
