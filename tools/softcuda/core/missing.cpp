// What every entry point that is not there does (its symbol is a trampoline that stubs.py wrote).
#include "tools/softcuda/core/device.h"

extern "C" int softcuda_missing(const char* library, const char* entry, const char* error, int code) noexcept;

extern "C" int softcuda_missing(const char* library, const char* entry, const char* error,
                                int code) noexcept {
    softcuda::warn_once(entry, "%s (%s) is not there; returning %s", entry, library, error);
    return code;
}
