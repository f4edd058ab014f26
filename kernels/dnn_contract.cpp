#include <cmath>

#include "kernels/dnn_check.h"

namespace fumi {
namespace {

// cublasComputeType_t of a cuDNN compute type.
int compute_type_of(DataType compute) {
    if (compute == DataType::f16) return 64;
    return compute == DataType::f64 ? 70 : 68;
}

std::string algorithm_name(const ConvFacts& facts) {
    const std::string m = std::to_string(facts.winograd_outputs);
    switch (facts.algorithm) {
        case ConvAlgorithm::direct:
            return "direct";
        case ConvAlgorithm::implicit_gemm:
            return "implicit GEMM";
        case ConvAlgorithm::winograd:
            return "Winograd F(" + m + ", 3)";
        case ConvAlgorithm::fft:
            return "FFT";
        default:
            return "algorithm not known, the widest bound of Winograd and FFT";
    }
}

}  // namespace

DnnContract contract_for(const ConvFacts& facts) {
    CallFacts call;
    call.compute_type = compute_type_of(facts.compute);
    call.tf32_allowed = facts.tf32_allowed;
    call.reduced_precision_reduction = facts.reduced_precision_reduction;
    call.a = facts.x;
    call.b = facts.w;
    call.output = facts.output;
    call.capability = facts.capability;
    call.ieee = facts.ieee;
    DnnContract contract;
    contract.base = contract_for(call);
    contract.algorithm = facts.algorithm;
    contract.base.direct =
        facts.algorithm == ConvAlgorithm::direct || facts.algorithm == ConvAlgorithm::implicit_gemm;
    contract.winograd_outputs = facts.winograd_outputs;
    if (contract.base.supported) contract.base.name += ", " + algorithm_name(facts);
    // The growth of F(m, 3) past m = 4 depends on the points that the library chose: no bound is known.
    if (facts.algorithm == ConvAlgorithm::winograd && facts.winograd_outputs > 4)
        contract.base.componentwise = false;
    return contract;
}

DnnContract contract_for(const DnnFacts& facts) {
    CallFacts call;
    call.compute_type = compute_type_of(facts.compute);
    call.tf32_allowed = facts.tf32_allowed;
    call.a = call.b = facts.input;
    call.output = facts.output;
    call.capability = facts.capability;
    call.ieee = facts.ieee;
    DnnContract contract;
    contract.base = contract_for(call);
    return contract;
}

}  // namespace fumi
