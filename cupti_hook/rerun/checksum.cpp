// checksum: D w against A (B w), and a look for what is not finite.
#include <algorithm>

#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

const char* Checker::plan_checksum_check(Entry& entry, PendingCheck& pending, std::size_t room,
                                         std::size_t& bytes) noexcept {
    if (!entry.contract->supported) return entry.contract->name.c_str();
    if (entry.call.output_on_host) return "checksum: the result lies on the host";
    // Most that is good for one call: the rest of the ceiling is for others.
    const std::size_t most = std::min(room, most_checksum_bytes);
    pending.checksum_plan = plan_checksum(
        pending.problem,
        {checksum_.columns, static_cast<int>(checksum_.vectors), static_cast<std::uint64_t>(entry.call_id)},
        most, partials_ceiling);
    const ChecksumPlan& plan = pending.checksum_plan;
    if (*plan.reason != '\0') return plan.reason;
    Check* check = add_check(entry, config::Mode::checksum);
    if (check == nullptr) return "result ring full";
    check->reference = *plan.limit == '\0' ? "fp64 checksum" : "finite";
    check->limit = plan.limit;
    check->sampled = pending.windowed || plan.sampled;
    check->first_column = pending.first_column;
    pending.checksum = check;
    bytes = std::max(bytes, round_up(plan.sums_bytes));
    return nullptr;
}

const char* Checker::enqueue_checksum(const libraries::DriverApi& driver, Entry& entry,
                                      PendingCheck& pending) noexcept {
    const Check& check = *pending.checksum;
    const ChecksumPlan& plan = pending.checksum_plan;
    ChecksumParams params = plan.params;
    params.problem = pending.problem;  // its C is the saved one by now
    params.bound = entry.contract->bound;
    params.reduction_error = entry.contract->reduction_error;
    params.sums = reinterpret_cast<double*>(pending.work);
    params.partials = reinterpret_cast<ErrorStats*>(pending.scratch);
    params.replayed = entry.captured ? result_of(check) : nullptr;
    const CUstream stream = entry.call.stream;
    CUresult status = CUDA_SUCCESS;
    if (plan.column_blocks > 0)
        status =
            launch(driver, stream, kernel_name::checksum_columns, plan.column_blocks, kCheckThreads, &params);
    if (status == CUDA_SUCCESS)
        status = launch(driver, stream, kernel_name::checksum_rows, plan.row_blocks, kCheckThreads, &params);
    if (status == CUDA_SUCCESS) status = merge(driver, entry, check, pending, plan.row_blocks);
    return failed(driver, status);
}

}  // namespace fumi::rerun
