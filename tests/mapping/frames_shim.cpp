// The raw frame walk for Python to compare with its own (test_frames.py).
#include <cstdint>

#include "mapping/python_frames.h"

#define SHIM_EXPORT extern "C" __attribute__((visibility("default")))

// The addresses of the thread's code objects and first locals, innermost first, `limit` at most; returns
// their number.
SHIM_EXPORT std::int32_t shim_frames(std::uintptr_t* codes, std::uintptr_t* first_locals,
                                     std::int32_t limit) {
    fumi::mapping::FrameCursor cursor(fumi::mapping::load_python());
    fumi::mapping::FrameView view{};
    std::int32_t count = 0;
    while (count < limit && cursor.next(&view)) {
        codes[count] = reinterpret_cast<std::uintptr_t>(view.code);
        first_locals[count++] = reinterpret_cast<std::uintptr_t>(view.first_local);
    }
    return count;
}
