#include "kernels/precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/verdict.h"

namespace fumi {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// rms of the relative error of rounding to p bits, in units of 2^-p, over numbers with a uniform significand.
constexpr double kRoundingRms = 0.4247;
constexpr std::int32_t kFewestEntries = 8;
// (measured) fp32 accumulation shows 21.5 bits and more, anything narrower 18 and fewer.
constexpr double kFp32AccumulatorBits = 20;
// Below this an error is no accumulation's any more: a product left out looks like 5 to 9 bits.
constexpr double kFewestAccumulatorBits = 7.5;

// The largest of 64 squared normal errors is about 9 times their mean; one wrong element alone gives 64.
constexpr double kMostUneven = 30;

constexpr std::uint32_t bit(InputFormat format) {
    return std::uint32_t{1} << static_cast<int>(format);
}

// The formats with fewer bits than the narrower of the operands has.
std::uint32_t candidates(const GemmProblem& problem) noexcept {
    const int bits = std::min(precision_bits(problem.a.type), precision_bits(problem.b.type));
    std::uint32_t formats = 0;
    for (int i = 1; i < kInputFormats; ++i) {
        const auto format = static_cast<InputFormat>(i);
        if (format_bits(format) < bits) formats |= bit(format);
    }
    // A product of three needs more than two parts' bits.
    if (bits <= 16) formats &= ~(bit(InputFormat::bf16x3) | bit(InputFormat::bf16x3_truncated));
    return formats;
}

int promised_input_bits(const Contract& contract, const GemmProblem& problem) noexcept {
    if (contract.inputs_converted && contract.bound.input_error > 0x1p-20) return contract.p;
    return std::min(precision_bits(problem.a.type), precision_bits(problem.b.type));
}

DataType output_type(const GemmProblem& problem) noexcept {
    return problem.aux.type == DataType::none ? problem.d.type : problem.aux.type;
}

double bits_of(double variance) noexcept {
    return variance > 0 ? -std::log2(std::sqrt(variance) / kRoundingRms) : 53;
}

// Rounding hides the accumulator, but not how often it turns out otherwise.
bool too_many_mismatches(const PrecisionStats& stats) noexcept {
    return stats.rounded_entries >= kFewestEntries &&
           stats.mismatches > 1.5 * stats.expected_mismatches + 4 * std::sqrt(stats.mismatch_variance) + 3;
}

void find_split(PrecisionFinding& found, const PrecisionStats& stats) {
    // Nearly all entries are what this split gives, and clearly fewer what one rounding gives.
    if (stats.split < 0 || 10 * stats.split_matches < 9 * stats.entries) return;
    const bool clear = 10 * stats.plain_matches <= 9 * stats.split_matches;
    const int left = stats.entries - stats.split_matches, plain = stats.entries - stats.plain_matches;
    if (!clear && !(too_many_mismatches(stats) && 4 * left <= plain)) return;
    found.split_parts = kSplitParts[stats.split / 2 / static_cast<int>(std::size(kSplitAlignments))];
}

void find_accumulator(PrecisionFinding& found, const PrecisionStats& stats, const Contract& contract,
                      const GemmProblem& problem) {
    const int promised = contract.bound.accumulator_bits;
    const bool rounded = precision_bits(output_type(problem)) < promised;
    // Conversions that no candidate explains, and a few wrong elements, would look like a narrow accumulator.
    const bool unexplained = contract.inputs_converted && found.inputs == InputFormat::as_stored;
    const bool uneven = stats.accumulator_largest > kMostUneven * stats.accumulator_noise;
    if (promised != 24 || found.split_parts > 0 || unexplained || uneven) return;
    const double noise = bits_of(stats.accumulator_noise - (rounded ? 1.5 * stats.accumulator_floor : 0));
    found.accumulator_bits = std::min(noise, 24.0);
    const bool plausible = noise >= kFewestAccumulatorBits;
    if (!rounded) {
        found.accumulator_below = plausible && noise < kFp32AccumulatorBits;
        return;
    }
    if (!too_many_mismatches(stats)) {
        found.accumulator_bits = kNaN;
        return;
    }
    // Mismatches are as frequent as the error is large, until every entry is one.
    const double ratio = stats.mismatches / std::max(stats.expected_mismatches, 1e-300);
    found.accumulator_bits = std::min(noise, 24 - std::log2(std::max(ratio, 1.0)));
    found.accumulator_below = found.accumulator_bits >= kFewestAccumulatorBits;
}

std::string accumulator_text(double bits) {
    if (bits < 13) return fmt::format("sums in about {:.0f} bits, as fp16 accumulation gives", bits);
    return fmt::format("sums in about {:.0f} bits", bits);
}

void describe(PrecisionFinding& found, const Contract& contract, const GemmProblem& problem) {
    std::string what;
    if (found.inputs_below) what = fmt::format("inputs as {}", format_name(found.inputs));
    if (found.accumulator_below)
        what += (what.empty() ? "" : " and ") + accumulator_text(found.accumulator_bits);
    if (found.split_parts > 0) {
        what +=
            fmt::format("{}{} partial sums stored in {}{}", what.empty() ? "" : " and ", found.split_parts,
                        type_name(output_type(problem)),
                        found.split_legal ? ", which the program allows (reduced-precision reduction)" : "");
    }
    if (found.inputs != InputFormat::as_stored && !found.inputs_below)
        found.note = fmt::format("inputs as {}", format_name(found.inputs));
    if (!what.empty()) found.text = fmt::format("promised {}, found {}", contract.name, what);
}

}  // namespace

int format_bits(InputFormat format) noexcept {
    switch (format) {
        case InputFormat::fp32:
        case InputFormat::fp32_truncated:
            return 24;
        case InputFormat::tf32:
        case InputFormat::tf32_truncated:
            return 11;
        case InputFormat::bf16:
        case InputFormat::bf16_truncated:
            return 8;
        case InputFormat::bf16x3:
        case InputFormat::bf16x3_truncated:
            return 16;
        case InputFormat::e4m3:
            return 4;
        case InputFormat::e5m2:
            return 3;
        case InputFormat::as_stored:
            return 0;
    }
    return 0;
}

const char* format_name(InputFormat format) noexcept {
    switch (format) {
        case InputFormat::as_stored:
            return "stored";
        case InputFormat::fp32:
            return "fp32 (24 bits)";
        case InputFormat::fp32_truncated:
            return "fp32 (24 bits, truncated)";
        case InputFormat::tf32:
            return "TF32 or fp16 (11 bits)";
        case InputFormat::tf32_truncated:
            return "TF32 (11 bits, truncated)";
        case InputFormat::bf16:
            return "bf16 (8 bits)";
        case InputFormat::bf16_truncated:
            return "bf16 (8 bits, truncated)";
        case InputFormat::bf16x3:
            return "bf16x3 (16 bits in two parts)";
        case InputFormat::bf16x3_truncated:
            return "bf16x3 (16 bits in two parts, truncated)";
        case InputFormat::e4m3:
            return "e4m3 (4 bits)";
        case InputFormat::e5m2:
            return "e5m2 (3 bits)";
    }
    return "unknown";
}

bool read_precision(const PrecisionSlot& slot, PrecisionStats& stats, std::uint64_t sequence) noexcept {
    constexpr std::size_t words = sizeof(PrecisionStats) / sizeof(std::uint64_t);
    std::uint64_t copy[words];
    const std::uint64_t before = __atomic_load_n(&slot.sequence, __ATOMIC_ACQUIRE);
    const bool ready = sequence != 0 ? before == sequence : before != 0 && before % 2 == 0;
    if (!ready) return false;
    const auto* from = reinterpret_cast<const std::uint64_t*>(&slot.stats);
    for (std::size_t i = 0; i < words; ++i) copy[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&slot.sequence, __ATOMIC_ACQUIRE) != before) return false;
    std::memcpy(&stats, copy, sizeof stats);
    return true;
}

bool precision_applies(const GemmProblem& problem) noexcept {
    const auto real = [](DataType type) { return precision_bits(type) > 0 && !is_complex(type); };
    if (!real(problem.a.type) || !real(problem.b.type) || !real(problem.d.type)) return false;
    if (problem.activation == Activation::gelu_tanh && problem.aux.type == DataType::none) return false;
    // Fewer elements than entries would be drawn several times over, and a few say nothing.
    const bool enough = problem.m > 0 && problem.n > 0 && problem.batch > 0 &&
                        problem.m * problem.n * problem.batch >= std::int64_t{kPrecisionEntries};
    return enough && problem.k > 0 && problem.k < std::int64_t{1} << 31;
}

PrecisionParams make_precision_params(const GemmProblem& problem, const Contract& contract,
                                      std::uint64_t seed, void* scratch, PrecisionSlot* slot,
                                      std::uint64_t sequence) noexcept {
    PrecisionParams params;
    params.problem = problem;
    params.bound = contract.bound;
    params.seed = seed;
    params.formats = candidates(problem);
    const DataType output = output_type(problem);
    params.splits = output == DataType::bf16 || output == DataType::f16 ? 1 : 0;
    params.entries = static_cast<PrecisionEntry*>(scratch);
    params.slot = slot;
    params.sequence = sequence;
    return params;
}

PrecisionFinding::PrecisionFinding() : accumulator_bits(kNaN) {}

PrecisionFinding find_precision(const PrecisionStats& stats, const Contract& contract,
                                const GemmProblem& problem) {
    PrecisionFinding found;
    if (stats.entries < kFewestEntries || contract.bound.exact != 0) return found;
    found.inputs = stats.inputs;
    found.inputs_below = stats.inputs != InputFormat::as_stored &&
                         format_bits(stats.inputs) < promised_input_bits(contract, problem);
    found.split_legal = contract.reduction_error > 0;
    find_split(found, stats);
    find_accumulator(found, stats, contract, problem);
    describe(found, contract, problem);
    return found;
}

void add_precision(Assessment& a, const PrecisionFinding& finding) {
    if (!finding.note.empty()) a.reason += "; " + finding.note;
    if (finding.text.empty()) return;
    if (!finding.below()) {
        a.reason += "; " + finding.text;
    } else if (a.verdict == Judgement::fail) {
        a.reason += "; reduced precision: " + finding.text;
    } else {
        a.verdict = Judgement::warn;
        a.reason = "reduced precision: " + finding.text + "; " + a.reason;
    }
}

}  // namespace fumi
