// Where the command and its libraries lie: BUILD/bin and BUILD/lib, site-packages/fumi/bin and lib, or, for a
// command in the bin directory of a virtual environment, that environment's site-packages/fumi/lib.
#pragma once
#include <string>
#include <vector>

namespace fumi::tool {

std::string executable_path();  // of this process

// Directories to look for libraries in, the first choice first: FUMI_LIB_DIR, then those of the layouts.
std::vector<std::string> library_directories();

// The full path of a library of FuMi's, "" where no directory has it.
std::string find_library(const std::string& name);

// The program that a shell would start for `command`, "" where there is none.
std::string find_program(const std::string& command);

inline constexpr const char* hook_library = "libfumi_cupti.so";
inline constexpr const char* torch_library = "libfumi_torch.so";
inline constexpr const char* soft_library = "libsoftcuda.so";

}  // namespace fumi::tool
