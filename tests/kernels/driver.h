// The CUDA driver, found at run time: a GPU's, or the software device that is preloaded.
#pragma once
#include <cuda.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {

// Every failure throws std::runtime_error with the call's name and the driver's error number.
class Driver {
  public:
    Driver();
    std::string device_name() const { return name_; }
    bool software() const { return software_; }
    CUdeviceptr allocate(std::size_t bytes);
    void copy_in(CUdeviceptr to, const void* from, std::size_t bytes);
    void* allocate_pinned(std::size_t bytes);
    void launch(const char* kernel, unsigned blocks, unsigned threads, void* params);
    void synchronize();
    void release();  // what was allocated

  private:
    template <class F>
    F entry(const char* name);
    CUfunction function(const char* kernel);
    void* library_ = nullptr;
    std::vector<CUlibrary> code_;  // an image each
    bool software_ = false;
    std::string name_;
    std::unordered_map<std::string, CUfunction> functions_;
    std::vector<CUdeviceptr> device_;
    std::vector<void*> pinned_;
};

// Copies `memory` to the device, and turns every pointer into it in the problem (plain data, pointers at
// multiples of their size) into one into the copy.
void copy_to_device(Driver& driver, const std::vector<HostBytes>& memory, void* problem,
                    std::size_t problem_bytes);

// A copy of the workload's problem whose every pointer is a device pointer to a copy of its memory.
GemmProblem on_device(Driver& driver, const Workload& workload);
// The check as the hook runs it: two launches, result through pinned memory.
ErrorStats run_on_device(Driver& driver, const GemmProblem& problem, const Contract& contract,
                         const Coverage& coverage);

}  // namespace fumi::test
