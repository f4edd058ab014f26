// The ops that the calling thread is in, kept by RecordFunction callbacks. Fixed depth, no allocation, no
// lock.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mapping/api_table.h"
#include "mapping/intern.h"

namespace at {
struct RecordFunction;
}

namespace fumi::mapping {

struct OpEntry {
    const at::RecordFunction* record;  // identity, and the owner of `name`
    const char* name;       // aten::addmm; of a custom autograd.Function its class; of a node AddmmBackward0
    const char* inner_api;  // of an op inside that has ended and made nodes; nullptr where none
    std::int64_t sequence;  // FUNCTION: of the next autograd node (-1: no autograd); backward: the node's own
    std::uint64_t forward_thread;  // backward: the thread that made the node
    bool backward;                 // an autograd node's run
    bool grad_mode;                // backward: is the graph of the backward itself recorded (create_graph)?
    bool looked_up;                // `row` is known
    const Operation* row;          // of the tables; nullptr where they have none

    const Operation* its_row() noexcept {
        if (!looked_up) {
            row = operation_of(name);
            looked_up = true;
        }
        return row;
    }
};

struct OpStack {
    static constexpr std::size_t capacity =
        128;  // deeper ops are counted by nobody: the innermost kept one answers
    OpEntry entries[capacity];
    std::size_t depth;
};

// The calling thread's stack; valid on that thread.
OpStack& op_stack() noexcept;

// The op stack seen as an origin.
struct Resolved {
    Origin origin;
    const char* op = "";
    const char* function = nullptr;  // forward: the API of torch's Python code that the op is a part of
    std::int32_t phase = 0;
};
Resolved resolve(OpStack& stack) noexcept;

// Installs the callbacks for the whole process. False where torch refuses.
bool observe_ops() noexcept;

}  // namespace fumi::mapping
