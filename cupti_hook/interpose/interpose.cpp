#include "cupti_hook/interpose/interpose.h"

#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>

#include "cupti_hook/interpose/loader_calls.h"
#include "cupti_hook/interpose/patcher.h"
#include "cupti_hook/interpose/table.h"

namespace fumi::interpose {

namespace detail {
constinit std::atomic<std::uint32_t> checks_due{0};
constinit std::atomic<std::uint32_t> polls{0};
}  // namespace detail

namespace {

// Who holds `busy` owns all the rest. Nobody waits for it on the way of a hooked call: the holder calls into
// the loader, and a thread that holds the loader's lock may come by in a constructor.
constinit std::atomic<bool> busy{false};
constinit std::atomic<bool> again{false};   // somebody wanted a pass while one was being made
constinit std::atomic<bool> frozen{false};  // no more passes
constinit std::atomic<bool> torn{false};    // frozen, and the state is not to be read any more
constinit std::atomic<bool> patch_after_fork{false};
constinit std::atomic<Patcher*> patcher{nullptr};

// Never freed, since a thread may be looking into one after uninstall(); the chain keeps them reachable.
struct Installation {
    Installation(std::span<const Hook> hooks, const Policy& policy) : table(hooks, policy), state(table) {}
    Table table;
    Patcher state;
    Installation* before = nullptr;
};
constinit Installation* last_installation = nullptr;

constinit std::atomic<int> verifications{0};  // passes still to make for slots that were patched unbound
constinit std::atomic<const char*> trouble{nullptr};

// For how long a dlopen waits for another thread's pass: many times what one takes. A dlopen inside a
// constructor holds the loader's lock, which that pass may need: then the wait ends here, and the modules are
// patched right after.
constexpr std::chrono::milliseconds kLongestWait{500};

bool try_acquire() noexcept {
    return !busy.exchange(true, std::memory_order_acquire);
}
void release() noexcept {
    busy.store(false, std::memory_order_release);
}

// In the child only the forking thread lives on: a pass that another thread was making will never end.
void after_fork_in_child() noexcept {
    if (busy.load(std::memory_order_relaxed)) torn = true;
    if (!torn && (patch_after_fork || patcher.load(std::memory_order_relaxed) == nullptr)) return;
    frozen = true;
    trouble = torn ? "forked while a pass was being made: nothing more is patched in this process"
                   : "forked: nothing more is patched in this process";
}

bool is_due(const Patcher& state) noexcept {
    return verifications.load(std::memory_order_relaxed) > 0 || again.load(std::memory_order_relaxed) ||
           loader_counts() != state.counts();
}

void make_pass(Patcher& state) noexcept {
    try {
        const int verified = verifications.load(std::memory_order_relaxed);
        state.pass();
        verifications.store(state.patched_unbound_slots() ? 2
                            : verified > 0                ? verified - 1
                                                          : 0,
                            std::memory_order_relaxed);
    } catch (const std::exception&) {
        frozen = true;
        torn = true;
        trouble = "out of memory in a pass: nothing more is patched";
    }
}

}  // namespace

bool install(std::span<const Hook> hooks, const Policy& policy) noexcept {
    static std::once_flag fork_handler;
    std::call_once(fork_handler, [] { pthread_atfork(nullptr, nullptr, &after_fork_in_child); });
    if (frozen || !try_acquire()) return false;
    if (patcher.load() != nullptr) {
        release();
        return false;
    }
    try {
        auto installation = std::make_unique<Installation>(hooks, policy);
        installation->before = last_installation;
        last_installation = installation.release();
        installed_table.store(&last_installation->table, std::memory_order_release);
        patcher = &last_installation->state;
    } catch (const std::exception&) {
        release();
        return false;
    }
    patch_after_fork = policy.patch_after_fork;
    make_pass(*patcher);
    release();
    return true;
}

bool refresh() noexcept {
    Patcher* state = patcher.load(std::memory_order_acquire);
    if (state == nullptr || frozen || !is_due(*state)) return false;
    const int error = errno;
    bool passed = false;
    do {
        if (!try_acquire()) {
            again = true;
            break;
        }
        again = false;
        state = patcher.load(std::memory_order_relaxed);
        if (state != nullptr && !frozen) {
            make_pass(*state);
            passed = true;
        }
        release();
        // Looked at after the release: whoever was turned away before it has left its mark.
    } while (again.load(std::memory_order_relaxed) && !frozen);
    errno = error;
    return passed;
}

void refresh_and_wait() noexcept {
    using Clock = std::chrono::steady_clock;
    Patcher* state = patcher.load(std::memory_order_acquire);
    if (state == nullptr || frozen) return;
    const unsigned long long wanted = loader_counts().added;
    refresh();
    const Clock::time_point end = Clock::now() + kLongestWait;
    while (state->counts().added < wanted && !frozen && Clock::now() < end) {
        sched_yield();
        refresh();
    }
}

std::size_t slots_patched() noexcept {
    const Patcher* state = patcher.load(std::memory_order_acquire);
    return state != nullptr ? state->slots() : 0;
}

namespace {

HookReport describe(const HookState& state) {
    return {.symbol = state.hook.symbol,
            .version = state.hook.version != nullptr ? state.hook.version : "",
            .library = state.hook.library,
            .found_in = state.found_in,
            .note = state.note,
            .slots = 0,
            .handed_out = state.handed_out.load(std::memory_order_relaxed)};
}

void describe(const Table& table, const Patcher& state, Report& report) {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (!table[i].of_loader) report.hooks.push_back(describe(table[i]));
    for (const Patcher::Module& module : state.modules()) {
        if (module.patched.empty() && module.skipped.empty()) continue;
        ModuleReport& entry = report.modules.emplace_back();
        entry.path = module.path;
        entry.soname = module.soname;
        for (const Patcher::Patched& slot : module.patched) {
            entry.patched.push_back({table[slot.hook].hook.symbol, slot.kind});
            if (!table[slot.hook].of_loader) ++report.hooks[slot.hook].slots;
        }
        for (const Patcher::Skipped& slot : module.skipped)
            entry.skipped.push_back({table[slot.hook].hook.symbol, slot.kind, slot.reason});
    }
}

}  // namespace

Report report() {
    Report report;
    while (!torn && !try_acquire()) sched_yield();
    if (const char* note = trouble.load()) report.note = note;
    if (torn) return report;  // `busy` may be held for ever by a thread that is not there
    const Patcher* state = patcher.load(std::memory_order_relaxed);
    if (state != nullptr) describe(*installed_table.load(std::memory_order_relaxed), *state, report);
    release();
    return report;
}

void uninstall() noexcept {
    while (!torn && !try_acquire()) sched_yield();
    if (torn) return;
    Patcher* state = patcher.exchange(nullptr);
    if (state != nullptr) {
        installed_table.store(nullptr, std::memory_order_release);
        try {
            state->revert();
        } catch (const std::exception&) {
            trouble = "out of memory while slots were put back";
        }
    }
    verifications.store(0, std::memory_order_relaxed);
    release();
}

}  // namespace fumi::interpose
