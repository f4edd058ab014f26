// The torch of the process, by its files: nothing of it is called.
#pragma once
#include <string>

namespace fumi {

bool torch_is_loaded() noexcept;

// As torch.__version__ says it; "unknown" where no file beside libtorch_cpu.so does, "" where there is no
// torch.
std::string torch_version();

}  // namespace fumi
