// Kernel names live as long as the process: who listens to launches may keep the pointer.
#pragma once
#include <string>

namespace softcuda::blas {
const char* intern(std::string name);
}
