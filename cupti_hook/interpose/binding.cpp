#include "cupti_hook/interpose/binding.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "cupti_hook/interpose/elf_module.h"

namespace fumi::interpose {

namespace {

// Reads what the loader wrote under its own lock, which ThreadSanitizer does not see.
__attribute__((no_sanitize("thread"))) bool is_at(const link_map& map, std::uintptr_t base,
                                                  const void* dynamic) noexcept {
    return map.l_addr == base && map.l_ld == dynamic;
}

}  // namespace

Pin::Pin(const std::string& path, std::uintptr_t base, const void* dynamic) noexcept
    : handle_(path.empty() ? dlopen(nullptr, RTLD_LAZY) : dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD)) {
    if (handle_ == nullptr) return;
    link_map* map = nullptr;
    if (dlinfo(handle_, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 && is_at(*map, base, dynamic)) return;
    dlclose(handle_);
    handle_ = nullptr;
}

Pin::~Pin() {
    if (handle_ != nullptr) dlclose(handle_);
}

void* look_up(void* handle, const char* symbol, const char* version) noexcept {
    return version != nullptr ? dlvsym(handle, symbol, version) : dlsym(handle, symbol);
}

bool is_program_plt(void* function) noexcept {
    Dl_info info{};
    void* entry = nullptr;
    if (dladdr1(function, &info, &entry, RTLD_DL_SYMENT) == 0 || entry == nullptr) return false;
    return static_cast<const ElfW(Sym)*>(entry)->st_shndx == SHN_UNDEF && info.dli_saddr == function;
}

namespace {

// Not RTLD_DEFAULT, which searches the same modules: the loader notes for it that the caller (we) depends on
// what it found, and the program could never unload that again.
void* global_scope() noexcept {
    static void* const program = dlopen(nullptr, RTLD_LAZY);
    return program;
}

// A reference without a version, from a module linked before the library had any, gets the first version.
void* first_version(void* found, const char* symbol) noexcept {
    struct Search {
        void* found;
        const char* symbol;
    } search{found, symbol};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& wanted = *static_cast<Search*>(data);
            const ElfModule module(*info);
            if (!module.contains(wanted.found)) return 0;
            if (void* oldest = module.oldest_definition(wanted.symbol)) wanted.found = oldest;
            return 1;
        },
        &search);
    return search.found;
}

}  // namespace

void* would_bind(void* handle, const char* symbol, const char* version) noexcept {
    for (void* scope : {global_scope(), handle}) {
        void* found = look_up(scope, symbol, version);
        // The loader takes a preloaded library's symbol without a version for a reference with one; dlvsym
        // does not.
        if (version != nullptr && scope == global_scope())
            if (void* preloaded = preloaded_before(found, symbol, nullptr)) return preloaded;
        if (found != nullptr && !is_program_plt(found))
            return version != nullptr ? found : first_version(found, symbol);
    }
    return nullptr;
}

namespace {

// The environment that the loader read, not what the program has made of it since.
std::string initial_preload() {
    std::string text;
    for (const char* path : {"/proc/self/environ", "/etc/ld.so.preload"}) {
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        char buffer[4096];
        ssize_t count = 0;
        while ((count = read(file, buffer, sizeof buffer)) > 0)
            text.append(buffer, static_cast<std::size_t>(count));
        close(file);
        text.push_back('\0');
        if (path[1] == 'p') {
            constexpr std::string_view key = "LD_PRELOAD=";
            std::size_t at = 0;
            while (at < text.size() && text.compare(at, key.size(), key) != 0) at = text.find('\0', at) + 1;
            text = at < text.size() ? std::string(text.c_str() + at + key.size()) + ' ' : std::string();
        }
    }
    return text;
}

std::string_view file_name(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool was_preloaded(std::string_view path) {
    constexpr std::string_view separators(" :\t\n\0", 5);
    const std::string list = initial_preload();
    for (std::size_t begin = list.find_first_not_of(separators); begin != std::string::npos;) {
        const std::size_t end = std::min(list.find_first_of(separators, begin), list.size());
        if (file_name(std::string_view(list).substr(begin, end - begin)) == file_name(path)) return true;
        begin = list.find_first_not_of(separators, end);
    }
    return false;
}

}  // namespace

void* preloaded_before(void* original, const char* symbol, const char* version) noexcept {
    void* global = look_up(global_scope(), symbol, version);
    if (global == nullptr || global == original || is_program_plt(global)) return nullptr;
    Dl_info info{};
    if (dladdr(global, &info) == 0 || info.dli_fname == nullptr) return nullptr;
    return was_preloaded(info.dli_fname) ? global : nullptr;
}

std::string module_of(void* address) {
    Dl_info info{};
    if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "an unknown place";
    return std::string(file_name(info.dli_fname));
}

}  // namespace fumi::interpose
