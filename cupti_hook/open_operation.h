// The operation of torch that the calling thread is in and that has a row of its own (operations.h): the
// library calls that it makes are its children.
#pragma once
#include <cstdint>

namespace fumi {

struct OpenOperation {
    bool open = false;
    std::int64_t number = 0;  // its call's; taken by the first that needs it
};

inline constinit thread_local OpenOperation open_operation;

}  // namespace fumi
