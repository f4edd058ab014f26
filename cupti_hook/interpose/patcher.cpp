#include "cupti_hook/interpose/patcher.h"

#include <dlfcn.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "cupti_hook/interpose/binding.h"

// No dl* function is called inside a dl_iterate_phdr callback: dlopen takes the loader's two locks in the
// other order, in another thread. So modules are read inside callbacks, where they cannot go away, and
// patched outside, pinned.

namespace fumi::interpose {

namespace {

constexpr char kOwnMarker = 0;  // an address inside the module that this code is linked into

template <typename Body>
int call_body(dl_phdr_info* info, std::size_t size, void* body) {
    return (*static_cast<Body*>(body))(*info, size) ? 0 : 1;
}

// body(info, size) returns false to stop.
template <typename Body>
void for_each_module(Body body) {
    dl_iterate_phdr(&call_body<Body>, &body);
}

void* load(void** slot) noexcept {
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

}  // namespace

LoaderCounts loader_counts() noexcept {
    LoaderCounts counts;
    for_each_module([&counts](const dl_phdr_info& info, std::size_t) {
        counts = {info.dlpi_adds, info.dlpi_subs};
        return false;
    });
    return counts;
}

LoaderCounts Patcher::counts() const noexcept {
    return {added_.load(std::memory_order_acquire), removed_.load(std::memory_order_acquire)};
}

void Patcher::pass() {
    protection_ = {};
    patched_unbound_ = false;
    LoaderCounts counts;
    list_modules(counts);
    resolve_originals(counts.removed != removed_.load(std::memory_order_relaxed));
    for (const Found& found : find_slots()) patch_module(modules_[found.module], found.slots);

    std::size_t slots = 0;
    for (Module& module : modules_) {
        module.current = true;
        for (const Patched& slot : module.patched) slots += table_[slot.hook].of_loader ? 0 : 1;
    }
    slots_.store(slots, std::memory_order_relaxed);
    // Counts of before the slots were read: what came in the meantime makes the next refresh() look again.
    added_.store(counts.added, std::memory_order_release);
    removed_.store(counts.removed, std::memory_order_release);
    dlerror();  // our failed look-ups are not the program's errors
}

void Patcher::list_modules(LoaderCounts& counts) {
    for (Module& module : modules_) module.seen = false;
    for_each_module([&](const dl_phdr_info& info, std::size_t) {
        counts = {info.dlpi_adds, info.dlpi_subs};
        note_module(info);
        return true;
    });
    std::erase_if(modules_, [](const Module& module) { return !module.seen; });
    // A module may have been unloaded and loaded again at the same place, with fresh slots.
    if (counts.removed != removed_.load(std::memory_order_relaxed))
        for (Module& module : modules_) module.current = false;
}

void Patcher::note_module(const dl_phdr_info& info) {
    const ElfModule module(info);
    if (module.dynamic() == nullptr) return;
    const auto known = std::find_if(modules_.begin(), modules_.end(), [&module](const Module& other) {
        return other.dynamic == module.dynamic() && other.base == module.base() &&
               other.path == module.path();
    });
    if (known == modules_.end()) {
        const bool own = module.contains(&kOwnMarker);
        modules_.push_back({.path = module.path(),
                            .soname = module.soname(),
                            .base = module.base(),
                            .dynamic = module.dynamic(),
                            .excluded = own || table_.excluded(module.soname().c_str())});
        return;
    }
    known->seen = true;
    // Somebody else wrote to our slot: the loader's lazy binding that was under way when it was patched, or
    // another tool.
    for (const Patched& slot : known->patched)
        if (module.contains(slot.address) && load(slot.address) != table_[slot.hook].hook.wrapper)
            known->current = false;
}

// A pass for every import of a Python program must be cheap: originals are looked up again only after
// something was unloaded.
void Patcher::resolve_originals(bool anew) {
    bool changed = false;
    for (std::size_t i = 0; i < table_.size(); ++i) {
        HookState& state = table_[i];
        if (state.of_loader) continue;
        const bool known = state.hook.original->load(std::memory_order_relaxed) != nullptr;
        if (known && !anew) continue;
        const auto library = std::find_if(modules_.begin(), modules_.end(), [&state](const Module& module) {
            return fnmatch(state.hook.library, module.soname.c_str(), 0) == 0;
        });
        if (library != modules_.end() && (anew || !library->current)) {
            changed |= resolve(state, *library);
        } else if (library == modules_.end() && known) {
            state.found_in.clear();
            state.note = "unloaded";
            state.hook.original->store(nullptr, std::memory_order_release);
            changed = true;
        }
    }
    if (changed)
        for (Module& module : modules_) module.current = false;
}

bool Patcher::resolve(HookState& state, const Module& library) {
    const Hook& hook = state.hook;
    const Pin pin(library.path, library.base, library.dynamic);
    if (!pin) return false;
    state.found_in = library.path;
    void* function = look_up(pin.handle(), hook.symbol, hook.version);
    if (function == nullptr) {
        state.note = "not exported by " + library.soname;
    } else if (void* preloaded = preloaded_before(function, hook.symbol, hook.version)) {
        function = preloaded;
        state.note = "calls go on through the preloaded " + module_of(preloaded);
    } else {
        state.note.clear();
    }
    return hook.original->exchange(function, std::memory_order_acq_rel) != function;
}

std::vector<Patcher::Found> Patcher::find_slots() const {
    std::vector<Found> found;
    for_each_module([&](const dl_phdr_info& info, std::size_t) {
        const ElfModule elf(info);
        const auto module = std::find_if(modules_.begin(), modules_.end(), [&elf](const Module& other) {
            return other.dynamic == elf.dynamic() && other.base == elf.base() && other.path == elf.path();
        });
        if (module == modules_.end() || module->excluded || module->current) return true;
        Found slots{static_cast<std::size_t>(module - modules_.begin()), {}};
        elf.for_each_slot(
            [this](const char* name) { return !table_.find(name).empty(); },
            [&](const Slot& slot) {
                if (slot.kind == SlotKind::kPointer && !table_.patch_pointers()) return;
                void* seen = load(slot.address);
                const bool unbound = slot.kind == SlotKind::kJumpSlot && elf.contains(seen);
                slots.slots.push_back({slot, slot.version != nullptr ? slot.version : "", seen, unbound});
            });
        // Empty lists too: what a module was said to have is out of date.
        found.push_back(std::move(slots));
        return true;
    });
    return found;
}

void Patcher::patch_module(Module& module, const std::vector<Candidate>& candidates) {
    std::vector<Patched> patched;
    module.skipped.clear();
    if (!candidates.empty()) {
        const Pin pin(module.path, module.base, module.dynamic);
        if (pin)
            for (const Candidate& candidate : candidates)
                patch_slot(module, pin.handle(), candidate, patched);
    }
    module.patched = std::move(patched);
}

void Patcher::patch_slot(Module& module, void* handle, const Candidate& candidate,
                         std::vector<Patched>& patched) {
    void** slot = candidate.slot.address;
    void* value = load(slot);
    if (holds_wrapper(candidate, value)) {
        const auto known = std::find_if(module.patched.begin(), module.patched.end(),
                                        [slot](const Patched& entry) { return entry.address == slot; });
        if (known != module.patched.end()) patched.push_back(*known);
        return;
    }
    for (;;) {
        Verdict verdict = judge(candidate, value, handle);
        if (verdict.patch && !protection_.make_writable(slot, verdict.reason)) verdict.patch = false;
        if (!verdict.patch) {
            module.skipped.push_back({verdict.hook, candidate.slot.kind, std::move(verdict.reason)});
            return;
        }
        // The original was published when it was resolved, before any slot leads to the wrapper. On failure
        // `value` is what another thread's first call has just bound the slot to.
        void* wrapper = table_[verdict.hook].hook.wrapper;
        void* previous = value;
        if (__atomic_compare_exchange_n(slot, &value, wrapper, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
            patched_unbound_ |= candidate.unbound;
            patched.push_back({slot, previous, verdict.hook, candidate.slot.kind});
            return;
        }
    }
}

bool Patcher::holds_wrapper(const Candidate& candidate, void* value) const noexcept {
    const std::span<const std::uint32_t> hooks = table_.find(candidate.slot.symbol);
    return std::any_of(hooks.begin(), hooks.end(),
                       [&](std::uint32_t index) { return table_[index].hook.wrapper == value; });
}

Patcher::Verdict Patcher::judge(const Candidate& candidate, void* value, void* handle) const {
    const char* version = candidate.version.empty() ? nullptr : candidate.version.c_str();
    const bool unbound = candidate.unbound && value == candidate.seen;
    void* target = unbound ? would_bind(handle, candidate.slot.symbol, version) : value;
    Verdict verdict{false, 0, ""};
    for (const std::uint32_t index : table_.find(candidate.slot.symbol)) {
        const HookState& state = table_[index];
        verdict.hook = index;
        void* original = state.hook.original->load(std::memory_order_acquire);
        if (original == nullptr) {
            verdict.reason =
                state.note.empty() ? std::string(state.hook.library) + " is not loaded" : state.note;
        } else if (state.hook.version != nullptr && version != nullptr &&
                   std::strcmp(state.hook.version, version) != 0) {
            verdict.reason = std::string("asks for version ") + version;
        } else if (target == original || (unbound && target == nullptr)) {
            verdict.patch = true;
            return verdict;
        } else {
            verdict.reason = target == nullptr        ? "not bound: weak, and found nowhere"
                             : is_program_plt(target) ? "leads through the slot of the program"
                                                      : "bound to " + module_of(target);
        }
    }
    return verdict;
}

void Patcher::revert() {
    protection_ = {};
    for (Module& module : modules_) {
        if (module.patched.empty()) continue;
        const Pin pin(module.path, module.base, module.dynamic);
        if (!pin) continue;
        for (const Patched& entry : module.patched) {
            void* wrapper = table_[entry.hook].hook.wrapper;
            __atomic_compare_exchange_n(entry.address, &wrapper, entry.previous, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED);
        }
    }
    modules_.clear();
    slots_.store(0, std::memory_order_relaxed);
    dlerror();
}

}  // namespace fumi::interpose
