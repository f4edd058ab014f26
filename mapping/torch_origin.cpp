// The C interface of libfumi_torch.so (mapping/origin.h).
#include <mutex>

#include "mapping/forward_nodes.h"
#include "mapping/intern.h"
#include "mapping/op_stack.h"
#include "mapping/origin.h"
#include "mapping/python_stack.h"
#include "mapping/torch_version.h"

namespace {

const char* start() noexcept {
    if (const char* const why_not = fumi::mapping::of_another_torch()) {
        return why_not;
    }
    if (!fumi::mapping::nodes_reserve()) {
        return "no 16 MiB of address space for the table of autograd nodes";
    }
    fumi::mapping::intern_prepare_for_fork();
    fumi::mapping::python_start();
    return fumi::mapping::observe_ops() ? nullptr : "torch refused the RecordFunction callbacks";
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int32_t fumi_torch_start(uint32_t abi, const char* table,
                                                                           const char** error) {
    const char* message = nullptr;
    if (abi != FUMI_ORIGIN_ABI) {
        message = "libfumi_torch.so is of another FuMi version than libfumi_cupti.so";
    } else if (table != nullptr) {
        message = "the mapping tables are compiled into libfumi_torch.so; no other directory can be given";
    } else {
        static const char* const outcome = start();
        message = outcome;
    }
    if (error != nullptr) {
        *error = message;
    }
    return message == nullptr ? 0 : -1;
}

extern "C" __attribute__((visibility("default"))) int32_t fumi_torch_origin(FumiOrigin* out) {
    fumi::mapping::OpStack& stack = fumi::mapping::op_stack();
    const fumi::mapping::Resolved resolved = fumi::mapping::resolve(stack);
    out->api = resolved.origin.api;
    out->op = resolved.op;
    out->location = resolved.origin.location;
    out->module = resolved.origin.module;
    out->phase = resolved.phase;
    return stack.depth > 0 ? 1 : 0;
}
