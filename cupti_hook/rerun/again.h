// Issuing a call a second time on memory of FuMi's own: where its operands go, and the call.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/rerun/footprint.h"
#include "cupti_hook/rerun/ring.h"

namespace fumi::rerun {

// The second call's memory: how far each region of the footprint lies from the program's (0: the program's
// own is read), and what the call gets for its workspace and its descriptor's outputs.
struct AgainMemory {
    std::ptrdiff_t moved[max_regions] = {};
    CUdeviceptr workspace = 0, descriptor_outputs = 0;
};

// Work memory that the second call needs: for outputs, and with `inputs` for copies of what it reads.
std::size_t bytes_again(const Footprint& footprint, bool inputs) noexcept;
// Addresses keep their place modulo 256 bytes: kernels are chosen by alignment.
void place(const Footprint& footprint, CUdeviceptr work, bool inputs, AgainMemory& memory) noexcept;

// What the call reads of its output before it writes, from the saved copy to the second output.
const char* restore_outputs(const libraries::DriverApi& driver, const Entry& entry, const SavePlan& saved,
                            const Footprint& footprint, const AgainMemory& memory) noexcept;

// Issues the call; nullptr, or the reason why the library did not take it.
const char* issue_again(const libraries::Call& call, const void* context, const Footprint& footprint,
                        const AgainMemory& memory) noexcept;

}  // namespace fumi::rerun
