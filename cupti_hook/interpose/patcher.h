// One pass over the process: which modules are there, what is hooked where, and the patching itself.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_PATCHER_H
#define FUMI_CUPTI_HOOK_INTERPOSE_PATCHER_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cupti_hook/interpose/elf_module.h"
#include "cupti_hook/interpose/page_protection.h"
#include "cupti_hook/interpose/table.h"

namespace fumi::interpose {

// The loader's counts of modules that it ever added and removed.
struct LoaderCounts {
    unsigned long long added = 0;
    unsigned long long removed = 0;
    bool operator==(const LoaderCounts&) const = default;
};
LoaderCounts loader_counts() noexcept;

// All members but slots() and counts() belong to the thread that makes a pass.
class Patcher {
  public:
    explicit Patcher(Table& table) : table_(table) {}

    struct Patched {
        void** address;
        void* previous;  // what uninstall() puts back
        std::size_t hook;
        SlotKind kind;
    };
    struct Skipped {
        std::size_t hook;
        SlotKind kind;
        std::string reason;
    };
    struct Module {
        std::string path, soname;
        std::uintptr_t base;
        const void* dynamic;
        bool excluded;
        bool current = false;  // its slots are as the last pass wants them
        bool seen = true;      // found in the list of modules that is being read
        std::vector<Patched> patched{};
        std::vector<Skipped> skipped{};
    };

    // Resolves originals, patches what is new, drops what is gone.
    void pass();
    // Puts the slots back as they were.
    void revert();

    const std::vector<Module>& modules() const noexcept { return modules_; }
    std::size_t slots() const noexcept { return slots_.load(std::memory_order_relaxed); }
    LoaderCounts counts() const noexcept;

    // True if the last pass patched slots that were not bound yet. A thread that was inside the loader's lazy
    // binding of such a slot overwrites the wrapper, so the slots must be looked at again a little later.
    bool patched_unbound_slots() const noexcept { return patched_unbound_; }

  private:
    struct Candidate {
        Slot slot;
        std::string version;  // copy: the slot's own lies in the module
        void* seen;           // what the slot held when the module was read
        bool unbound;         // and that was the PLT of its own module: a call not bound yet
    };
    struct Found {
        std::size_t module;
        std::vector<Candidate> slots;
    };
    struct Verdict {
        bool patch;
        std::size_t hook;
        std::string reason;  // why not
    };

    void list_modules(LoaderCounts& counts);
    void note_module(const dl_phdr_info& info);
    void resolve_originals(bool anew);
    bool resolve(HookState& state, const Module& library);
    std::vector<Found> find_slots() const;
    void patch_module(Module& module, const std::vector<Candidate>& candidates);
    void patch_slot(Module& module, void* handle, const Candidate& candidate, std::vector<Patched>& patched);
    Verdict judge(const Candidate& candidate, void* value, void* handle) const;
    bool holds_wrapper(const Candidate& candidate, void* value) const noexcept;

    Table& table_;
    std::vector<Module> modules_;  // in the loader's order
    PageProtection protection_;
    bool patched_unbound_ = false;
    std::atomic<std::size_t> slots_{0};
    std::atomic<unsigned long long> added_{0};
    std::atomic<unsigned long long> removed_{0};
};

}  // namespace fumi::interpose
#endif
