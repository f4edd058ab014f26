// What a call's engine, mathematics and types promise: the facts of its contract.
#include <new>

#include "cupti_hook/rerun/dnn_problem.h"

namespace fumi::rerun {

namespace {

using libraries::DnnCall;
using libraries::DnnOperation;
using libraries::DnnRole;
using libraries::DnnTensor;

DataType type_of(const DnnCall& call, std::initializer_list<DnnRole> roles) noexcept {
    for (const DnnRole role : roles)
        if (const DnnTensor* const tensor = call.find(role)) return tensor->type;
    return DataType::f32;
}

// From cuDNN 8 on fp32 may be computed in TF32 unless the call asks for FMA. A backend engine says itself
// whether it runs on tensor cores, which for fp32 means TF32 (torch's allow_tf32 chooses engines by that
// note).
bool converts_inputs(const DnnCall& call) noexcept {
    if (call.engine.notes_known)
        return call.engine.noted(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) ||
               call.engine.noted(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
    return call.math_type != CUDNN_FMA_MATH;
}

ConvAlgorithm of_forward(std::int32_t algorithm) noexcept {
    switch (algorithm) {
        case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM:
        case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM:
        case CUDNN_CONVOLUTION_FWD_ALGO_GEMM:
            return ConvAlgorithm::implicit_gemm;
        case CUDNN_CONVOLUTION_FWD_ALGO_DIRECT:
            return ConvAlgorithm::direct;
        case CUDNN_CONVOLUTION_FWD_ALGO_FFT:
        case CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING:
            return ConvAlgorithm::fft;
        case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD:
        case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED:
            return ConvAlgorithm::winograd;
        default:
            return ConvAlgorithm::unknown;
    }
}
ConvAlgorithm of_backward_data(std::int32_t algorithm) noexcept {
    switch (algorithm) {
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_0:
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_1:
            return ConvAlgorithm::implicit_gemm;
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT:
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING:
            return ConvAlgorithm::fft;
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD:
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED:
            return ConvAlgorithm::winograd;
        default:
            return ConvAlgorithm::unknown;
    }
}
ConvAlgorithm of_backward_filter(std::int32_t algorithm) noexcept {
    switch (algorithm) {
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0:
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1:
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3:
            return ConvAlgorithm::implicit_gemm;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT:
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING:
            return ConvAlgorithm::fft;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD:
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED:
            return ConvAlgorithm::winograd;
        default:
            return ConvAlgorithm::unknown;
    }
}

ConvAlgorithm algorithm_of(const DnnCall& call) noexcept {
    if (call.engine.noted(CUDNN_NUMERICAL_NOTE_WINOGRAD)) return ConvAlgorithm::winograd;
    if (call.engine.noted(CUDNN_NUMERICAL_NOTE_FFT)) return ConvAlgorithm::fft;
    if (call.engine.notes_known) return ConvAlgorithm::implicit_gemm;
    switch (call.operation) {
        case DnnOperation::convolution_forward:
            return of_forward(call.algorithm);
        case DnnOperation::convolution_backward_data:
            return of_backward_data(call.algorithm);
        default:
            return of_backward_filter(call.algorithm);
    }
}

// m of F(m, 3), by the tile m + 2. Non-fused kernels without a note use 6 x 6 tiles or smaller.
int winograd_outputs(const DnnCall& call) noexcept {
    if (call.engine.noted(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)) return 11;
    return call.engine.noted(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4) ? 2 : 4;
}

ConvFacts convolution_facts(const DnnCall& call) noexcept {
    ConvFacts facts;
    const DataType x = type_of(call, {DnnRole::x, DnnRole::dx}), w = type_of(call, {DnnRole::w, DnnRole::dw}),
                   y = type_of(call, {DnnRole::y, DnnRole::dy});
    switch (call.operation) {
        case DnnOperation::convolution_backward_data:
            facts.x = y;
            facts.w = w;
            facts.output = x;
            break;
        case DnnOperation::convolution_backward_filter:
            facts.x = x;
            facts.w = y;
            facts.output = w;
            break;
        default:
            facts.x = x;
            facts.w = w;
            facts.output = y;
    }
    facts.compute = call.compute_type;
    facts.tf32_allowed = converts_inputs(call);
    facts.reduced_precision_reduction =
        !call.engine.notes_known || call.engine.noted(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION);
    facts.algorithm = algorithm_of(call);
    facts.winograd_outputs = winograd_outputs(call);
    return facts;
}

bool is_convolution(const DnnCall& call) noexcept {
    return call.operation >= DnnOperation::convolution_forward &&
           call.operation <= DnnOperation::convolution_backward_filter;
}

DnnFacts facts_of(const DnnCall& call) noexcept {
    DnnFacts facts;
    facts.input = type_of(call, {DnnRole::x, DnnRole::q, DnnRole::dy, DnnRole::dx});
    facts.output = type_of(call, {DnnRole::y, DnnRole::dq, DnnRole::o, DnnRole::dx, DnnRole::dweights});
    facts.compute = call.compute_type == DataType::none ? DataType::f32 : call.compute_type;
    const bool products =
        call.operation >= DnnOperation::rnn_forward && call.operation <= DnnOperation::attention_backward;
    facts.tf32_allowed = products && converts_inputs(call);
    return facts;
}

}  // namespace

DnnContract contract_of(const DnnCall& call, int capability, bool ieee) {
    if (is_convolution(call)) {
        ConvFacts facts = convolution_facts(call);
        facts.capability = capability;
        facts.ieee = ieee;
        return contract_for(facts);
    }
    DnnFacts facts = facts_of(call);
    facts.capability = capability;
    facts.ieee = ieee;
    return contract_for(facts);
}

const DnnContract* DnnContracts::find(const DnnCall& call, int capability, bool ieee) noexcept try {
    std::uint64_t key = is_convolution(call) ? 1 : 0;
    const auto add = [&key](std::uint64_t value, int bits) {
        key = key << bits | (value & ((1U << bits) - 1));
    };
    const auto add_type = [&](DataType type) {
        add(static_cast<std::uint64_t>(static_cast<int>(type)) & 31, 5);
    };
    if (is_convolution(call)) {
        const ConvFacts f = convolution_facts(call);
        for (const DataType type : {f.x, f.w, f.output, f.compute}) add_type(type);
        add(f.tf32_allowed ? 1 : 0, 1);
        add(f.reduced_precision_reduction ? 1 : 0, 1);
        add(static_cast<std::uint64_t>(f.algorithm), 3);
        add(static_cast<std::uint64_t>(f.winograd_outputs), 4);
    } else {
        const DnnFacts f = facts_of(call);
        for (const DataType type : {f.input, f.output, f.compute}) add_type(type);
        add(f.tf32_allowed ? 1 : 0, 1);
    }
    add(static_cast<std::uint64_t>(capability), 10);
    add(ieee ? 1 : 0, 1);
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) return found->second.get();
    DnnContract contract = contract_of(call, capability, ieee);
    contract.base.bound.measures = measures_ ? 1 : 0;
    return known_.emplace(key, std::make_unique<const DnnContract>(std::move(contract))).first->second.get();
} catch (const std::bad_alloc&) {
    return nullptr;
}

}  // namespace fumi::rerun
