// What the last looks at Python's frames have found, so that most looks need neither the GIL nor a single new
// object.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mapping/intern.h"
#include "mapping/python_api.h"
#include "mapping/python_code.h"

namespace fumi::mapping {

// The running modules, from the innermost outwards, as one thing to look a name up by.
struct ModuleChain {
    PyHandle* innermost = nullptr;
    PyHandle* outermost = nullptr;
    std::uint64_t hash = 0;
    void add(PyHandle* module) noexcept;
};

// Fills location and module of *origin, and *function as python_where() returns it, from what is cached for
// exactly these frames; false where anything is missing. For ops that do not run inside backward. Takes no
// lock that anybody waits for.
bool cached_where(const PythonApi* api, Origin* origin, const char** function) noexcept;

// What a walk under the GIL has found, kept for cached_where. Only for code that is kept (Code::kept).
void cache_code(PyHandle* code, CodeKind kind, const char* function) noexcept;
void cache_location(PyHandle* code, const void* instruction, const char* location) noexcept;
void cache_module(const PythonApi& api, const ModuleChain& chain, const char* text) noexcept;

// A walk under the GIL has seen the frames through the public API: from now on the raw frames are trusted if
// they said the same, and never again once they did not.
void trust_raw_frames(bool same) noexcept;

}  // namespace fumi::mapping
