// Functions of libraries that the process has loaded itself; nothing is ever brought in.
#pragma once
#include <dlfcn.h>
#include <link.h>

#include <atomic>

namespace fumi::libraries {

class LoadedLibrary {
  public:
    explicit LoadedLibrary(const char* soname) noexcept : handle_(dlopen(soname, RTLD_LAZY | RTLD_NOLOAD)) {}
    ~LoadedLibrary() {
        if (handle_ != nullptr) dlclose(handle_);
    }
    LoadedLibrary(const LoadedLibrary&) = delete;
    LoadedLibrary& operator=(const LoadedLibrary&) = delete;
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    // A preloaded library that interposes the function comes first, as it does for the program: handles made
    // by one implementation must not reach the other.
    template <class Function>
    bool find(Function& function, const char* name) const noexcept {
        void* address = dlsym(RTLD_DEFAULT, name);
        if (address == nullptr) address = dlsym(handle_, name);
        function = reinterpret_cast<Function>(address);
        return address != nullptr;
    }

  private:
    void* handle_;
};

// How many libraries the process has loaded so far.
inline unsigned long long loaded_so_far() noexcept {
    unsigned long long count = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* to) {
            *static_cast<unsigned long long*>(to) = info->dlpi_adds;
            return 1;
        },
        &count);
    return count;
}

// A table made when its library is in the process, looked for again when others have come (the loader looks
// through the directories, which takes some 30 us). No lock is held while looking: two threads may make one
// each, and the first stays.
template <class Table>
class LazyTable {
  public:
    explicit constexpr LazyTable(Table* (*load)()) noexcept : load_(load) {}
    const Table* get() noexcept {
        Table* table = table_.load(std::memory_order_acquire);
        if (table != nullptr) return table;
        const unsigned long long loaded = loaded_so_far();
        if (loaded == looked_among_.load(std::memory_order_relaxed)) return nullptr;
        Table* made = load_();
        if (made == nullptr) {
            looked_among_.store(loaded, std::memory_order_relaxed);
            return nullptr;
        }
        if (table_.compare_exchange_strong(table, made, std::memory_order_acq_rel)) return made;
        delete made;
        return table;
    }

  private:
    Table* (*load_)();
    std::atomic<Table*> table_{nullptr};
    std::atomic<unsigned long long> looked_among_{0};  // in vain
};

}  // namespace fumi::libraries
