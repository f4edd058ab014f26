#include "cupti_hook/libraries/cublas_handles.h"

#include <atomic>
#include <map>
#include <new>
#include <unordered_map>
#include <utility>

#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/loaded_library.h"

namespace fumi::libraries {

namespace {

// --- What the program tells its handles.

struct Workspaces {
    std::mutex mutex;
    std::unordered_map<cublasHandle_t, std::size_t> bytes;  // handles without one are absent
};
// Throws std::bad_alloc at its first call.
Workspaces& workspaces() {
    static Workspaces& all = *new Workspaces;  // other threads may call cuBLAS while the process exits
    return all;
}

void note_workspace(cublasHandle_t handle, std::size_t bytes) noexcept try {
    Workspaces& all = workspaces();
    const std::lock_guard lock(all.mutex);
    if (bytes == 0)
        all.bytes.erase(handle);
    else
        all.bytes[handle] = bytes;
} catch (const std::bad_alloc&) {
    return;  // repeat then runs with the library's workspace
}

template <class Tag, class Signature>
struct Told;
template <class Tag, class... Args>
struct Told<Tag, cublasStatus_t(Args...)> {
    static inline constinit std::atomic<void*> original{nullptr};
    static cublasStatus_t call(Args... args) noexcept {
        const interpose::Guard guard;
        auto* function =
            reinterpret_cast<cublasStatus_t (*)(Args...)>(original.load(std::memory_order_acquire));
        if (function == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
        const cublasStatus_t status = function(args...);
        if (guard && status == CUBLAS_STATUS_SUCCESS) Tag::told(args...);
        return status;
    }
    static interpose::Hook hook() noexcept {
        return {Tag::name, nullptr, cublas_soname, reinterpret_cast<void*>(&call), &original};
    }
};

struct SetWorkspace {
    static constexpr const char* name = "cublasSetWorkspace_v2";
    static void told(cublasHandle_t handle, void*, std::size_t bytes) noexcept {
        note_workspace(handle, bytes);
    }
};
struct SetStream {
    static constexpr const char* name = "cublasSetStream_v2";
    static void told(cublasHandle_t handle, cudaStream_t) noexcept { note_workspace(handle, 0); }
};
struct Destroy {
    static constexpr const char* name = "cublasDestroy_v2";
    static void told(cublasHandle_t handle) noexcept { note_workspace(handle, 0); }
};

const interpose::Hook hooks[] = {
    Told<SetWorkspace, decltype(::cublasSetWorkspace_v2)>::hook(),
    Told<SetStream, decltype(::cublasSetStream_v2)>::hook(),
    Told<Destroy, decltype(::cublasDestroy_v2)>::hook(),
};

// --- Twins.

// Settings that can be read and set, all of the size of an int. Older libraries lack some; what a library
// lacks cannot have been set either.
struct Setting {
    const char *get_name, *set_name;
};
constexpr Setting settings[] = {
    {"cublasGetPointerMode_v2", "cublasSetPointerMode_v2"},
    {"cublasGetMathMode", "cublasSetMathMode"},
    {"cublasGetAtomicsMode", "cublasSetAtomicsMode"},
    {"cublasGetSmCountTarget", "cublasSetSmCountTarget"},
    {"cublasGetEmulationStrategy", "cublasSetEmulationStrategy"},
    {"cublasGetEmulationSpecialValuesSupport", "cublasSetEmulationSpecialValuesSupport"},
    {"cublasGetFixedPointEmulationMantissaControl", "cublasSetFixedPointEmulationMantissaControl"},
    {"cublasGetFixedPointEmulationMaxMantissaBitCount", "cublasSetFixedPointEmulationMaxMantissaBitCount"},
    {"cublasGetFixedPointEmulationMantissaBitOffset", "cublasSetFixedPointEmulationMantissaBitOffset"},
};
static_assert(sizeof(cublasMath_t) == sizeof(int) && sizeof(cublasPointerMode_t) == sizeof(int) &&
              sizeof(cublasEmulationStrategy_t) == sizeof(int));

struct Functions {
    decltype(&::cublasCreate_v2) create = nullptr;
    decltype(&::cublasGetStream_v2) get_stream = nullptr;
    decltype(&::cublasSetStream_v2) set_stream = nullptr;
    decltype(&::cublasSetWorkspace_v2) set_workspace = nullptr;
    cublasStatus_t (*get[std::size(settings)])(cublasHandle_t, int*) = {};
    cublasStatus_t (*set[std::size(settings)])(cublasHandle_t, int) = {};
};

Functions* load() {
    for (const char* soname : {"libcublas.so.13", "libcublas.so.12"}) {
        const LoadedLibrary library(soname);
        Functions f;
        if (!library || !library.find(f.create, "cublasCreate_v2") ||
            !library.find(f.get_stream, "cublasGetStream_v2") ||
            !library.find(f.set_stream, "cublasSetStream_v2") ||
            !library.find(f.set_workspace, "cublasSetWorkspace_v2"))
            continue;
        for (std::size_t i = 0; i < std::size(settings); ++i) {
            if (!library.find(f.get[i], settings[i].get_name) ||
                !library.find(f.set[i], settings[i].set_name))
                f.get[i] = nullptr;
        }
        return new Functions(f);
    }
    return nullptr;
}

const Functions* functions() noexcept {
    static LazyTable<Functions> table(load);
    return table.get();
}

struct Twin {
    std::mutex mutex;
    cublasHandle_t handle = nullptr;
    bool failed = false;
};

// Never destroyed: work of theirs may be in flight, and a handle costs little beside the program's own.
Twin* twin_of(cublasHandle_t handle, const void* context) noexcept try {
    static std::mutex& mutex = *new std::mutex;
    static auto& twins = *new std::map<std::pair<cublasHandle_t, const void*>, Twin>;
    const std::lock_guard lock(mutex);
    return &twins[{handle, context}];
} catch (const std::bad_alloc&) {
    return nullptr;
}

bool copy_settings(const Functions& f, cublasHandle_t from, cublasHandle_t to) noexcept {
    for (std::size_t i = 0; i < std::size(settings); ++i) {
        int wanted = 0, has = 0;
        if (f.get[i] == nullptr || f.get[i](from, &wanted) != CUBLAS_STATUS_SUCCESS) continue;
        if (f.get[i](to, &has) == CUBLAS_STATUS_SUCCESS && has == wanted) continue;
        if (f.set[i](to, wanted) != CUBLAS_STATUS_SUCCESS) return false;
    }
    return true;
}

}  // namespace

std::size_t workspace_of(cublasHandle_t handle) noexcept try {
    Workspaces& all = workspaces();
    const std::lock_guard lock(all.mutex);
    const auto found = all.bytes.find(handle);
    return found == all.bytes.end() ? 0 : found->second;
} catch (const std::bad_alloc&) {
    return 0;
}

std::span<const interpose::Hook> cublas_handle_hooks() noexcept {
    return hooks;
}

bool atomics_allowed(cublasHandle_t handle) noexcept {
    constexpr std::size_t atomics = 2;
    const Functions* f = functions();
    int mode = CUBLAS_ATOMICS_NOT_ALLOWED;
    if (f == nullptr || f->get[atomics] == nullptr) return false;
    return f->get[atomics](handle, &mode) == CUBLAS_STATUS_SUCCESS && mode == CUBLAS_ATOMICS_ALLOWED;
}

TwinHandle::TwinHandle(cublasHandle_t handle, const void* context, void* workspace) noexcept {
    reason_ = "cuBLAS gives no second handle";
    const Functions* f = functions();
    Twin* twin = f == nullptr ? nullptr : twin_of(handle, context);
    if (twin == nullptr) return;
    lock_ = std::unique_lock(twin->mutex);
    if (twin->handle == nullptr && !twin->failed)
        twin->failed = f->create(&twin->handle) != CUBLAS_STATUS_SUCCESS;
    if (twin->failed) return;
    reason_ = "the settings of the cuBLAS handle cannot be copied";
    cudaStream_t stream = nullptr;
    if (f->get_stream(handle, &stream) != CUBLAS_STATUS_SUCCESS ||
        f->set_stream(twin->handle, stream) != CUBLAS_STATUS_SUCCESS ||
        !copy_settings(*f, handle, twin->handle))
        return;
    const std::size_t bytes = workspace_of(handle);
    if (bytes > 0 && f->set_workspace(twin->handle, workspace, bytes) != CUBLAS_STATUS_SUCCESS) return;
    twin_ = twin->handle;
    reason_ = nullptr;
}

}  // namespace fumi::libraries
