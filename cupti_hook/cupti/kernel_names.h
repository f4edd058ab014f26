// The names of the kernels that a library launches, told by CUPTI's driver callbacks. CUPTI has one
// subscriber in a process: where somebody else is it, there are no names and all else goes on.
#pragma once
#include <string>

namespace fumi::cupti {

// Subscribes, with CUPTI as the process has it loaded or as it is installed beside the CUDA runtime. Called
// once. Says why not, where not, on stderr if the user can do something about it. Never unsubscribes:
// cuptiFinalize under running kernels is not safe.
bool subscribe() noexcept;

// What became of it, for the session: "subscribed", or why there are no names.
std::string state();

// Between the two the names of the kernels that this thread launches are gathered, each once, in order. The
// strings live as long as the process. Returns how many of at most `most`.
void begin_gathering() noexcept;
int end_gathering(const char** names, int most) noexcept;

}  // namespace fumi::cupti
