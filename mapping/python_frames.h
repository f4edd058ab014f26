// The calling thread's Python frames read where CPython keeps them, without the GIL and without making frame
// objects.
//
// Safe without the GIL, because a thread's frames change only while that thread runs Python, and here it runs
// C++: code objects and arguments of running frames are held by the frames. Only for the CPython versions
// whose layout stands in python_frames.cpp (3.11, 3.12; Include/internal/pycore_frame.h); others are walked
// through the public API alone.
#pragma once
#include <cstdint>

#include "mapping/python_api.h"

namespace fumi::mapping {

struct FrameView {
    PyHandle* code;           // PyCodeObject, borrowed
    const void* instruction;  // inside the code: one per place in it
    PyHandle* first_local;    // of a method its self; borrowed, may be nullptr
};

class FrameCursor {
  public:
    // Starts at the innermost frame; at none where the layout is not known or the thread has no Python state.
    explicit FrameCursor(const PythonApi* api) noexcept;
    // The next frame outwards; false after the last.
    bool next(FrameView* view) noexcept;

  private:
    const char* frame_ = nullptr;
    bool v312_ = false;
};

// Whether `weak` (a weak reference) leads to `object`, read without the GIL. `object` must be alive and
// `weak` must be held: a weak reference that has ever led to an object that died was cleared before its
// memory was used again.
bool weak_leads_to(const PyHandle* weak, const PyHandle* object) noexcept;

}  // namespace fumi::mapping
