// Whose fault a suspicious call is: the kernel's or the data's.
#pragma once
#include <string>
#include <vector>

#include "cupti_hook/session/records.h"

namespace fumi::tool {

// One sentence from all checks of a call that got a warn or a fail; "" where none of them did.
std::string cause(const std::vector<session::CheckRecord>& checks);

}  // namespace fumi::tool
