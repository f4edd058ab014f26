#include "cupti_hook/rerun/dnn_checker.h"

#include <algorithm>

#include "cupti_hook/message.h"
#include "cupti_hook/rerun/capture.h"

namespace fumi::rerun {

namespace {

constexpr std::size_t round_to_256(std::size_t bytes) noexcept {
    return (bytes + 255) & ~std::size_t{255};
}
constexpr const char* no_room = "no device memory for the check within limits.scratch";

// An input that the call overwrites, wholly or in part: it is read by the check from a copy.
struct Saved {
    Operand operand;
    std::size_t offset;  // of the copy in the scratch memory
};
struct SavedInputs {
    int count = 0;
    std::size_t bytes = 0;
    Saved list[most_operands];
};

SavedInputs overwritten(const Operands& operands) noexcept {
    SavedInputs saved;
    for (int i = 0; i < operands.input_count; ++i) {
        const Operand& input = operands.inputs[i];
        const bool lost =
            std::any_of(operands.outputs, operands.outputs + operands.output_count,
                        [&](const Operand& output) { return output.extent.overlaps(input.extent); });
        if (!lost) continue;
        saved.list[saved.count++] = {input, saved.bytes};
        saved.bytes += round_to_256(static_cast<std::size_t>(input.extent.end - input.extent.begin));
    }
    return saved;
}

}  // namespace

const char* DnnChecker::prepare(const DnnPlace& place, const libraries::Call& call,
                                DnnPending& pending) noexcept {
    const char* const reason = plan(place, call, pending);
    if (reason != nullptr) copies_.used(call);
    return reason;
}

const char* DnnChecker::plan(const DnnPlace& place, const libraries::Call& call,
                             DnnPending& pending) noexcept {
    if (!kernels_.load(place.driver, place.context)) return "the check kernels could not be loaded";
    RnnLayout layout;
    if (const char* reason = layouts_.find(call, layout)) return reason;
    copies_.keep_input(place, call);
    if (const char* reason = copies_.find(place, call, layout)) return reason;
    if (const char* reason = make_problem(*call.dnn, &layout, pending.problem)) return reason;
    pending.contract = contracts_.find(*call.dnn, place.capability, place.ieee);
    if (pending.contract == nullptr) return "out of memory";
    if (!pending.contract->base.supported) return pending.contract->base.name.c_str();
    pending.coverage = {};
    if (choice_.coverage != config::Coverage::full)
        pending.coverage = {1, static_cast<std::int64_t>(choice_.sample_rows) * choice_.sample_columns,
                            place.seed};
    if (layout.ragged && place.capture != 0) return "sequences of different lengths in a captured call";
    return save_inputs(place, call, layout.ragged, pending);
}

// The lengths and places of a ragged call's sequences. From pageable memory, which the driver has copied when
// it returns.
const char* DnnChecker::send_places(const DnnPlace& place, const libraries::Call& call,
                                    const RaggedPlaces& places, CUdeviceptr target,
                                    RnnProblem& problem) noexcept {
    if (place.driver.memcpy_htod_async(target, places.host, places.bytes, call.stream) != CUDA_SUCCESS)
        return "the lengths of the sequences could not be put on the device";
    if (places.is_packed) problem.step_offsets = reinterpret_cast<const void*>(target);
    problem.lengths = reinterpret_cast<const void*>(target + places.lengths_offset);
    return nullptr;
}

const char* DnnChecker::save_inputs(const DnnPlace& place, const libraries::Call& call, bool ragged,
                                    DnnPending& pending) noexcept {
    RaggedPlaces places;
    if (ragged) {
        places = ragged_places(*call.dnn);
        if (places.host == nullptr) return "out of memory";
        // Any address will do while the plan is made.
        pending.problem.rnn.lengths = places.host;
        if (places.is_packed) pending.problem.rnn.step_offsets = places.host;
    }
    Operands operands = operands_of(pending.problem, *call.dnn);
    SavedInputs saved = overwritten(operands);
    const std::size_t places_offset = saved.bytes;
    saved.bytes += round_to_256(places.bytes);
    const std::size_t room = scratch_.available(place.context, call.stream, place.capture);
    if (saved.bytes > room)
        return "no device memory for a copy of what the call overwrites within limits.scratch";
    CheckTarget target;
    target.scratch_ceiling = room - saved.bytes;
    const CheckPlan plan = plan_check(pending.problem, *pending.contract, pending.coverage, target);
    if (*plan.reason != '\0') return plan.reason;
    pending.scratch_ceiling = target.scratch_ceiling;
    pending.reference = plan.reference;
    pending.sampled = plan.sampled;
    CUdeviceptr base = 0;
    {
        const RelaxedCapture relaxed(place.driver);
        base = scratch_.get(place.driver, place.context, call.stream, place.capture,
                            saved.bytes + plan.scratch_bytes);
    }
    if (base == 0) return no_room;
    pending.scratch = reinterpret_cast<void*>(base + saved.bytes);
    if (ragged) {
        if (const char* reason = send_places(place, call, places, base + places_offset, pending.problem.rnn))
            return reason;
    }
    for (int i = 0; i < saved.count; ++i) {
        const auto& [operand, offset] = saved.list[i];
        const auto begin = operand.extent.begin;
        if (place.driver.memcpy_dtod_async(base + offset, static_cast<CUdeviceptr>(begin),
                                           static_cast<std::size_t>(operand.extent.end - begin),
                                           call.stream) != CUDA_SUCCESS)
            return "what the call overwrites could not be saved before it";
        const auto inside = reinterpret_cast<std::intptr_t>(*operand.data) - begin;
        *operand.data = reinterpret_cast<const void*>(base + offset + static_cast<CUdeviceptr>(inside));
    }
    return nullptr;
}

const char* DnnChecker::enqueue(const DnnPlace& place, const libraries::Call& call, const DnnPending& pending,
                                CheckTarget target) noexcept {
    target.scratch = pending.scratch;
    target.scratch_ceiling = pending.scratch_ceiling;
    CheckPlan plan = plan_check(pending.problem, *pending.contract, pending.coverage, target);
    const bool is_planned = *plan.reason == '\0';
    const CUresult status = is_planned ? kernels_.launch(place.driver, call.stream, plan) : CUDA_SUCCESS;
    copies_.used(call);
    if (!is_planned) return plan.reason;
    if (status == CUDA_SUCCESS) return nullptr;
    const char* name = "unknown error";
    place.driver.get_error_name(status, &name);
    say_once("check launch", "a check could not be launched (%s); its call is recorded as not checked", name);
    return "the check could not be launched";
}

}  // namespace fumi::rerun
