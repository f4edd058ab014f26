// What precision a GEMM-like call really used (docs/numerics.md, section 7): its inputs by replay of
// candidate formats on sampled entries, its accumulator by the size of the error, split-K in the output type
// by replay.
//
// Two launches behind the check's own, on the call's stream, each with one by-value struct as parameter:
//   1. kPrecisionKernel, grid kPrecisionEntries, block kPrecisionThreads: PrecisionParams; one PrecisionEntry
//   a block
//   2. kPrecisionMergeKernel, grid 1, block kPrecisionThreads: the same PrecisionParams; into the slot
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/contract.h"
#include "kernels/gemm_problem.h"

namespace fumi {

struct Assessment;

// What the inputs may have been converted to before they were multiplied. Exponents are not limited: TF32 and
// fp16 cannot be told apart where the inputs are in fp16's range, nor bf16 from a scaled 8-bit float.
enum class InputFormat : std::int32_t {
    as_stored,
    fp32,
    fp32_truncated,
    tf32,
    tf32_truncated,
    bf16,
    bf16_truncated,
    bf16x3,  // high and low bf16 parts, without the product of the low ones
    bf16x3_truncated,
    e4m3,
    e5m2,
};
inline constexpr int kInputFormats = 11;
int format_bits(InputFormat format) noexcept;  // significand bits; 0 for as_stored
const char* format_name(InputFormat format) noexcept;

inline constexpr unsigned kPrecisionEntries = 64;
inline constexpr unsigned kPrecisionThreads = 128;
// Splits of K that are replayed: numbers of parts, each part a multiple of 16, 32 and 64 products.
inline constexpr int kSplitParts[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16};
inline constexpr int kSplitAlignments[] = {16, 32, 64};
inline constexpr int kSplits = 33;
inline constexpr int kMostParts = 16;

// One sampled entry. Errors are those of alpha^-1 (C - R), relative to sqrt(Q), Q = sum a^2 b^2.
struct PrecisionEntry {
    std::int32_t usable = 0;
    std::int32_t rounded = 0;              // the legal accumulation error is under 0.2 ulp of the output
    std::int32_t mismatch = 0;             // C is not R rounded to the output type
    std::uint8_t split[kSplits + 3] = {};  // bit 0: C is the fp32 sum of partial sums in the output type;
                                           // bit 1: the same, summed in the output type
    double s = 0, z = 0;                   // sum a b, and the sum of the running sums
    double walk = 0;                   // sum of the squared running sums behind every 16th product, and 1/2
    double floor = 0;                  // variance of rounding the output
    double mismatch_rate = 0;          // of a legal accumulation, at most
    double error[kInputFormats] = {};  // less what each format explains
};

// Over the usable entries. Filled on the device.
struct PrecisionStats {
    std::int32_t entries = 0;
    InputFormat inputs = InputFormat::as_stored;  // of the smallest residual, where under half of none's
    double residual_none = 0, residual = 0;       // rms of the error, less its regression on s and z
    double accumulator_noise = 0;                 // mean of residual^2 / walk
    double accumulator_largest = 0;               // the largest residual^2 / walk
    double accumulator_floor = 0;                 // what rounding the output adds to the mean
    std::int32_t rounded_entries = 0, mismatches = 0;
    double expected_mismatches = 0, mismatch_variance = 0;
    std::int32_t plain_matches = 0;  // C is R rounded to the output type
    std::int32_t split = -1;         // index of the best split, 2 * i (+ 1: summed in the output type)
    std::int32_t split_matches = 0;
    std::int32_t reserved = 0;
};

struct PrecisionSlot {
    std::uint64_t sequence = 0;  // as ResultSlot's; a captured check keeps its last replay's sample
    PrecisionStats stats;
};
// Copies the stats of a slot whose sequence is even and not 0, or `sequence` where that is given.
bool read_precision(const PrecisionSlot& slot, PrecisionStats& stats, std::uint64_t sequence = 0) noexcept;

struct PrecisionParams {
    GemmProblem problem;
    BoundNumbers bound;
    std::uint64_t seed = 0;
    std::uint32_t formats = 0;          // bit i: InputFormat i is tried
    std::int32_t splits = 0;            // split-K in the output type is tried
    PrecisionEntry* entries = nullptr;  // device scratch, kPrecisionEntries
    PrecisionSlot* slot = nullptr;      // device-visible address
    std::uint64_t sequence = 0;         // what slot->sequence becomes; 0: it goes up by 2 with each replay
};
inline constexpr const char* kPrecisionKernel = "fumi_precision_entries";
inline constexpr const char* kPrecisionMergeKernel = "fumi_precision_merge";
inline constexpr std::size_t kPrecisionScratch = kPrecisionEntries * sizeof(PrecisionEntry);

// False where nothing can be found out: complex and integer matrices, GELU without its pre-activation, fewer
// than 64 elements.
bool precision_applies(const GemmProblem& problem) noexcept;
PrecisionParams make_precision_params(const GemmProblem& problem, const Contract& contract,
                                      std::uint64_t seed, void* scratch, PrecisionSlot* slot,
                                      std::uint64_t sequence) noexcept;

// What the stats say of a call with that contract.
struct PrecisionFinding {
    InputFormat inputs = InputFormat::as_stored;
    double accumulator_bits;    // NaN where it cannot be told; at most what was promised
    int split_parts = 0;        // partial sums stored in the output type; 0 none found
    bool inputs_below = false;  // fewer bits than the contract promises
    bool accumulator_below = false;
    bool split_legal = false;  // the program allows reduced-precision reductions
    // "promised fp32 FMA (24-bit inputs), found inputs of TF32 ..."; empty where all is as promised
    std::string text;
    std::string note;  // inputs that were converted as promised: "inputs as TF32 (11 bits, truncated)"
    PrecisionFinding();
    bool below() const noexcept {
        return inputs_below || accumulator_below || (split_parts > 0 && !split_legal);
    }
};
PrecisionFinding find_precision(const PrecisionStats& stats, const Contract& contract,
                                const GemmProblem& problem);
// Puts it into the verdict: less than was promised is a warning where the bound holds, and the likely cause
// where it does not. A reduction that the program allows is no warning, but said.
void add_precision(Assessment& assessment, const PrecisionFinding& finding);

}  // namespace fumi
