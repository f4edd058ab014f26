// What the code of a Python frame is: the program's, or which part of torch. The GIL must be held for all of
// it.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>

#include "mapping/python_api.h"

namespace fumi::mapping {

enum class CodeKind : std::uint8_t {
    program,
    torch,        // torch's own, or written by torch as it runs
    module_call,  // nn.Module.__call__: its first argument is the module
    engine,       // the call of autograd's engine: what lies beyond called backward()
    checkpoint,   // torch.utils.checkpoint
};

// Whether such a frame can be part of an API that is Python code of torch, called by what lies beyond it.
constexpr bool is_own(CodeKind kind) noexcept {
    return kind == CodeKind::torch || kind == CodeKind::checkpoint;
}

struct Code {
    CodeKind kind = CodeKind::program;
    bool kept = false;          // its code object is kept alive: the address means this for ever
    std::string file;           // program: absolute where that could be told
    const char* api = nullptr;  // torch: the name of an API that is Python code (api_table.h)
    std::unordered_map<int, const char*> locations;  // by instruction, or by line before Python 3.11
};

// Says where torch lies and where the process started. Call once, before the others.
void code_start(const PythonApi* api);

// The Code of a code object, a reference that is taken over. Valid until the next call.
Code& code_of(PyHandle* object);

// file:line of `frame`, which runs `code`; interned.
const char* location_of(Code& code, PyHandle* frame);

}  // namespace fumi::mapping
