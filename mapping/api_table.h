// The compiled tables: which torch API an aten op is.
#pragma once

namespace fumi::mapping {

// The torch API of `op` ("aten::addmm" -> "torch.addmm"; no overload), or nullptr where no table has it.
// About 20 ns.
const char* api_of(const char* op) noexcept;

}  // namespace fumi::mapping
