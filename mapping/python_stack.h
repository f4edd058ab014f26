// Where the calling thread's Python code stands: the line outside torch, and the nn.Module whose forward
// runs.
#pragma once
#include "mapping/intern.h"

namespace fumi::mapping {

// Finds out whether the process has Python and where torch lies. Before any of the others; again does
// nothing.
void python_start() noexcept;

// Fills location and module of *origin; leaves them "" in programs and on threads without Python. Returns the
// API that the op is a part of where that is Python code of torch (api_table.h: python_api); nullptr where
// not. in_backward: the op runs inside an autograd node, so what lies beyond the call of backward() tells no
// module.
const char* python_where(Origin* origin, bool in_backward) noexcept;

// True where torch's checkpointing is at work between the op and the call of backward().
bool python_in_checkpoint() noexcept;

}  // namespace fumi::mapping
