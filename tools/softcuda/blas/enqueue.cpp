#include "tools/softcuda/blas/enqueue.h"

#include "tools/softcuda/blas/faulty.h"
#include "tools/softcuda/blas/names.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::blas {

namespace {

void run_faulty(const Work& work, const faults::Plan& plan) {
    const auto views = work.results();
    const auto before = faults::save(views);
    work.run();
    if (plan.kind != faults::Kind::stale_output) return plant_in_results(plan, views);
    const bool shows = faults::save(views) != before;
    faults::restore(views, before);
    shows ? faults::log_planted(plan, {}) : faults::log_skipped(plan, "the results were the same before");
}

}  // namespace

cublasStatus_t enqueue(cublasHandle_t handle, Work work, bool wait) {
    auto fault = faults::plan(work.function, work.shape);
    const char* name = intern("softcuda_" + work.kernel);
    std::function<void()> run = [] {};
    if (!settings().compute_null) {
        run = [work = std::make_shared<const Work>(std::move(work)), fault = std::move(fault)] {
            fault == nullptr ? work->run() : run_faulty(*work, *fault);
        };
    }
    cudaError_t error = softcuda::launch(handle->stream, name, std::move(run));
    if (error == cudaSuccess && wait) error = softcuda::synchronize(handle->stream);
    return status_of(error);
}

}  // namespace softcuda::blas
