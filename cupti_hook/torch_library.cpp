#include "cupti_hook/torch_library.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <fstream>
#include <string_view>

namespace fumi {

bool torch_is_loaded() noexcept {
    void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
    if (torch == nullptr) return false;
    dlclose(torch);
    return true;
}

// torch/lib/libtorch_cpu.so has torch/version.py above it; a LibTorch has build-version instead.
std::string torch_version() {
    std::string library;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* found) {
            if (std::string_view(info->dlpi_name).ends_with("/libtorch_cpu.so"))
                *static_cast<std::string*>(found) = info->dlpi_name;
            return 0;
        },
        &library);
    if (library.empty()) return {};
    const auto root = std::filesystem::path(library).parent_path().parent_path();
    std::string line;
    std::ifstream python(root / "version.py");
    while (std::getline(python, line)) {
        const auto quote = line.find('\'');
        if (line.starts_with("__version__") && quote != std::string::npos)
            return line.substr(quote + 1, line.find('\'', quote + 1) - quote - 1);
    }
    std::ifstream native(root / "build-version");
    return std::getline(native, line) ? line : "unknown";
}

}  // namespace fumi
