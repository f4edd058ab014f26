#include "cupti_hook/program_start.h"

#include <atomic>

#include "cupti_hook/hook.h"
#include "cupti_hook/interpose/guard.h"

namespace fumi {

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

constinit std::atomic<void*> original{nullptr};
Main program_main = nullptr;

int main_of_program(int argc, char** argv, char** environment) {
    {
        const interpose::Guard guard;
        start_with_torch();
    }
    return program_main(argc, argv, environment);
}

int start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(), void (*loader_fini)(),
               void* stack_end) {
    program_main = main;
    const auto real = reinterpret_cast<StartMain>(original.load(std::memory_order_acquire));
    return real(main_of_program, argc, argv, init, fini, loader_fini, stack_end);
}

}  // namespace

interpose::Hook program_start_hook() noexcept {
    return {"__libc_start_main", nullptr, "libc.so.6", reinterpret_cast<void*>(&start_main), &original};
}

bool program_start_was_caught() noexcept {
    return program_main != nullptr;
}

}  // namespace fumi
