#include "mapping/intern.h"

#include <pthread.h>

#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>

namespace fumi::mapping {
namespace {

struct OriginHash {
    std::size_t operator()(const Origin& origin) const noexcept {
        std::size_t value = 0;
        for (const char* text : {origin.api, origin.location, origin.module}) {
            value = (value ^ reinterpret_cast<std::uintptr_t>(text)) * 0x9E3779B97F4A7C15U;
            value ^= value >> 29U;
        }
        return value;
    }
};

struct OriginEqual {
    bool operator()(const Origin& a, const Origin& b) const noexcept {
        return a.api == b.api && a.location == b.location && a.module == b.module;
    }
};

struct Tables {
    std::mutex mutex;
    std::deque<std::string> texts;  // a deque never moves what it holds
    std::unordered_set<std::string_view> by_text;
    std::unordered_set<Origin, OriginHash, OriginEqual>
        origins;  // node-based: its elements stay where they are
};

// Never destroyed: threads of the program may still run ops while the process exits.
Tables& tables() {
    static auto* const instance = new Tables;
    return *instance;
}

}  // namespace

const char* intern(std::string_view text) noexcept {
    if (text.empty()) {
        return "";
    }
    try {
        Tables& all = tables();
        const std::lock_guard lock(all.mutex);
        if (const auto found = all.by_text.find(text); found != all.by_text.end()) {
            return found->data();
        }
        if (all.texts.size() >= intern_limit) {
            return "";
        }
        const std::string& kept = all.texts.emplace_back(text);
        all.by_text.insert(kept);
        return kept.c_str();
    } catch (const std::exception&) {
        return "";
    }
}

const Origin* intern(const Origin& origin) noexcept {
    // The same few origins come again and again on a thread: no lock for those.
    constexpr std::size_t cache_size = 256;
    static thread_local std::array<const Origin*, cache_size> cache{};
    const Origin*& cached = cache[OriginHash{}(origin) % cache_size];
    if (cached != nullptr && OriginEqual{}(*cached, origin)) {
        return cached;
    }
    try {
        Tables& all = tables();
        const std::lock_guard lock(all.mutex);
        if (all.origins.size() >= intern_limit && all.origins.count(origin) == 0) {
            return nullptr;
        }
        cached = &*all.origins.insert(origin).first;
        return cached;
    } catch (const std::exception&) {
        return nullptr;
    }
}

void intern_prepare_for_fork() noexcept {
    try {
        tables();
    } catch (const std::exception&) {
        return;
    }
    pthread_atfork([] { tables().mutex.lock(); }, [] { tables().mutex.unlock(); },
                   [] { tables().mutex.unlock(); });
}

}  // namespace fumi::mapping
