#include "cupti_hook/cupti/cupti_api.h"

#include <dlfcn.h>
#include <link.h>

#include <string>
#include <string_view>
#include <vector>

namespace fumi::cupti {

namespace {

constexpr const char* sonames[] = {"libcupti.so.13", "libcupti.so.12"};

// Directories of the CUDA libraries in the process.
int collect(dl_phdr_info* info, std::size_t, void* data) {
    const std::string_view path(info->dlpi_name);
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return 0;
    const std::string_view name = path.substr(slash + 1);
    if (name.starts_with("libcudart.so") || name.starts_with("libcublas.so") ||
        name.starts_with("libcublasLt.so"))
        static_cast<std::vector<std::string>*>(data)->emplace_back(path.substr(0, slash));
    return 0;
}

void* open() {
    for (const char* soname : sonames)
        if (void* handle = dlopen(soname, RTLD_LAZY | RTLD_NOLOAD)) return handle;
    std::vector<std::string> directories;
    dl_iterate_phdr(collect, &directories);
    for (const std::string& directory : directories)
        for (const char* soname : sonames)
            for (const char* below : {"/", "/../extras/CUPTI/lib64/"})
                if (void* handle = dlopen((directory + below + soname).c_str(), RTLD_LAZY | RTLD_LOCAL))
                    return handle;
    for (const char* soname : sonames)
        if (void* handle = dlopen(soname, RTLD_LAZY | RTLD_LOCAL)) return handle;
    return nullptr;
}

template <class Function>
void find(Function& function, void* library, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
}

CuptiApi* load() {
    // A library preloaded in CUPTI's place comes first.
    const bool preloaded = dlsym(RTLD_DEFAULT, "cuptiSubscribe") != nullptr;
    void* library = preloaded ? RTLD_DEFAULT : open();
    if (library == nullptr && !preloaded) return nullptr;  // RTLD_DEFAULT is a null pointer too
    CuptiApi api;
    find(api.subscribe_v2, library, "cuptiSubscribe_v2");
    find(api.subscribe, library, "cuptiSubscribe");
    find(api.enable_callback, library, "cuptiEnableCallback");
    find(api.get_result_string, library, "cuptiGetResultString");
    if (api.subscribe == nullptr || api.enable_callback == nullptr) return nullptr;
    return new CuptiApi(api);  // for the life of the process
}

}  // namespace

const CuptiApi* cupti_api() noexcept try {
    static const CuptiApi* const api = load();
    return api;
} catch (...) {
    return nullptr;
}

}  // namespace fumi::cupti
