// Whether the torch of the process is the one that this library was built for.
#pragma once

#include <string>
#include <string_view>

namespace fumi::mapping {

/// nullptr where its major and minor version are those of the headers that this library was compiled with,
/// else words for the user. Tensors, RecordFunction and the dispatcher change from one to the next, and much
/// of them is compiled in here: with another torch none of them may be touched.
const char* of_another_torch() noexcept;

/// The same for a library built for `version` ("2.11.0"); "" where there is nothing to say.
std::string of_another_torch(std::string_view version);

}  // namespace fumi::mapping
