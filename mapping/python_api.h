// The part of CPython's C API that is used here, found in the process at run time: libfumi_torch.so is one
// binary for every Python from 3.10 on, and for programs without any. Names and contracts are CPython's own.
#pragma once

namespace fumi::mapping {

using PyHandle = void;  // PyObject, PyFrameObject, PyCodeObject, PyThreadState: opaque here

struct PythonApi {
    int (*is_initialized)();
    int (*is_finalizing)();  // _Py_IsFinalizing until 3.12
    PyHandle* (*this_thread_state)();
    int (*gil_check)();
    int (*gil_ensure)();
    void (*gil_release)(int);
    int (*gc_disable)();
    int (*gc_enable)();
    PyHandle* (*current_frame)();        // borrowed
    PyHandle* (*frame_back)(PyHandle*);  // new reference or nullptr
    PyHandle* (*frame_code)(PyHandle*);  // new reference
    int (*frame_line)(PyHandle*);
    int (*frame_lasti)(PyHandle*);                   // since 3.11; may be nullptr
    PyHandle* (*frame_locals)(PyHandle*);            // since 3.11; may be nullptr
    PyHandle* (*frame_var)(PyHandle*, const char*);  // since 3.12; may be nullptr
    PyHandle* (*get_attr)(PyHandle*, const char*);   // new reference or nullptr with an error set
    PyHandle* (*dict_get)(PyHandle*, const char*);   // borrowed, no error; any object
    int (*dict_next)(PyHandle*, long*, PyHandle**, PyHandle**);
    PyHandle* (*mapping_get)(PyHandle*, const char*);  // new reference
    const char* (*utf8)(PyHandle*);                    // nullptr with an error set where it is no str
    PyHandle* (*new_weakref)(PyHandle*, PyHandle*);
    PyHandle* (*weakref_get)(PyHandle*);  // borrowed; None when dead
    PyHandle* (*type_of)(PyHandle*);      // PyObject_Type: new reference
    void (*incref)(PyHandle*);
    void (*decref)(PyHandle*);
    void (*error_fetch)(PyHandle**, PyHandle**, PyHandle**);
    void (*error_restore)(PyHandle*, PyHandle*, PyHandle*);
    void (*error_clear)();
};

// nullptr where the process has no Python, or one too old to be read.
const PythonApi* load_python() noexcept;

// Holds the GIL with the garbage collector and any pending exception put aside, so that looking at frames
// runs nothing of the program's. Not held (false) on threads that have never run Python, and while Python
// shuts down.
class PythonLock {
  public:
    explicit PythonLock(const PythonApi* api) noexcept;
    ~PythonLock();
    PythonLock(const PythonLock&) = delete;
    PythonLock& operator=(const PythonLock&) = delete;
    explicit operator bool() const noexcept { return held_; }

  private:
    const PythonApi* api_;
    bool held_ = false;
    bool ensured_ = false;
    int state_ = 0;
    int collected_ = 0;
    PyHandle* error_[3] = {nullptr, nullptr, nullptr};
};

}  // namespace fumi::mapping
