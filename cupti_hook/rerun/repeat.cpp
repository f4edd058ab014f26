// repeat: the call is issued again on the same inputs, into memory of FuMi's, and its bits are compared.
#include <algorithm>

#include "cupti_hook/cupti/kernel_names.h"
#include "cupti_hook/libraries/cublas_handles.h"
#include "cupti_hook/libraries/cublaslt_again.h"
#include "cupti_hook/rerun/again.h"
#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

const char* Checker::plan_repeat(Entry& entry, PendingCheck& pending, std::size_t room,
                                 std::size_t& bytes) noexcept {
    if (pending.windowed) return "repeat: no device memory for a copy of C within limits.scratch";
    pending.footprint = footprint_of(entry.call);
    if (pending.footprint.reason != nullptr) return pending.footprint.reason;
    const std::size_t wanted = bytes_again(pending.footprint, false);
    if (wanted > room) return "repeat: no device memory for a second output within limits.scratch";
    Check* check = add_check(entry, config::Mode::repeat);
    if (check == nullptr) return "result ring full";
    check->reference = "the same call again";
    check->may_differ = entry.call.library == libraries::Library::cublas &&
                        libraries::atomics_allowed(static_cast<cublasHandle_t>(entry.call.handle));
    pending.repeat = check;
    bytes = std::max(bytes, wanted);
    return nullptr;
}

const char* Checker::enqueue_repeat(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                                    const libraries::Call& call) noexcept {
    Check& check = *pending.repeat;
    AgainMemory memory;
    place(pending.footprint, pending.work, false, memory);
    if (const char* reason = restore_outputs(driver, entry, pending.saved, pending.footprint, memory))
        return reason;
    const char* first = entry.kernel_count > 0 ? entry.kernels[0] : nullptr;
    cupti::begin_gathering();
    const char* reason = issue_again(call, entry.context, pending.footprint, memory);
    const char* again[max_kernel_names] = {};
    const int names = cupti::end_gathering(again, max_kernel_names);
    if (reason != nullptr) return reason;
    check.kernels[0] = first;
    check.kernels[1] = names > 0 ? again[0] : nullptr;

    CUresult status = CUDA_SUCCESS;
    std::int64_t elements = 0, largest = 0;
    for (int i = 0; i < pending.footprint.count; ++i)
        if (pending.footprint.regions[i].written)
            largest = std::max(largest, count_of(pending.footprint.regions[i].elements));
    const unsigned blocks = compare_blocks(largest, partials_ceiling);
    for (int i = 0; i < pending.footprint.count && status == CUDA_SUCCESS; ++i) {
        const Region& region = pending.footprint.regions[i];
        if (!region.written) continue;
        CompareParams params;
        params.a = region.elements;
        params.b = reinterpret_cast<const char*>(region.elements.data) + memory.moved[i];
        params.partials = reinterpret_cast<ErrorStats*>(pending.scratch);
        params.add = elements > 0 ? 1 : 0;
        params.first_index = elements;
        elements += count_of(region.elements);
        status = launch(driver, entry.call.stream, kernel_name::compare, blocks, kCheckThreads, &params);
    }
    if (status == CUDA_SUCCESS) status = merge(driver, entry, check, pending, blocks);
    return failed(driver, status);
}

}  // namespace fumi::rerun
