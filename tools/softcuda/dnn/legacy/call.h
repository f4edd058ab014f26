// How the legacy functions put their work on the handle's stream, with the fault that is due.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tools/softcuda/dnn/handle.h"
#include "tools/softcuda/dnn/legacy/reduce.h"

namespace softcuda::dnn::legacy {

struct Call {
    const char* function = "";  // the library's entry point
    std::string kernel;         // the name that the launch is announced by
    faults::Shape shape;
    std::function<void(Deviation&)> run;  // may be called any number of times, on any thread
    std::function<std::vector<faults::View>()> results = [] { return std::vector<faults::View>(); };
    // What run() changes besides: put back before it is run a second time, never spoilt by itself.
    std::function<std::vector<faults::View>()> states = [] { return std::vector<faults::View>(); };
    // The kinds of fault that `run` plants by itself (those in finished results need nothing of it).
    std::vector<faults::Kind> plants = {};
};

cudnnStatus_t enqueue(cudnnHandle_t handle, Call call);

// The body of an entry point. The legacy functions answer a null handle by the general code.
template <class Body>
cudnnStatus_t entry(cudnnHandle_t handle, Body&& body) noexcept {
    if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM;
    return guarded(handle, body);
}

}  // namespace softcuda::dnn::legacy
