#include "tools/softcuda/dnn/real.h"

#include <dlfcn.h>

#include "tools/softcuda/core/device.h"

// dlsym itself would find this device's function again.
extern "C" void* softcuda_find_real_dlsym() noexcept;

namespace softcuda::dnn {

void* real_cudnn(const char* name) noexcept {
    static void* const library = [] {
        void* loaded = dlopen("libcudnn.so.9", RTLD_LAZY | RTLD_NOLOAD);
        if (loaded == nullptr) loaded = dlopen("libcudnn.so.9", RTLD_LAZY);
        if (loaded == nullptr) warn_once("libcudnn", "libcudnn.so.9 cannot be loaded: %s", dlerror());
        return loaded;
    }();
    using Dlsym = void*(void*, const char*);
    if (library == nullptr) return nullptr;
    return reinterpret_cast<Dlsym*>(softcuda_find_real_dlsym())(library, name);
}

}  // namespace softcuda::dnn
