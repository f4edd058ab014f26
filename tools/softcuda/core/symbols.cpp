// dlsym: a lookup in one of NVIDIA's libraries gives this device's function where it has one.
#include <dlfcn.h>

#include <cstring>
#include <initializer_list>

#include "tools/softcuda/core/driver.h"

extern "C" {
// The real dlsym, which symbols_dlsym.S jumps to.
void* softcuda_real_dlsym = nullptr;
void* softcuda_find_real_dlsym() noexcept;
void* softcuda_dlsym_in(void* handle, const char* name, const void* caller) noexcept;
}

namespace {

using Dlsym = void* (*)(void*, const char*);

Dlsym real_dlsym() noexcept {
    return reinterpret_cast<Dlsym>(softcuda_find_real_dlsym());
}

// This library's own handle, never closed.
void* own_handle() noexcept {
    static void* const handle = [] {
        Dl_info self{};
        dladdr(reinterpret_cast<void*>(&softcuda_dlsym_in), &self);
        return dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }();
    return handle;
}

// Every name that this library defines for another begins so; the check keeps other lookups quick.
bool may_be_ours(const char* name) noexcept {
    return std::strncmp(name, "cu", 2) == 0 || std::strncmp(name, "__cuda", 6) == 0;
}

// The name of the file that the address was loaded from; "" where there is none.
const char* file_of(const void* address) noexcept {
    Dl_info where{};
    if (dladdr(address, &where) == 0 || where.dli_fname == nullptr) return "";
    const char* slash = std::strrchr(where.dli_fname, '/');
    return slash == nullptr ? where.dli_fname : slash + 1;
}

bool of_nvidia(const void* address) noexcept {
    const char* file = file_of(address);
    for (const char* library : {"libcuda.so", "libcudart.so", "libcublas", "libcudnn", "libcupti.so",
                                "libcufft.so", "libcurand.so", "libcusparse.so", "libcusolver.so"}) {
        if (std::strncmp(file, library, std::strlen(library)) == 0) return true;
    }
    return false;
}

// libcudnn.so finds the parts that its own functions live in by dlsym: there it must not find this device.
bool within_cudnn(const void* found, const void* caller) noexcept {
    const auto in_cudnn = [](const void* address) {
        return std::strncmp(file_of(address), "libcudnn", std::strlen("libcudnn")) == 0;
    };
    return in_cudnn(caller) && in_cudnn(found);
}

}  // namespace

void* softcuda_find_real_dlsym() noexcept {
    void* known = __atomic_load_n(&softcuda_real_dlsym, __ATOMIC_ACQUIRE);
    if (known != nullptr) return known;
    // dlsym moved from libdl (2.2.5) to libc (2.34) with glibc 2.34; the old version stays.
    for (const char* version : {"GLIBC_2.34", "GLIBC_2.2.5"}) {
        known = dlvsym(RTLD_NEXT, "dlsym", version);
        if (known != nullptr) break;
    }
    __atomic_store_n(&softcuda_real_dlsym, known, __ATOMIC_RELEASE);
    return known;
}

void* softcuda_dlsym_in(void* handle, const char* name, const void* caller) noexcept {
    void* found = real_dlsym()(handle, name);
    if (found == nullptr || !may_be_ours(name)) return found;
    void* ours = softcuda::own_symbol(name);
    if (ours == nullptr || ours == found || !of_nvidia(found) || within_cudnn(found, caller)) return found;
    return ours;
}

namespace softcuda {

void* own_symbol(const char* name) noexcept {
    void* found = real_dlsym()(own_handle(), name);
    if (found == nullptr) return nullptr;
    // The handle's lookup goes on into what this library needs: only what lies in it is its own.
    Dl_info self{};
    Dl_info where{};
    dladdr(reinterpret_cast<void*>(&softcuda_dlsym_in), &self);
    return dladdr(found, &where) != 0 && where.dli_fbase == self.dli_fbase ? found : nullptr;
}

}  // namespace softcuda
