// The same library call once more, with some of its pointers exchanged: what repeat and add_noise are made
// of. Plain data; the arguments lie on the stack of the wrapper, between before() and the end of after().
#pragma once
#include <cstddef>
#include <cstdint>

namespace fumi::libraries {

inline constexpr int max_pointer_arguments = 20;

// By the place of a pointer among the call's pointer arguments (handles, descriptors and streams count).
struct ExchangedPointers {
    void* instead[max_pointer_arguments] = {};         // in its place; null: the argument stays
    std::ptrdiff_t moved[max_pointer_arguments] = {};  // bytes added to an argument that stays
};

class Reissue {
  public:
    using Function = int (*)(const void* arguments, const ExchangedPointers& pointers) noexcept;
    constexpr Reissue() noexcept = default;
    constexpr Reissue(Function function, const void* arguments) noexcept
        : function_(function), arguments_(arguments) {}
    explicit operator bool() const noexcept { return function_ != nullptr; }
    // The library's status. Straight to the library: nobody is told of the call.
    int operator()(const ExchangedPointers& pointers) const noexcept {
        return function_(arguments_, pointers);
    }

  private:
    Function function_ = nullptr;
    const void* arguments_ = nullptr;
};

// Where a family of functions has its operands among its pointer arguments; -1: nowhere.
struct PointerPlaces {
    std::int8_t handle = -1, descriptor = -1, a = -1, b = -1, c = -1, d = -1, workspace = -1;
};

}  // namespace fumi::libraries
