#include "tools/softcuda/dnn/legacy/call.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "tools/softcuda/blas/names.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::dnn::legacy {
namespace {

std::uint64_t next_run() noexcept {
    static std::atomic<std::uint64_t> runs{0};
    return ++runs;
}

void plant_in_results(const faults::Plan& plan, std::span<const faults::View> results) {
    if (const auto where = faults::apply_to_output(plan, results))
        faults::log_planted(plan, *where);
    else
        faults::log_skipped(plan, "it would change no result");
}

void run_faulty(const Call& call, const faults::Plan& plan) {
    Deviation none;
    const bool in_results = faults::is_output_fault(plan.kind),
               stale = plan.kind == faults::Kind::stale_output;
    const bool own = std::find(call.plants.begin(), call.plants.end(), plan.kind) != call.plants.end();
    const std::vector<faults::View> results = call.results();
    if (in_results) {
        call.run(none);
        return plant_in_results(plan, results);
    }
    if (!own && !stale) {
        call.run(none);
        return faults::log_skipped(plan, "the call has no such part");
    }
    const std::vector<faults::View> states = call.states();
    const auto before = faults::save(results), states_before = faults::save(states);
    call.run(none);
    const auto right = faults::save(results);
    faults::restore(results, before);
    Deviation deviation{&plan, next_run(), {}};
    if (!stale) {
        faults::restore(states, states_before);
        call.run(deviation);
    }
    if (faults::save(results) == right)
        faults::log_skipped(plan, "the results come out the same");
    else
        faults::log_planted(plan, deviation.where);
}

}  // namespace

cudnnStatus_t enqueue(cudnnHandle_t handle, Call call) {
    auto fault = faults::plan(call.function, call.shape);
    const char* name = blas::intern("softcuda_" + call.kernel);
    std::function<void()> run = [] {};
    if (!settings().compute_null) {
        run = [call = std::make_shared<const Call>(std::move(call)), fault = std::move(fault)] {
            if (fault != nullptr) return run_faulty(*call, *fault);
            Deviation none;
            call->run(none);
        };
    }
    return status_of(softcuda::launch(handle->stream, name, std::move(run)));
}

}  // namespace softcuda::dnn::legacy
