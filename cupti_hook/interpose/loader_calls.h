// The entries in loader_calls.S that patched slots of dlsym, dlvsym and dlopen lead to.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_LOADER_CALLS_H
#define FUMI_CUPTI_HOOK_INTERPOSE_LOADER_CALLS_H

extern "C" {
__attribute__((visibility("hidden"))) void* fumi_interpose_dlsym(void* handle, const char* symbol) noexcept;
__attribute__((visibility("hidden"))) void* fumi_interpose_dlvsym(void* handle, const char* symbol,
                                                                  const char* version) noexcept;
__attribute__((visibility("hidden"))) void* fumi_interpose_dlopen(const char* name, int flags) noexcept;

// What the entries ask first; nullptr: pass the call on, with the caller's return address in place.
__attribute__((visibility("hidden"))) void* fumi_interpose_answer_dlsym(void* handle,
                                                                        const char* symbol) noexcept;
__attribute__((visibility("hidden"))) void* fumi_interpose_answer_dlvsym(void* handle, const char* symbol,
                                                                         const char* version) noexcept;
__attribute__((visibility("hidden"))) void* fumi_interpose_answer_dlopen(const char* name,
                                                                         int flags) noexcept;
}

namespace fumi::interpose {
// refresh() for a dlopen that has brought modules: also waits, for a short time, for the pass of another
// thread.
void refresh_and_wait() noexcept;
}  // namespace fumi::interpose
#endif
