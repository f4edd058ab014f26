// What a run found, in words for a tired engineer.
#pragma once
#include <string>

#include "cupti_hook/session/reader.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

// `seconds` is the program's wall time, below 0 where it is not known.
std::string summary(const session::Reader& session, double seconds, const Painter& paint);

// The one line that says what to do next; with `name_report` it ends with the command that makes the report.
std::string advice(const session::Reader& session, bool name_report);

// The first call whose output was not finite, and whether its inputs were; "" where every output was finite.
std::string first_nonfinite(const session::Reader& session);

// The device of a session as people call it: "softcuda (software device)", "NVIDIA H100 80GB HBM3".
std::string device_name(const session::Reader& session);

}  // namespace fumi::tool
