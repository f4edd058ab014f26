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

// As operation_of, but quicker for the names that row_of has been asked for on this thread.
const Operation* row_named(const char* name) noexcept;

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
            row = row_named(name);
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

// The row of an operation that is beginning; nullptr where the tables have none.
const Operation* row_of(const at::RecordFunction& record) noexcept;

// Installs the callbacks for the whole process. False where torch refuses.
bool observe_ops() noexcept;

// For who has a callback for functions as well: two cost more than one. From observe_functions_elsewhere() on
// it tells the stack of those that begin and end.
void observe_functions_elsewhere();
void function_begins(const at::RecordFunction& record) noexcept;
void function_ends(const at::RecordFunction& record) noexcept;

}  // namespace fumi::mapping
