// What symbols are bound to: asked of the dynamic linker, never read from a slot.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_BINDING_H
#define FUMI_CUPTI_HOOK_INTERPOSE_BINDING_H

#include <cstdint>
#include <string>

namespace fumi::interpose {

// Keeps a module loaded while it lives. Empty if the module at this place is no longer the one that was asked
// for.
class Pin {
  public:
    Pin(const std::string& path, std::uintptr_t base, const void* dynamic) noexcept;
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    void* handle() const noexcept { return handle_; }

  private:
    void* handle_;
};

// dlsym, or dlvsym where a version is given.
void* look_up(void* handle, const char* symbol, const char* version) noexcept;

// The address that the dynamic linker would bind a reference in the module behind `handle` to; nullptr: not
// to be told (a module that relies on whoever loads it). Scopes in the loader's order: the global one, then
// the module's own.
void* would_bind(void* handle, const char* symbol, const char* version) noexcept;

// True for the address of a function that a program without PIC made official for the whole process: its own
// PLT entry. A call that reaches it goes on through the program's slot.
bool is_program_plt(void* function) noexcept;

// The function of an LD_PRELOADed library that stands before `original` for every module of the process,
// nullptr: none.
void* preloaded_before(void* original, const char* symbol, const char* version) noexcept;

// File name of the module that holds an address, for messages.
std::string module_of(void* address);

}  // namespace fumi::interpose
#endif
