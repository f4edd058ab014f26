#include "mapping/python_api.h"

#include <dlfcn.h>

namespace fumi::mapping {
namespace {

template <typename Function>
bool find(Function& function, const char* name) noexcept {
    function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
}

bool find_all(PythonApi& api) noexcept {
    find(api.frame_lasti, "PyFrame_GetLasti");
    find(api.frame_locals, "PyFrame_GetLocals");
    find(api.frame_var, "PyFrame_GetVarString");
    if (!find(api.is_finalizing, "Py_IsFinalizing") && !find(api.is_finalizing, "_Py_IsFinalizing")) {
        return false;
    }
    return find(api.is_initialized, "Py_IsInitialized") &&
           find(api.this_thread_state, "PyGILState_GetThisThreadState") &&
           find(api.gil_check, "PyGILState_Check") && find(api.gil_ensure, "PyGILState_Ensure") &&
           find(api.gil_release, "PyGILState_Release") && find(api.gc_disable, "PyGC_Disable") &&
           find(api.gc_enable, "PyGC_Enable") && find(api.current_frame, "PyEval_GetFrame") &&
           find(api.frame_back, "PyFrame_GetBack") && find(api.frame_code, "PyFrame_GetCode") &&
           find(api.frame_line, "PyFrame_GetLineNumber") && find(api.get_attr, "PyObject_GetAttrString") &&
           find(api.dict_get, "PyDict_GetItemString") && find(api.dict_next, "PyDict_Next") &&
           find(api.mapping_get, "PyMapping_GetItemString") && find(api.utf8, "PyUnicode_AsUTF8") &&
           find(api.new_weakref, "PyWeakref_NewRef") && find(api.weakref_get, "PyWeakref_GetObject") &&
           find(api.type_of, "PyObject_Type") && find(api.incref, "Py_IncRef") &&
           find(api.decref, "Py_DecRef") && find(api.error_fetch, "PyErr_Fetch") &&
           find(api.error_restore, "PyErr_Restore") && find(api.error_clear, "PyErr_Clear");
}

}  // namespace

const PythonApi* load_python() noexcept {
    static PythonApi api{};
    static const bool complete = find_all(api);
    return complete ? &api : nullptr;
}

PythonLock::PythonLock(const PythonApi* api) noexcept : api_(api) {
    // A thread without a Python state has no frames to show: autograd's own threads never wait for the GIL
    // here.
    if (api == nullptr || api->is_initialized() == 0 || api->is_finalizing() != 0 ||
        api->this_thread_state() == nullptr) {
        return;
    }
    if (api->gil_check() == 0) {
        state_ = api->gil_ensure();
        ensured_ = true;
    }
    held_ = true;
    api->error_fetch(&error_[0], &error_[1], &error_[2]);
    collected_ = api->gc_disable();
}

PythonLock::~PythonLock() {
    if (!held_) {
        return;
    }
    if (collected_ != 0) {
        api_->gc_enable();
    }
    api_->error_restore(error_[0], error_[1], error_[2]);
    if (ensured_) {
        api_->gil_release(state_);
    }
}

}  // namespace fumi::mapping
