// The table of hooks while it is installed: looked up by name from any thread, without a lock.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_TABLE_H
#define FUMI_CUPTI_HOOK_INTERPOSE_TABLE_H

#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "cupti_hook/interpose/interpose.h"

namespace fumi::interpose {

struct HookState {
    Hook hook;
    bool of_loader = false;  // dlsym, dlvsym, dlopen: hooked for our own use
    // Written during a pass only.
    std::string found_in;
    std::string note;
    std::atomic<std::size_t> handed_out{0};
};

class Table {
  public:
    Table(std::span<const Hook> hooks, const Policy& policy);

    // Indices of the hooks of this name; several where the hooks name versions of one function.
    std::span<const std::uint32_t> find(const char* symbol) const noexcept;
    bool excluded(const char* soname) const noexcept;

    HookState& operator[](std::size_t index) noexcept { return hooks_[index]; }
    const HookState& operator[](std::size_t index) const noexcept { return hooks_[index]; }
    std::size_t size() const noexcept { return hooks_.size(); }
    bool patch_pointers() const noexcept { return patch_pointers_; }

  private:
    void add_loader_hook(const char* symbol, void* wrapper, std::atomic<void*>& original);

    std::deque<HookState> hooks_;
    std::vector<std::uint32_t> by_name_;
    // Most names of a large module are mangled C++: two letters tell nearly all of them apart from the hooked
    // ones.
    std::bitset<std::size_t{1} << 16> prefixes_;
    std::vector<const char*> excluded_;
    bool patch_pointers_;
};

// The installed table, nullptr: none. Tables are never freed: a thread may be looking into one.
extern std::atomic<Table*> installed_table;

}  // namespace fumi::interpose
#endif
