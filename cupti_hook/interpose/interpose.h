// Interposition of calls between shared libraries: pure ELF, no CUDA.
//
// A Hook names a function of a shared library (the "vendor" library) and the wrapper that shall be called
// instead. install() redirects to the wrapper every place through which the other modules of the process
// reach that function:
//   - GOT slots: R_X86_64_JUMP_SLOT and R_X86_64_GLOB_DAT, in DT_JMPREL and DT_RELA, bound already or lazily;
//   - function pointers in initialised data (R_X86_64_64 with addend 0) that still hold the function's
//   address;
//   - dlsym and dlvsym of the patched modules: they hand out the wrapper where the true answer is the hooked
//   function.
// Out of reach, because no relocation tells where they are: copies of the address that the program made at
// run time before install() (cached pointers on the heap or in zero-initialised data), calls inside the
// vendor library, statically linked copies of it, modules in other namespaces (dlmopen), and calls from
// constructors that run inside the dlopen which loads their module.
//
// What a slot is bound to decides, not its name: a slot is patched only if it leads to the function that the
// hook names (same address as Hook::original; for a slot not bound yet, the address that the dynamic linker
// would bind). A slot that leads elsewhere (another library's function of the same name, another symbol
// version, the hook of another tool that patches GOTs) is left as it is and reported. One kind of stranger is
// chained instead of left alone: a function of an LD_PRELOADed library that interposes the vendor's. Every
// module binds to it, so it becomes Hook::original, and the calls go client -> wrapper -> preloaded function
// -> (its RTLD_NEXT) vendor, just as they did without us.
//
// dlopen: the loader finds the caller by the return address, and uses it for names without a slash (RPATH,
// RUNPATH) and names with $ORIGIN. The patched dlopen therefore calls the loader itself, and refreshes after
// it, only for names with a slash and without '$' (all that Python imports); for the others it jumps on with
// the caller's return address in place, and the modules are found by the next dlsym, dlopen or poll().
// Excluded modules keep their own dlopen and dlsym. dlmopen is not hooked: a namespace of its own is out of
// reach anyhow, and what comes into ours is found by the next poll().
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_INTERPOSE_H
#define FUMI_CUPTI_HOOK_INTERPOSE_INTERPOSE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fumi::interpose {

// One hooked function. The strings must outlive the process's use of the hook: literals.
struct Hook {
    const char* symbol;   // as exported, e.g. "cublasSgemm_v2"
    const char* version;  // symbol version, e.g. "VENDOR_1"; nullptr: the library's default version
    const char* library;  // glob over the DT_SONAME of the library that owns it, e.g. "libcublas.so.1[0-9]"
    void* wrapper;        // what is called instead; must have the function's own type
    // The function to call through. nullptr while the library is not loaded; published (release) before any
    // slot leads to the wrapper, so a wrapper reached through a slot loads it (acquire) non-null. Becomes
    // nullptr again if the library has been unloaded.
    std::atomic<void*>* original;
};

struct Policy {
    // Globs over SONAMEs (file name where a module has none) of modules whose slots are never touched. Our
    // own module, the dynamic linker, libc and the sanitizer runtimes are never touched in any case.
    std::vector<const char*> excluded;
    bool patch_dlsym = true;  // dlsym and dlvsym of the modules not excluded
    bool patch_dlopen =
        true;  // dlopen of the modules not excluded: later modules are patched before dlopen returns
    bool patch_pointers = true;  // R_X86_64_64 data words that hold the function's address
    // In the child of a fork, modules loaded from then on are patched as well. Off by default: fork() leaves
    // the loader's state torn where another thread was inside dlopen, and glibc then aborts in the child at
    // our first look-up, though the program itself may make none. What is patched already stays patched in
    // the child in any case.
    bool patch_after_fork = false;
};

// Installs the hooks in all modules loaded now. One table per process: returns false, and does nothing, if
// one is installed already, or if memory runs out. Hooks of libraries that are not loaded yet are resolved by
// a later refresh(). Call it from ordinary code, not from a signal handler; it may run while other threads
// make hooked calls.
bool install(std::span<const Hook> hooks, const Policy& policy) noexcept;

// Brings the process up to date after modules came or went. Does nothing while the loader's counters stand
// still (one dl_iterate_phdr that stops at once: 20 ns on glibc 2.36), or while another thread is refreshing:
// it never waits for a lock of ours, so it may be called inside a constructor. Does nothing in the child of a
// fork, unless Policy::patch_after_fork. Returns true if a pass was made. A pass keeps the modules that it
// patches loaded for its own time: a dlclose of the program that falls into it takes effect at its end, in
// the thread that makes it.
bool refresh() noexcept;

namespace detail {
// How many of the next poll() calls check the loader's counters; set by a dlopen that had to be passed on by
// a jump.
extern std::atomic<std::uint32_t> checks_due;
extern std::atomic<std::uint32_t> polls;
inline constexpr std::uint32_t kPollsPerCheck = 256;
}  // namespace detail

// For the head of a wrapper: refresh() where a dlopen was seen lately, and at every 256th call besides. Two
// relaxed loads and a store otherwise; the count is allowed to lose increments.
inline void poll() noexcept {
    const std::uint32_t count = detail::polls.load(std::memory_order_relaxed) + 1;
    detail::polls.store(count, std::memory_order_relaxed);
    const std::uint32_t due = detail::checks_due.load(std::memory_order_relaxed);
    if (due == 0 && count % detail::kPollsPerCheck != 0) return;
    if (due != 0) detail::checks_due.store(due - 1, std::memory_order_relaxed);
    refresh();
}

// Slots that lead to a wrapper now, in modules still loaded (not counting those of dlsym and dlopen). 0 after
// install() means that nothing will be seen: the caller must say so loudly.
std::size_t slots_patched() noexcept;

enum class SlotKind { kJumpSlot, kGlobDat, kPointer };

struct PatchedSlot {
    std::string symbol;
    SlotKind kind;
};
struct SkippedSlot {
    std::string symbol;
    SlotKind kind;
    std::string reason;  // e.g. "bound to liblogger.so", "read-only, and mprotect failed: Permission denied"
};
struct ModuleReport {
    std::string path;    // "" is the program itself
    std::string soname;  // DT_SONAME, else the file name
    std::vector<PatchedSlot> patched;
    std::vector<SkippedSlot> skipped;
};
struct HookReport {
    std::string symbol;
    std::string version;   // "" : default
    std::string library;   // the glob
    std::string found_in;  // path of the library, "" : not loaded
    std::string note;   // why there is no original, or who is chained before the library; "" : nothing to say
    std::size_t slots;  // slots that lead to its wrapper
    std::size_t handed_out;  // dlsym and dlvsym answers that were the wrapper
};
struct Report {
    std::vector<ModuleReport> modules;  // those with at least one slot of a hooked name (or of dlsym, dlopen)
    std::vector<HookReport> hooks;      // in the order of the table
    std::string note;  // "" or why no more is patched: an inner error, a fork in the middle of a pass
};
// For `fumi doctor` and the session. Waits while another thread refreshes: do not call it from a wrapper.
Report report();

// Puts back what was in the slots, in modules still loaded, and forgets the table. For tests, not for a child
// of fork: pointers that dlsym has handed out go on leading to the wrappers, and a thread may be inside one.
void uninstall() noexcept;

}  // namespace fumi::interpose
#endif
