// add_noise: the call is issued again on copies of its inputs, moved by rounding-size noise, and how far its
// output moves says how ill-conditioned the data are.
#include <algorithm>

#include "cupti_hook/rerun/again.h"
#include "cupti_hook/rerun/checker.h"

namespace fumi::rerun {

namespace {

const char* reference_name(NoiseKind kind) noexcept {
    switch (kind) {
        case NoiseKind::relative:
            return "relative noise";
        case NoiseKind::bits:
            return "noise in the last bits";
        case NoiseKind::fixed:
            return "noise of fixed size";
        case NoiseKind::ulp:
            break;
    }
    return "noise of one ulp";
}

// Different for each input of each sample of each call; place 3 draws the elements that are looked at.
std::uint64_t seed_of(const config::Noise& noise, const Entry& entry, int sample, int place) noexcept {
    const auto call = static_cast<std::uint64_t>(noise.seed) * 0x9fb21c651e98df25ULL +
                      static_cast<std::uint64_t>(entry.call_id);
    const std::uint64_t draw = (call * 64 + static_cast<std::uint64_t>(sample)) * 4;
    return (draw + static_cast<std::uint64_t>(place)) * 0xd1342543de82ef95ULL;
}

// Elements at one address, as a broadcast operand has them, are one.
Strided distinct(Strided view) noexcept {
    for (int d = 0; d < kStridedRank; ++d)
        if (view.stride[d] == 0) view.size[d] = std::min<std::int64_t>(view.size[d], 1);
    return view;
}

}  // namespace

const char* Checker::plan_noise(Entry& entry, PendingCheck& pending, std::size_t room,
                                std::size_t& bytes) noexcept {
    const GemmProblem& problem = entry.call.problem;
    if (pending.windowed) return "add_noise: no device memory for a copy of C within limits.scratch";
    if (pending.repeat == nullptr) pending.footprint = footprint_of(entry.call);
    const Footprint& footprint = pending.footprint;
    if (footprint.reason != nullptr) return footprint.reason;
    const NoiseChoice choice{static_cast<NoiseKind>(noise_.kind), noise_.size,
                             static_cast<int>(std::min<std::int64_t>(noise_.bits, 64)), 0};
    int bits = 64;
    for (int i = 0; i < footprint.count; ++i) {
        const Region& region = footprint.regions[i];
        if (!region.read) continue;
        const bool factor = region.operand < 2;
        const DataType type = region.elements.type;
        const int own = factor ? noise_bits(type, *entry.contract) : precision_bits(type);
        const char* reason = nullptr;
        NoiseParams& params = pending.noise[i] = noise_for(choice, type, own, reason);
        if (reason != nullptr) return reason;
        params.from = distinct(region.elements);
        params.factor = factor ? problem.alpha : problem.beta;
        params.operand = region.operand;
        if (factor) bits = std::min(bits, own);
    }
    pending.noise_elements = noise_elements(count_of(footprint.regions[0].elements));
    const std::size_t wanted =
        bytes_again(footprint, true) +
        round_up(static_cast<std::size_t>(pending.noise_elements) * 2 * sizeof(double));
    if (wanted > room) return "add_noise: no device memory for copies of the inputs within limits.scratch";
    Check* check = add_check(entry, config::Mode::add_noise);
    if (check == nullptr) return "result ring full";
    check->reference = reference_name(choice.kind);
    check->sampled = pending.noise_elements < count_of(footprint.regions[0].elements);
    check->noise = choice.kind;
    check->noise_samples = noise_samples(choice.kind, static_cast<int>(noise_.samples));
    check->noise_bits = bits;
    pending.add_noise = check;
    bytes = std::max(bytes, wanted);
    return nullptr;
}

CUresult Checker::move_inputs(const libraries::DriverApi& driver, const Entry& entry, PendingCheck& pending,
                              const AgainMemory& memory, int sample, unsigned blocks) noexcept {
    CUresult status = CUDA_SUCCESS;
    bool first = sample == 0;
    for (int i = 0; i < pending.footprint.count && status == CUDA_SUCCESS; ++i) {
        const Region& region = pending.footprint.regions[i];
        if (!region.read) continue;
        NoiseParams params = pending.noise[i];
        const char* from = static_cast<const char*>(region.elements.data);
        params.to = const_cast<char*>(from) + memory.moved[i];
        if (region.written) params.from.data = params.to;  // where what the call overwrote was restored
        params.seed = seed_of(noise_, entry, sample, region.operand);
        params.replayed = entry.captured ? result_of(*pending.add_noise) : nullptr;
        params.partials = reinterpret_cast<ErrorStats*>(pending.scratch);
        params.add = first ? 0 : 1;
        first = false;
        status = launch(driver, entry.call.stream, kernel_name::add_noise, blocks, kCheckThreads, &params);
    }
    return status;
}

const char* Checker::enqueue_noise(const libraries::DriverApi& driver, Entry& entry, PendingCheck& pending,
                                   const libraries::Call& call) noexcept {
    const Check& check = *pending.add_noise;
    const Footprint& footprint = pending.footprint;
    AgainMemory memory;
    place(footprint, pending.work, true, memory);
    std::int64_t largest = 0;
    for (int i = 0; i < footprint.count; ++i)
        largest = std::max(largest, count_of(footprint.regions[i].elements));
    const unsigned blocks = compare_blocks(largest, partials_ceiling);

    NoiseResponseParams response;
    response.output = footprint.regions[0].elements;
    response.moved = static_cast<const char*>(response.output.data) + memory.moved[0];
    response.sums = reinterpret_cast<double*>(pending.work + bytes_again(footprint, true));
    response.looked_at = pending.noise_elements;
    response.seed = seed_of(noise_, entry, 0, 3);
    response.replayed = entry.captured ? result_of(check) : nullptr;
    response.samples = check.noise_samples;
    response.partials = reinterpret_cast<ErrorStats*>(pending.scratch);
    CUresult status = CUDA_SUCCESS;
    for (int sample = 0; sample < check.noise_samples && status == CUDA_SUCCESS; ++sample) {
        if (const char* reason = restore_outputs(driver, entry, pending.saved, footprint, memory))
            return reason;
        status = move_inputs(driver, entry, pending, memory, sample, blocks);
        if (status != CUDA_SUCCESS) break;
        if (const char* reason = issue_again(call, entry.context, footprint, memory)) return reason;
        response.sample = sample;
        status =
            launch(driver, entry.call.stream, kernel_name::noise_response, blocks, kCheckThreads, &response);
    }
    if (status == CUDA_SUCCESS) status = merge(driver, entry, check, pending, blocks);
    return failed(driver, status);
}

}  // namespace fumi::rerun
