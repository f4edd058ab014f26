// A cublasLt matmul descriptor that writes nothing of the program's: for calling cublasLtMatmul a second
// time.
#pragma once
#include <cublasLt.h>

#include "cupti_hook/libraries/call.h"

namespace fumi::libraries {

// Bytes that the call writes through pointers in its descriptor (auxiliary output, amax); 0: it does not.
std::size_t descriptor_output_bytes(const Call& call) noexcept;

// A copy of the call's descriptor that writes to `memory` (descriptor_output_bytes of it, 256-byte aligned)
// instead. False where the library refuses.
bool redirect_descriptor(const Call& call, void* memory, cublasLtMatmulDescOpaque_t& copy) noexcept;

}  // namespace fumi::libraries
