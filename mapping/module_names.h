// Dotted paths of nn.Modules. Reads the modules' own dictionaries; runs no code of theirs, keeps none of them
// alive.
#pragma once
#include <cstddef>

#include "mapping/python_api.h"

namespace fumi::mapping {

// `modules`: the running modules, innermost first (borrowed). Returns "blocks.0.mlp.fc1 (Linear)": the
// innermost one's path inside the outermost one, "(GPT)" for the outermost itself, "" for none. A module that
// is not registered in it is named after the nearest registered one around it: "blocks.0.(Helper)".
// recomputed: forward runs again inside backward, where the outermost module on the stack is but a part of
// the model; the paths are then those of the model that was seen to hold it. The GIL must be held.
const char* module_name(const PythonApi& api, PyHandle* const* modules, std::size_t count,
                        bool recomputed) noexcept;

}  // namespace fumi::mapping
