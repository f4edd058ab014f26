#include "mapping/op_stack.h"

#include <ATen/SequenceNumber.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>

#include "mapping/api_table.h"
#include "mapping/forward_nodes.h"
#include "mapping/origin.h"
#include "mapping/python_stack.h"

namespace fumi::mapping {
namespace {

thread_local OpStack this_thread_stack;

// Rows by the address of the name, each in one of four neighbouring seats. Of operators alone: their names
// stay where they are as long as they are registered, and those of the tables are for ever.
struct Named {
    const char* name;
    const Operation* row;
};
constexpr std::size_t named_count = 512, named_ways = 4;
thread_local std::array<Named, named_count> named{};

// Where `name` has its seat, or could have; nullptr where all are taken.
Named* seat_of(const char* name) noexcept {
    const std::uint64_t hash = (reinterpret_cast<std::uintptr_t>(name) * 0x9E3779B97F4A7C15U) >> 40U;
    for (std::size_t i = 0; i < named_ways; ++i) {
        Named& seat = named[(hash + i) % named_count];
        if (seat.name == name || seat.name == nullptr) {
            return &seat;
        }
    }
    return nullptr;
}

// The first entry that belongs to the innermost backward node on the stack, or to the program where there is
// none.
std::size_t first_of_phase(const OpStack& stack) noexcept {
    std::size_t first = stack.depth;
    while (first > 0 && !stack.entries[first - 1].backward) {
        --first;
    }
    return first;
}

// The outermost op that is a torch API is the one the user called: linear, not the addmm inside it.
const char* own_api(OpStack& stack, std::size_t first) noexcept {
    for (std::size_t i = first; i < stack.depth; ++i) {
        if (const char* api = api_of(stack.entries[i].its_row()); api != nullptr) {
            return api;
        }
    }
    return nullptr;
}

// Activation checkpointing runs forward again while a node runs: with autograd on, though the backward has it
// off; or, where the backward itself is differentiated, from torch's own checkpoint code.
bool recomputes(const OpStack& stack, std::size_t first) noexcept {
    if (first == stack.depth || stack.entries[first].sequence < 0) {
        return false;
    }
    return !stack.entries[first - 1].grad_mode || python_in_checkpoint();
}

const char* interned_op(OpStack& stack) noexcept {
    if (stack.depth == 0 || stack.entries[stack.depth - 1].backward) {
        return "";
    }
    OpEntry& entry = stack.entries[stack.depth - 1];
    return entry.its_row() != nullptr ? entry.row->op : intern(entry.name);
}

void push(const at::RecordFunction& record) noexcept {
    OpStack& stack = this_thread_stack;
    // An async record ends on another thread, so it would stay here forever.
    if (stack.depth == OpStack::capacity || record.isAsync()) {
        return;
    }
    OpEntry& entry = stack.entries[stack.depth];
    entry.record = &record;
    entry.name = record.name();
    entry.inner_api = nullptr;
    entry.looked_up = false;
    entry.sequence = record.seqNr();
    entry.backward = record.scope() == at::RecordScope::BACKWARD_FUNCTION;
    if (entry.backward) {
        entry.forward_thread = record.forwardThreadId();
        entry.grad_mode = c10::GradMode::is_enabled();
    }
    ++stack.depth;
}

// A Python autograd.Function is recorded under its class's name, which has no namespace.
bool is_custom_function(const OpEntry& entry) noexcept {
    return std::strstr(entry.name, "::") == nullptr;
}

// `entry`, the top of the stack, ends. Where it made autograd nodes and is a torch API, the outermost op of
// its phase remembers for them where the program stood.
void remember_nodes(OpStack& stack) noexcept {
    OpEntry& entry = stack.entries[stack.depth - 1];
    if (entry.backward || entry.sequence < 0) {
        return;
    }
    const std::uint64_t next = at::sequence_number::peek();
    const auto first = static_cast<std::uint64_t>(entry.sequence);
    if (next <= first) {
        return;
    }
    const char* api = api_of(entry.its_row());
    if (api == nullptr) {
        api = entry.inner_api;
    }
    const bool outermost = stack.depth == 1 || stack.entries[stack.depth - 2].backward;
    if (!outermost) {
        stack.entries[stack.depth - 2].inner_api =
            api != nullptr ? api : stack.entries[stack.depth - 2].inner_api;
        return;
    }
    if (api == nullptr && !is_custom_function(entry)) {
        return;
    }
    Resolved resolved = resolve(stack);
    if (resolved.phase == FUMI_PHASE_FORWARD) {
        resolved.origin.api = api != nullptr ? api : "";
    }
    nodes_store(at::RecordFunction::currentThreadId(), first, next, intern(resolved.origin));
}

void pop(const at::RecordFunction& record) noexcept {
    OpStack& stack = this_thread_stack;
    // Anything above `record` has ended without a word; a record that is not here began elsewhere.
    std::size_t depth = stack.depth;
    while (depth > 0 && stack.entries[depth - 1].record != &record) {
        --depth;
    }
    if (depth == 0) {
        return;
    }
    stack.depth = depth;
    remember_nodes(stack);
    stack.depth = depth - 1;
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& record) {
    push(record);
    return nullptr;
}

void on_end(const at::RecordFunction& record, at::ObserverContext*) {
    pop(record);
}

at::CallbackHandle functions = 0;

}  // namespace

const Operation* row_named(const char* name) noexcept {
    const Named* const seat = seat_of(name);
    return seat != nullptr && seat->name != nullptr ? seat->row : operation_of(name);
}

const Operation* row_of(const at::RecordFunction& record) noexcept {
    const char* const name = record.name();
    Named* const seat = seat_of(name);
    if (seat == nullptr || seat->name != nullptr) {
        return seat != nullptr ? seat->row : operation_of(name);
    }
    const Operation* const row = operation_of(name);
    if (record.operator_name().has_value()) {
        *seat = {name, row};
    }
    return row;
}

OpStack& op_stack() noexcept {
    return this_thread_stack;
}

Resolved resolve(OpStack& stack) noexcept {
    Resolved resolved;
    if (stack.depth == 0) {
        return resolved;
    }
    resolved.op = interned_op(stack);
    const std::size_t first = first_of_phase(stack);
    const char* const api = own_api(stack, first);
    resolved.origin.api = api != nullptr ? api : "";
    if (first == 0 || recomputes(stack, first)) {
        resolved.phase = FUMI_PHASE_FORWARD;
        resolved.function = python_where(&resolved.origin, first != 0);
        return resolved;
    }
    resolved.phase = FUMI_PHASE_BACKWARD;
    const OpEntry& node = stack.entries[first - 1];
    const Origin* const forward = nodes_find(node.forward_thread, static_cast<std::uint64_t>(node.sequence));
    if (forward == nullptr) {
        // The line of a custom backward where Python runs, else the one that called backward.
        python_where(&resolved.origin, true);
        resolved.origin.module = "";
        return resolved;
    }
    resolved.origin.location = forward->location;
    resolved.origin.module = forward->module;
    if (*forward->api != '\0') {
        resolved.origin.api = forward->api;
    }
    return resolved;
}

bool observe_ops() noexcept {
    try {
        const at::RecordFunctionCallback callback(on_start, on_end);
        functions =
            at::addGlobalCallback(at::RecordFunctionCallback(callback).scopes({at::RecordScope::FUNCTION}));
        at::addGlobalCallback(
            at::RecordFunctionCallback(callback).scopes({at::RecordScope::BACKWARD_FUNCTION}));
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

void observe_functions_elsewhere() {
    at::removeCallback(functions);
}

void function_begins(const at::RecordFunction& record) noexcept {
    push(record);
}

void function_ends(const at::RecordFunction& record) noexcept {
    pop(record);
}

}  // namespace fumi::mapping
