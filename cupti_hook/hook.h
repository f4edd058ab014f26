// The injected library as a whole: one instance in a process, made at most once and never destroyed.
#pragma once

namespace fumi {

// Puts the hooks in place. Cheap, touches no CUDA; what else there is starts with the first call.
// before_main: in a preloaded library, whose program has not begun.
void install_hooks(bool before_main = false) noexcept;

// Everything: configuration, CUPTI, origins, session, drainer. From InitializeInjection, or from the first
// hooked call.
void start() noexcept;

// The same at the end of `import torch`, or before main() in a program that links torch, where the
// configuration asks for torch's operations and CUDA may never initialise; else nothing.
void start_with_torch() noexcept;

// The same at the first comparison of two functions (mapping/compare.h); false where the configuration leaves
// them out.
bool start_for_comparisons() noexcept;

// FUMI_MODE=off: the library does nothing at all.
bool switched_off() noexcept;

}  // namespace fumi
