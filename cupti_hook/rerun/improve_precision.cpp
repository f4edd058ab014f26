// improve_precision: elements of the output are recomputed in higher precision and compared.
#include <algorithm>
#include <cstring>

#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

namespace {
constexpr int most_sampled_batches = 4;
}

const char* Checker::plan_improve_precision(Entry& entry, PendingCheck& pending) noexcept {
    if (!entry.contract->supported) return entry.contract->name.c_str();
    Check draft;
    draft.sampled = pending.windowed;
    choose_coverage(entry, pending, draft);
    pending.plan = plan_gemm_check(pending.problem, pending.coverage, partials_ceiling);
    if (pending.plan.kernel == nullptr) return pending.plan.reason;
    Check* check = add_check(entry, config::Mode::improve_precision);
    if (check == nullptr) return "result ring full";
    check->sampled = draft.sampled;
    check->first_column = pending.first_column;
    check->reference = pending.plan.reference;
    pending.improve_precision = check;
    return nullptr;
}

void Checker::choose_coverage(Entry& entry, PendingCheck& pending, Check& check) const noexcept {
    const GemmProblem& p = pending.problem;
    if (choice_.coverage == config::Coverage::full) {
        pending.coverage = full_coverage(p);
        return;
    }
    const auto clamped = [](std::int64_t value) {
        return static_cast<int>(std::min<std::int64_t>(value, 1 << 20));
    };
    const int batches = static_cast<int>(std::min<std::int64_t>(p.batch, most_sampled_batches));
    pending.coverage = sampled_coverage(p, clamped(choice_.sample_rows), clamped(choice_.sample_columns),
                                        batches, static_cast<std::uint64_t>(entry.call_id));
    check.sampled = check.sampled || elements_covered(p, pending.coverage) < p.m * p.n * p.batch;
}

const char* Checker::enqueue_improve_precision(const libraries::DriverApi& driver, Entry& entry,
                                               PendingCheck& pending) noexcept {
    Check& check = *pending.improve_precision;
    GemmProblem problem = pending.problem;
    if (entry.call.output_on_host) {
        Slot& slot = ring_.slot(check);
        const auto bytes = std::min<std::size_t>(sizeof slot.host_output,
                                                 static_cast<std::size_t>(element_bytes(problem.d.type)));
        std::memcpy(slot.host_output, problem.d.data, bytes);
        problem.d.data = device_slots_[check.slot].host_output;
    }
    GemmCheckParams params = make_check_params(problem, *entry.contract, pending.coverage,
                                               reinterpret_cast<void*>(pending.scratch),
                                               entry.captured ? result_of(check) : nullptr);
    CUresult status =
        launch(driver, entry.call.stream, pending.plan.kernel, pending.plan.blocks, kCheckThreads, &params);
    if (status == CUDA_SUCCESS) status = enqueue_probe(driver, entry, pending, problem, check);
    // Last, since the drainer takes a slot when its result is there.
    if (status == CUDA_SUCCESS) status = merge(driver, entry, check, pending, pending.plan.blocks);
    return failed(driver, status);
}

CUresult Checker::enqueue_probe(const libraries::DriverApi& driver, const Entry& entry,
                                const PendingCheck& pending, const GemmProblem& problem,
                                Check& check) noexcept {
    check.probed = !entry.call.output_on_host && precision_applies(problem);
    if (!check.probed) return CUDA_SUCCESS;
    PrecisionParams params =
        make_precision_params(problem, *entry.contract, static_cast<std::uint64_t>(entry.call_id),
                              reinterpret_cast<void*>(pending.scratch + partials_ceiling),
                              &device_slots_[check.slot].precision, entry.captured ? 0 : check.sequence);
    const CUstream stream = entry.call.stream;
    const CUresult status =
        launch(driver, stream, kPrecisionKernel, kPrecisionEntries, kPrecisionThreads, &params);
    if (status != CUDA_SUCCESS) return status;
    return launch(driver, stream, kPrecisionMergeKernel, 1, kPrecisionThreads, &params);
}

}  // namespace fumi::rerun
