// The function that is called in place of a library's: one instance per hooked function.
#pragma once
#include <library_types.h>

#include <atomic>
#include <tuple>
#include <type_traits>

#include "cupti_hook/interpose/guard.h"
#include "cupti_hook/interpose/interpose.h"
#include "cupti_hook/libraries/observer.h"

namespace fumi::libraries {

// The pointer arguments of one call, exchanged in their order.
class PointerExchange {
  public:
    explicit PointerExchange(const ExchangedPointers& pointers) noexcept : pointers_(pointers) {}
    template <class T>
    void apply(T& argument) noexcept {
        if constexpr (std::is_pointer_v<T>) {
            const int place = place_++;
            if (place >= max_pointer_arguments) return;
            if (pointers_.instead[place] != nullptr)
                argument = reinterpret_cast<T>(pointers_.instead[place]);
            else if (pointers_.moved[place] != 0)
                argument =
                    reinterpret_cast<T>(reinterpret_cast<std::intptr_t>(argument) + pointers_.moved[place]);
        }
    }

  private:
    const ExchangedPointers& pointers_;
    int place_ = 0;
};

// Tag has `name`, `unavailable` (the status where the library was unloaded under its caller) and decode(call,
// args...).
template <class Tag, class Signature>
struct Wrapper;

template <class Tag, class Status, class... Args>
struct Wrapper<Tag, Status(Args...)> {
    static inline constinit std::atomic<void*> original{nullptr};

    static int again(const void* arguments, const ExchangedPointers& pointers) noexcept {
        auto* function = reinterpret_cast<Status (*)(Args...)>(original.load(std::memory_order_acquire));
        if (function == nullptr) return static_cast<int>(Tag::unavailable);
        std::tuple<Args...> exchanged = *static_cast<const std::tuple<Args...>*>(arguments);
        PointerExchange exchange(pointers);
        std::apply([&](auto&... each) { (exchange.apply(each), ...); }, exchanged);
        return static_cast<int>(std::apply(function, exchanged));
    }

    static Status call(Args... args) noexcept {
        const interpose::Guard guard;
        auto* function = reinterpret_cast<Status (*)(Args...)>(original.load(std::memory_order_acquire));
        if (function == nullptr) return Tag::unavailable;
        Observer* const told = guard ? listener() : nullptr;
        if (told == nullptr) return function(args...);
        interpose::poll();
        Call call;
        call.function = Tag::name;
        Tag::decode(call, args...);
        const std::tuple<Args...> arguments(args...);
        call.again = {&again, &arguments};
        told->before(call);
        const Status status = function(args...);
        told->after(call, static_cast<int>(status));
        return status;
    }

    static constexpr interpose::Hook hook(const char* soname) noexcept {
        return {Tag::name, nullptr, soname, reinterpret_cast<void*>(&call), &original};
    }
};

}  // namespace fumi::libraries

// FUMI_TAG(function, decoder): the tag of one function; decoder is a function (template) called with the
// arguments.
#define FUMI_TAG(function, decoder)                                                       \
    struct function##_tag {                                                               \
        static constexpr const char* name = #function;                                    \
        static constexpr cublasStatus_t unavailable = CUBLAS_STATUS_NOT_INITIALIZED;      \
        template <class... Args>                                                          \
        static void decode(::fumi::libraries::Call& call, const Args&... args) noexcept { \
            decoder(call, args...);                                                       \
        }                                                                                 \
    };
// FUMI_HOOK: its line in the table. The signature is the header's, or the one given.
#define FUMI_HOOK_AS(function, signature, soname) \
    ::fumi::libraries::Wrapper<function##_tag, signature>::hook(soname),
#define FUMI_HOOK(function, soname) FUMI_HOOK_AS(function, decltype(::function), soname)
