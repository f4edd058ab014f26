// Kernel names as people read them.
#pragma once
#include <string>

namespace fumi {

// A mangled C++ name demangled, without its parameters and `void`: cublasLt::splitKreduce_kernel<32, 16,
// ...>. Every other name as it is. For the drainer; remembers by address, so that `name` must live as long as
// the process.
const std::string& kernel_text(const char* name);

}  // namespace fumi
