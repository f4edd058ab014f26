#include "kernels/contract.h"

#include <algorithm>
#include <cmath>

#include "kernels/calibration.h"

namespace fumi {
namespace {

// cublasComputeType_t, whose numbers are part of the library's binary interface.
enum ComputeType : int {
    k16F = 64,
    k16FPedantic = 65,
    k32F = 68,
    k32FPedantic = 69,
    k64F = 70,
    k64FPedantic = 71,
    k32I = 72,
    k32IPedantic = 73,
    k32FFast16F = 74,
    k32FFast16BF = 75,
    k32FFastTf32 = 77,
    k32FEmulated16BFx9 = 78,
    k64FEmulatedFixedPoint = 79,
};

// How a tensor core adds up: F alignment fraction bits, kb products fused a step, p_acc significand bits of
// the sum.
struct TensorCore {
    int fraction_bits, fused_products, accumulator_bits;
};

// docs/numerics.md, section 1. Unknown and newer devices get the loosest constants of their kind.
TensorCore tf32_core(int capability) {
    return capability >= 90 && capability < 110 ? TensorCore{25, 8, 24} : TensorCore{24, 4, 24};
}
TensorCore half_core(int capability) {
    if (capability >= 90 && capability < 110) return {25, 16, 24};
    return capability >= 80 ? TensorCore{24, 8, 24} : TensorCore{23, 4, 24};
}
TensorCore fp8_core(int capability) {
    if (capability >= 100 && capability < 110) return {25, 32, 24};
    return {13, capability == 90 ? 32 : 16, 14};
}

double beta_of(const TensorCore& core) {
    return 0.18 * (std::ldexp(1.0, core.accumulator_bits - core.fraction_bits) + 2.0 / core.fused_products);
}

bool is_fp8(DataType type) {
    return type == DataType::e4m3 || type == DataType::e5m2;
}
bool is_half(DataType type) {
    return type == DataType::f16 || type == DataType::bf16;
}
bool is_single(DataType type) {
    return type == DataType::f32 || type == DataType::c32;
}
bool is_double(DataType type) {
    return type == DataType::f64 || type == DataType::c64;
}

std::string on_device(const char* what, const CallFacts& facts) {
    if (facts.ieee) return std::string(what) + ", rounded to nearest";
    return facts.capability > 0 ? std::string(what) + " (sm_" + std::to_string(facts.capability) + ")" : what;
}

void set_accumulator(Contract& contract, int bits) {
    contract.bound.accumulator_bits = bits;
    contract.bound.u_acc = std::ldexp(1.0, -bits);
}

// What a calibration measured for the inputs as the unit gets them; nullptr where it did not.
const CoreConstants* measured_core(const CallFacts& facts, DataType inputs) {
    if (facts.calibration == nullptr) return nullptr;
    const Calibration& c = *facts.calibration;
    const CoreConstants* core = inputs == DataType::f32    ? &c.tf32
                                : inputs == DataType::f16  ? &c.fp16
                                : inputs == DataType::bf16 ? &c.bf16
                                                           : nullptr;
    return core != nullptr && core->accumulator_bits > 0 ? core : nullptr;
}

// inputs: fp32 stands for TF32.
void set_core(Contract& contract, const CallFacts& facts, const TensorCore& core, DataType inputs) {
    if (const CoreConstants* measured = measured_core(facts, inputs)) {
        set_accumulator(contract, measured->accumulator_bits);
        contract.bound.beta_t = truncation_rate(*measured);
        contract.calibrated = true;
        return;
    }
    if (facts.ieee) return;
    set_accumulator(contract, core.accumulator_bits);
    contract.bound.beta_t = beta_of(core);
}

// fp32 inputs that the kernel may convert to `bits` bits, of 2 u_in each product where it rounds and 4 where
// it truncates.
void set_conversion(Contract& contract, int bits, double factor) {
    contract.inputs_converted = true;
    contract.bound.input_error = factor * std::ldexp(1.0, -bits);
    contract.p = bits;
}

void fp64_contract(Contract& contract, const CallFacts& facts) {
    set_accumulator(contract, 53);
    contract.bound.accumulator_max = 0x1.fffffffffffffp1023;
    contract.bound.underflow = 0x1p-1074;
    contract.name = "fp64 FMA";
    if (facts.compute_type == k64FEmulatedFixedPoint) {
        contract.name = "fp64 emulated in fixed point (accurate in norm only)";
        contract.componentwise = false;
    }
}

void integer_contract(Contract& contract, const CallFacts& facts) {
    contract.bound.exact = facts.output == DataType::i32 ? 1 : 0;
    contract.bound.underflow = 0;
    contract.p = facts.output == DataType::i32 ? 31 : contract.p;
    contract.name =
        facts.output == DataType::i32 ? "int8 products, exact int32 sums" : "int8 products, scaled in fp32";
}

void half_accumulator_contract(Contract& contract) {
    set_accumulator(contract, 11);
    contract.bound.beta_t = 0.1;
    contract.bound.accumulator_max = 65504;
    contract.bound.underflow = 0x1p-24;
    contract.name = "fp16 accumulation";
}

// fp32 and complex64 operands, by what the compute type and the math mode let the library do with them.
void single_contract(Contract& contract, const CallFacts& facts) {
    if (facts.compute_type == k32FFast16F) {
        set_conversion(contract, 11, 2);
        set_core(contract, facts, half_core(facts.capability), DataType::f16);
        contract.componentwise =
            false;  // small inputs underflow in fp16, which no bound relative to G covers
        contract.name = on_device("fp32 inputs rounded to fp16", facts);
    } else if (facts.compute_type == k32FFast16BF) {
        set_conversion(contract, 8, 2);
        set_core(contract, facts, half_core(facts.capability), DataType::bf16);
        contract.name = on_device("fp32 inputs rounded to bf16", facts);
    } else if (facts.compute_type == k32FEmulated16BFx9) {
        set_core(contract, facts, half_core(facts.capability), DataType::bf16);
        contract.bound.input_error = 2 * 0x1p-24;
        contract.name = on_device("fp32 emulated by nine bf16 products", facts);
    } else if (facts.compute_type == k32FFastTf32 ||
               (facts.tf32_allowed && facts.compute_type != k32FPedantic)) {
        set_conversion(contract, 11, 4);
        set_core(contract, facts, tf32_core(facts.capability), DataType::f32);
        contract.name = on_device("TF32 tensor core", facts);
    } else {
        contract.name = "fp32 FMA";
    }
}

void low_precision_contract(Contract& contract, const CallFacts& facts) {
    const std::string type = type_name(facts.a);
    if (facts.compute_type == k32FPedantic) {
        contract.name = type + " inputs, fp32 FMA";
    } else if (is_fp8(facts.a)) {
        set_core(contract, facts, fp8_core(facts.capability), facts.a);
        contract.name = on_device("fp8 tensor core", facts);
    } else {
        set_core(contract, facts, half_core(facts.capability), facts.a);
        contract.name = on_device((type + " tensor core, fp32 accumulation").c_str(), facts);
    }
}

}  // namespace

int precision_bits(DataType type) noexcept {
    switch (type) {
        case DataType::f64:
        case DataType::c64:
            return 53;
        case DataType::f32:
        case DataType::c32:
            return 24;
        case DataType::f16:
        case DataType::c16:
            return 11;
        case DataType::bf16:
            return 8;
        case DataType::e4m3:
            return 4;
        case DataType::e5m2:
            return 3;
        default:
            return 0;
    }
}

int element_bytes(DataType type) noexcept {
    switch (type) {
        case DataType::c64:
            return 16;
        case DataType::f64:
        case DataType::c32:
            return 8;
        case DataType::f32:
        case DataType::c16:
        case DataType::i32:
            return 4;
        case DataType::f16:
        case DataType::bf16:
            return 2;
        case DataType::none:
            return 0;
        default:
            return 1;
    }
}

bool is_complex(DataType type) noexcept {
    return type == DataType::c16 || type == DataType::c32 || type == DataType::c64;
}

const char* type_name(DataType type) noexcept {
    switch (type) {
        case DataType::f32:
            return "fp32";
        case DataType::f64:
            return "fp64";
        case DataType::f16:
            return "fp16";
        case DataType::bf16:
            return "bf16";
        case DataType::e4m3:
            return "e4m3";
        case DataType::e5m2:
            return "e5m2";
        case DataType::i8:
            return "int8";
        case DataType::u8:
            return "uint8";
        case DataType::i32:
            return "int32";
        case DataType::c16:
            return "complex32";
        case DataType::c32:
            return "complex64";
        case DataType::c64:
            return "complex128";
        case DataType::none:
            return "none";
    }
    return "unknown";
}

Contract contract_for(const CallFacts& facts) {
    Contract contract;
    contract.output = facts.output;
    contract.p = 53;
    const bool integers = facts.a == DataType::i8 && facts.b == DataType::i8;
    if (is_double(facts.a) || is_double(facts.b)) {
        fp64_contract(contract, facts);
    } else if (integers && (facts.compute_type == k32I || facts.compute_type == k32IPedantic)) {
        integer_contract(contract, facts);
    } else if (facts.compute_type == k16F || facts.compute_type == k16FPedantic) {
        half_accumulator_contract(contract);
    } else if (is_single(facts.a)) {
        single_contract(contract, facts);
    } else if (is_fp8(facts.a) || is_half(facts.a)) {
        low_precision_contract(contract, facts);
    } else if (integers || facts.a == DataType::c16) {
        contract.name = std::string(type_name(facts.a)) + " inputs, fp32 FMA";
    } else {
        contract.supported = false;
        contract.name = std::string("no contract known for ") + type_name(facts.a) + " operands";
    }
    if (contract.bound.exact == 0) {
        contract.p = std::min(contract.p, contract.bound.accumulator_bits);
        const int output_bits = precision_bits(facts.output);
        if (output_bits > 0) contract.p = std::min(contract.p, output_bits);
    }
    if (contract.calibrated) contract.name += ", calibrated";
    contract.bound.u = std::ldexp(1.0, -contract.p);
    // GELU epilogues use the hardware's tanh, whose relative error is 2^-11 (PTX ISA, tanh.approx.f32).
    contract.bound.activation_error = facts.ieee || is_double(facts.a) ? 8 * contract.bound.u_acc : 0x1p-11;
    if (facts.reduced_precision_reduction && is_half(facts.output) && facts.split_k != 1 && !facts.ieee) {
        const int partial_sums = facts.split_k > 1 ? facts.split_k : 4;
        contract.reduction_error = (2.0 * partial_sums - 1) * std::ldexp(1.0, -precision_bits(facts.output));
    }
    return contract;
}

}  // namespace fumi
