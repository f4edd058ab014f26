#include "mapping/python_cache.h"

#include <array>
#include <atomic>

#include "mapping/python_frames.h"

namespace fumi::mapping {
namespace {

enum class Trust : std::uint8_t { unknown, yes, no };
std::atomic<Trust> trust{Trust::unknown};

std::uint64_t mix(std::uint64_t value, const void* pointer) noexcept {
    value = (value ^ reinterpret_cast<std::uintptr_t>(pointer)) * 0x9E3779B97F4A7C15U;
    return value ^ (value >> 32U);
}

// A small hash table that forgets: an entry may sit in one of four neighbouring places.
template <typename Entry, std::size_t size>
class Seats {
  public:
    template <typename Same>
    const Entry* find(std::uint64_t hash, Same same) const noexcept {
        for (std::size_t i = 0; i < ways; ++i) {
            const Entry& entry = entries_[(hash + i) % size];
            if (same(entry)) {
                return &entry;
            }
        }
        return nullptr;
    }
    // The entry to overwrite: the same one, an empty one (`same` with nothing in it), else a victim in turn.
    template <typename Free>
    Entry& place(std::uint64_t hash, Free free) noexcept {
        for (std::size_t i = 0; i < ways; ++i) {
            Entry& entry = entries_[(hash + i) % size];
            if (free(entry)) {
                return entry;
            }
        }
        return entries_[(hash + turn_++ % ways) % size];
    }

  private:
    static constexpr std::size_t ways = 4;
    std::array<Entry, size> entries_{};
    std::size_t turn_ = 0;
};

struct CodeSeat {
    PyHandle* code;
    CodeKind kind;
    const char* function;  // Code::api
};
struct LocationSeat {
    PyHandle* code;
    const void* instruction;
    const char* location;
};
thread_local Seats<CodeSeat, 512> code_seats;
thread_local Seats<LocationSeat, 512> location_seats;

// Shared by all threads, since its weak references must be given back under the GIL, which a thread that ends
// cannot.
struct ModuleSeat {
    ModuleChain chain;
    PyHandle* weak_innermost;
    PyHandle* weak_outermost;
    const char* text;
};
Seats<ModuleSeat, 1024> module_seats;
std::atomic_flag module_seats_taken;

// Never waited for: who finds the table taken (for ever, in the child of a fork at a bad moment) goes
// without.
class ModuleSeatsLock {
  public:
    ModuleSeatsLock() noexcept : held_(!module_seats_taken.test_and_set(std::memory_order_acquire)) {}
    ~ModuleSeatsLock() {
        if (held_) {
            module_seats_taken.clear(std::memory_order_release);
        }
    }
    ModuleSeatsLock(const ModuleSeatsLock&) = delete;
    ModuleSeatsLock& operator=(const ModuleSeatsLock&) = delete;
    explicit operator bool() const noexcept { return held_; }

  private:
    bool held_;
};

bool same_chain(const ModuleChain& a, const ModuleChain& b) noexcept {
    return a.hash == b.hash && a.innermost == b.innermost && a.outermost == b.outermost;
}

const char* cached_module(const ModuleChain& chain) noexcept {
    if (chain.innermost == nullptr) {
        return "";
    }
    const ModuleSeatsLock lock;
    if (!lock) {
        return nullptr;
    }
    const ModuleSeat* seat = module_seats.find(
        chain.hash, [&](const ModuleSeat& entry) { return same_chain(entry.chain, chain); });
    // The same addresses may be those of later modules.
    if (seat == nullptr || !weak_leads_to(seat->weak_innermost, chain.innermost) ||
        !weak_leads_to(seat->weak_outermost, chain.outermost)) {
        return nullptr;
    }
    return seat->text;
}

const char* cached_location(const FrameView& frame) noexcept {
    const LocationSeat* seat =
        location_seats.find(mix(mix(0, frame.code), frame.instruction), [&](const LocationSeat& entry) {
            return entry.code == frame.code && entry.instruction == frame.instruction;
        });
    return seat != nullptr ? seat->location : nullptr;
}

}  // namespace

void ModuleChain::add(PyHandle* module) noexcept {
    innermost = innermost != nullptr ? innermost : module;
    outermost = module;
    hash = mix(hash, module);
}

bool cached_where(const PythonApi* api, Origin* origin, const char** function) noexcept {
    if (trust.load(std::memory_order_acquire) != Trust::yes) {
        return false;
    }
    FrameCursor cursor(api);
    FrameView frame{};
    ModuleChain chain;
    const char* location = nullptr;
    const char* outermost = nullptr;
    bool own = true;  // as in Walk
    while (cursor.next(&frame)) {
        const CodeSeat* seat = code_seats.find(
            mix(0, frame.code), [&](const CodeSeat& entry) { return entry.code == frame.code; });
        if (seat == nullptr) {
            return false;
        }
        own = own && is_own(seat->kind);
        outermost = own && seat->function != nullptr ? seat->function : outermost;
        if (seat->kind == CodeKind::module_call) {
            chain.add(frame.first_local);
        } else if (seat->kind == CodeKind::program && location == nullptr) {
            location = cached_location(frame);
            if (location == nullptr) {
                return false;
            }
        }
    }
    const char* const module = cached_module(chain);
    if (module == nullptr) {
        return false;
    }
    origin->location = location != nullptr ? location : "";
    origin->module = module;
    *function = outermost;
    return true;
}

void cache_code(PyHandle* code, CodeKind kind, const char* function) noexcept {
    code_seats.place(mix(0, code), [&](const CodeSeat& entry) {
        return entry.code == code || entry.code == nullptr;
    }) = CodeSeat{code, kind, function};
}

void cache_location(PyHandle* code, const void* instruction, const char* location) noexcept {
    location_seats.place(mix(mix(0, code), instruction), [&](const LocationSeat& entry) {
        return entry.code == nullptr || (entry.code == code && entry.instruction == instruction);
    }) = LocationSeat{code, instruction, location};
}

void cache_module(const PythonApi& api, const ModuleChain& chain, const char* text) noexcept {
    if (chain.innermost == nullptr) {
        return;
    }
    PyHandle* const innermost = api.new_weakref(chain.innermost, nullptr);
    PyHandle* const outermost = api.new_weakref(chain.outermost, nullptr);
    PyHandle* unused[2] = {innermost, outermost};
    if (innermost != nullptr && outermost != nullptr && weak_leads_to(innermost, chain.innermost) &&
        weak_leads_to(outermost, chain.outermost)) {
        const ModuleSeatsLock lock;
        if (lock) {
            ModuleSeat& seat = module_seats.place(chain.hash, [&](const ModuleSeat& entry) {
                return entry.chain.innermost == nullptr || same_chain(entry.chain, chain);
            });
            unused[0] = seat.weak_innermost;
            unused[1] = seat.weak_outermost;
            seat = ModuleSeat{chain, innermost, outermost, text};
        }
    }
    for (PyHandle* weak : unused) {
        if (weak != nullptr) {
            api.decref(weak);
        }
    }
    api.error_clear();
}

void trust_raw_frames(bool same) noexcept {
    Trust before = Trust::unknown;
    if (same) {
        trust.compare_exchange_strong(before, Trust::yes, std::memory_order_acq_rel);
    } else {
        trust.store(Trust::no, std::memory_order_release);
    }
}

}  // namespace fumi::mapping
