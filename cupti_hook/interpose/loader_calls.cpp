#include "cupti_hook/interpose/loader_calls.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "cupti_hook/interpose/interpose.h"
#include "cupti_hook/interpose/table.h"

namespace fumi::interpose {
namespace {

// How many poll() calls look for the modules that a dlopen may bring which we passed on.
constexpr std::uint32_t kChecksAfterDlopen = 16;

// The wrapper, where the true answer to the caller is the hooked function. The lookup is made a second time
// by the caller's own call in all other cases, so that it gets the true answer and the true dlerror().
void* answer_lookup(void* handle, const char* symbol, const char* version) noexcept {
    // RTLD_NEXT is how an interposer finds what it stands before: giving it our wrapper would close a circle.
    if (handle == RTLD_NEXT || symbol == nullptr) return nullptr;
    Table* table = installed_table.load(std::memory_order_acquire);
    if (table == nullptr) return nullptr;
    // The first look-up after a dlopen that was passed on: before the program calls into what it brought.
    if (detail::checks_due.load(std::memory_order_relaxed) != 0) poll();
    const std::span<const std::uint32_t> hooks = table->find(symbol);
    if (hooks.empty() || (*table)[hooks.front()].of_loader) return nullptr;
    refresh();
    // RTLD_DEFAULT searches the global scope first and then the caller's own. We can only ask for our own:
    // but where we find the hooked function, it is in the global scope, and the caller would have found it
    // there as well.
    void* truth = version != nullptr ? dlvsym(handle, symbol, version) : dlsym(handle, symbol);
    if (truth == nullptr) return nullptr;
    for (const std::uint32_t index : hooks) {
        HookState& state = (*table)[index];
        if (state.hook.original->load(std::memory_order_acquire) != truth) continue;
        state.handed_out.fetch_add(1, std::memory_order_relaxed);
        return state.hook.wrapper;
    }
    return nullptr;
}

}  // namespace
}  // namespace fumi::interpose

void* fumi_interpose_answer_dlsym(void* handle, const char* symbol) noexcept {
    return fumi::interpose::answer_lookup(handle, symbol, nullptr);
}

void* fumi_interpose_answer_dlvsym(void* handle, const char* symbol, const char* version) noexcept {
    return version == nullptr ? nullptr : fumi::interpose::answer_lookup(handle, symbol, version);
}

// Without a slash in its name a library is looked for along the caller's RPATH or RUNPATH, and $ORIGIN stands
// for the caller's directory: the loader must see the caller. All else (and where the call fails) it does not
// ask for it.
void* fumi_interpose_answer_dlopen(const char* name, int flags) noexcept {
    if (name == nullptr) return nullptr;
    if (std::strchr(name, '/') == nullptr || std::strchr(name, '$') != nullptr) {
        fumi::interpose::detail::checks_due.store(fumi::interpose::kChecksAfterDlopen,
                                                  std::memory_order_relaxed);
        return nullptr;
    }
    void* handle = dlopen(name, flags);
    if (handle != nullptr) fumi::interpose::refresh_and_wait();
    return handle;
}
