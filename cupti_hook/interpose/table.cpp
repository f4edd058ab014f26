#include "cupti_hook/interpose/table.h"

#include <dlfcn.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstring>

#include "cupti_hook/interpose/loader_calls.h"

namespace fumi::interpose {

constinit std::atomic<Table*> installed_table{nullptr};

namespace {

// Loader, libc and sanitizer runtimes call dlsym and dlopen for their own ends, some before they are able to
// run our code.
constexpr const char* kNeverPatched[] = {"ld-linux*",  "linux-vdso*",     "libc.so.*",
                                         "libdl.so.*", "libpthread.so.*", "libasan*",
                                         "libtsan*",   "libubsan*",       "liblsan*"};

constinit std::atomic<void*> original_dlsym{nullptr};
constinit std::atomic<void*> original_dlvsym{nullptr};
constinit std::atomic<void*> original_dlopen{nullptr};

unsigned prefix(const char* symbol) noexcept {
    const auto first = static_cast<unsigned char>(symbol[0]);
    const auto second = first != 0 ? static_cast<unsigned char>(symbol[1]) : 0U;
    return first << 8U | second;
}

template <typename Function>
void* address_of(Function* function) noexcept {
    return reinterpret_cast<void*>(function);
}

}  // namespace

Table::Table(std::span<const Hook> hooks, const Policy& policy)
    : excluded_(policy.excluded), patch_pointers_(policy.patch_pointers) {
    excluded_.insert(excluded_.end(), std::begin(kNeverPatched), std::end(kNeverPatched));
    for (const Hook& hook : hooks) hooks_.emplace_back().hook = hook;
    // Our own references, so that a preloaded library which defines these is asked too. The file does not
    // patch itself.
    original_dlsym = address_of(&dlsym);
    original_dlvsym = address_of(&dlvsym);
    original_dlopen = address_of(&dlopen);
    if (policy.patch_dlsym) {
        add_loader_hook("dlsym", address_of(&fumi_interpose_dlsym), original_dlsym);
        add_loader_hook("dlvsym", address_of(&fumi_interpose_dlvsym), original_dlvsym);
    }
    if (policy.patch_dlopen) add_loader_hook("dlopen", address_of(&fumi_interpose_dlopen), original_dlopen);

    by_name_.resize(hooks_.size());
    for (std::uint32_t i = 0; i < by_name_.size(); ++i) {
        by_name_[i] = i;
        prefixes_.set(prefix(hooks_[i].hook.symbol));
    }
    std::stable_sort(by_name_.begin(), by_name_.end(), [this](std::uint32_t a, std::uint32_t b) {
        return std::strcmp(hooks_[a].hook.symbol, hooks_[b].hook.symbol) < 0;
    });
}

void Table::add_loader_hook(const char* symbol, void* wrapper, std::atomic<void*>& original) {
    HookState& state = hooks_.emplace_back();
    state.hook = {symbol, nullptr, "", wrapper, &original};
    state.of_loader = true;
}

std::span<const std::uint32_t> Table::find(const char* symbol) const noexcept {
    if (!prefixes_.test(prefix(symbol))) return {};
    const auto first = std::lower_bound(
        by_name_.begin(), by_name_.end(), symbol,
        [this](std::uint32_t i, const char* name) { return std::strcmp(hooks_[i].hook.symbol, name) < 0; });
    auto last = first;
    while (last != by_name_.end() && std::strcmp(hooks_[*last].hook.symbol, symbol) == 0) ++last;
    return {first, last};
}

bool Table::excluded(const char* soname) const noexcept {
    return std::any_of(excluded_.begin(), excluded_.end(),
                       [soname](const char* glob) { return fnmatch(glob, soname, 0) == 0; });
}

}  // namespace fumi::interpose
