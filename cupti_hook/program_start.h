// The moment before main(): where FuMi starts in a program that has torch from the beginning and may never
// initialise CUDA (LibTorch in C++).
#pragma once
#include "cupti_hook/interpose/interpose.h"

namespace fumi {

// Catches the program's call of __libc_start_main. Of use only in a library that is there before the program
// starts (LD_PRELOAD): every library has been initialised then, and the program's own constructors follow.
interpose::Hook program_start_hook() noexcept;

// Whether that has happened: one patched slot leads to no library.
bool program_start_was_caught() noexcept;

}  // namespace fumi
