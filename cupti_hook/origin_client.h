// Who issued a call: asks libfumi_torch.so, which lies beside this library, once the program has loaded
// torch.
#pragma once
#include "mapping/comparisons.h"
#include "mapping/operations.h"
#include "mapping/origin.h"

namespace fumi {

// Loads and starts libfumi_torch.so where libtorch_cpu.so is in the process and it has not been tried yet.
// Loads a library: never called between a program's dlopen and its return.
void start_origins() noexcept;

// Has operations reported to `recorder`, which must stay, now or as soon as libfumi_torch.so is started.
void watch_operations(const FumiOperationRecorder* recorder) noexcept;

// The same for comparisons of two functions.
void record_comparisons(const FumiComparisonRecorder* recorder) noexcept;

// The calling thread's current op; all "" where there is no torch.
FumiOrigin current_origin() noexcept;

}  // namespace fumi
