// How the entry points that are no matrix products put their work on the handle's stream.
#pragma once
#include <functional>
#include <vector>

#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/handle.h"

namespace softcuda::blas {

struct Work {
    const char* function = "";  // the library's entry point
    std::string kernel;         // the name that the launch is announced by
    faults::Shape shape;
    std::function<void()> run;
    std::function<std::vector<faults::View>()> results;  // what run() wrote, for planted faults
};

// Enqueues the work with the fault that is due. `wait`: the result goes to host memory, so the call returns
// when it is there.
cublasStatus_t enqueue(cublasHandle_t handle, Work work, bool wait = false);

}  // namespace softcuda::blas
