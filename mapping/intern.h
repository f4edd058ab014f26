// Strings and origins kept once for the life of the process, so that records can hold plain pointers.
#pragma once
#include <cstddef>
#include <string_view>

namespace fumi::mapping {

// What is known of the op that made a call or an autograd node. Every string is interned; "" where unknown.
struct Origin {
    const char* api = "";
    const char* location = "";
    const char* module = "";
};

// The one copy of `text`. At most `intern_limit` different strings are kept (a program that makes code as it
// runs would fill memory otherwise): "" from then on, and where memory runs out.
inline constexpr std::size_t intern_limit = 1U << 20U;
const char* intern(std::string_view text) noexcept;

// The one copy of `origin`, whose strings must be interned. nullptr past the limit.
const Origin* intern(const Origin& origin) noexcept;

// Makes fork safe: the child gets the tables unlocked. Call once.
void intern_prepare_for_fork() noexcept;

}  // namespace fumi::mapping
