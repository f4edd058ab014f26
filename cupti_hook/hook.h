// The injected library as a whole: one instance in a process, made at most once and never destroyed.
#pragma once

namespace fumi {

// Puts the hooks in place. Cheap, touches no CUDA; what else there is starts with the first call.
void install_hooks() noexcept;

// Everything: configuration, CUPTI, origins, session, drainer. From InitializeInjection, or from the first
// hooked call.
void start() noexcept;

// FUMI_MODE=off: the library does nothing at all.
bool switched_off() noexcept;

}  // namespace fumi
