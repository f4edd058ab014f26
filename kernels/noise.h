// add_noise: copies of a call's inputs, moved by rounding-size noise, and what N calls on them say about the
// data. For each sample: kernel_name::add_noise for each input, the library call, then
// kernel_name::noise_response; after the last sample kMergeKernel. Random numbers are counter-based (a hash
// of seed and offset), so that GPU and host draw the same and a session can be drawn again.
//
// ErrorStats as the kernels fill it, with x an input and dx its move, c the mean of an output element over
// the samples and d its standard deviation (of one sample: the program's own element, and the distance to
// it):
//   see = sum dx^2 and sez = sum x^2 of A, szz and ses of B, szs and sss of C, over all samples;
//   elements = outputs looked at that are finite in every sample; nonfinite = the program's own is not;
//   nonfinite_unexpected = it is finite and a sample is not; mismatches = d >= |c| / 2; sum_g = sum d^2,
//   sum_abs_r = sum c^2; max_abs_err = max d; max_rel_err, sum_rel_err2, rel_elements of d / |c|, c != 0;
//   sum_floor = sum of -log2(d / |c|), each within 0 and the bits of the output type, over bits_elements
//   (those where c or d is not 0); worst_index, worst_reference = c, worst_value = d of the largest d / |c|,
//   which is max_ratio.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/compare.h"
#include "kernels/contract.h"
#include "kernels/verdict.h"

namespace fumi {

enum class NoiseKind : std::int32_t {
    ulp,       // to the next number up or down
    relative,  // x (1 + size r), r uniform in (-1, 1)
    bits,      // one of the last `places` bits flipped
    fixed,     // x + size where |x| > sqrt(size): the Python FuMi's
};

inline constexpr int kLeastNoiseSamples = 2, kMostNoiseSamples = 30;

struct NoiseChoice {
    NoiseKind kind = NoiseKind::ulp;
    double size = 0;  // relative: of the noise; 0: the unit roundoff of the type
    int places = 2;   // bits
    std::uint64_t seed = 1;
};

struct NoiseParams {
    Strided from;
    void* to = nullptr;  // laid out as `from`; may be the same memory
    ScalarValue factor;  // alpha or beta: nothing is read where it is 0
    NoiseKind kind = NoiseKind::ulp;
    std::int32_t shift = 0;  // ulp, bits: last places that the call does not use (it may convert its inputs)
    std::int32_t places = 1;
    double size = 0;
    std::uint64_t seed = 0;
    const ResultSlot* replayed = nullptr;  // merged slot: each replay draws again
    ErrorStats* partials = nullptr;        // one per block
    std::int32_t operand = 0;              // 0 A, 1 B, 2 C
    std::int32_t add = 0;                  // to the partials that are there already
};

struct NoiseResponseParams {
    Strided output;               // of the program's call
    const void* moved = nullptr;  // of the call on moved inputs, laid out alike
    double* sums = nullptr;       // two per element looked at: mean of its moves, sum of squares about it
    std::int64_t looked_at = 0;   // of `output`, one drawn from each of as many equal parts
    std::uint64_t seed = 0;       // the same for all samples
    const ResultSlot* replayed = nullptr;
    std::int32_t sample = 0, samples = 1;
    ErrorStats* partials = nullptr;  // added to behind the last sample
};

namespace kernel_name {
inline constexpr const char* add_noise = "fumi_add_noise";
inline constexpr const char* noise_response = "fumi_noise_response";
}  // namespace kernel_name

// Elements of an output that are looked at.
std::int64_t noise_elements(std::int64_t elements) noexcept;

// Significand bits of an operand that the call uses: those of its type, or of the coarser one that its
// contract lets the library convert it to. 0 for integers.
int noise_bits(DataType operand, const Contract& contract) noexcept;
// Noise for one operand of that many bits, without memory, operand and seed. `reason`, not null: there is
// none for it, and why (static).
NoiseParams noise_for(const NoiseChoice& choice, DataType type, int bits, const char*& reason) noexcept;
// Calls that it takes: noise that is the same each time is measured once.
int noise_samples(NoiseKind kind, int wanted) noexcept;

// Bits taken off a standard deviation over n samples, so that 95% of the errors stay below what is said in
// 95% of the estimates: log2(sqrt((n - 1) / chi2(n - 1; 0.025)) * 1.96) (Sohier et al. 2021, numerics section
// 4). n from kLeastNoiseSamples to kMostNoiseSamples; 0 for 1, where nothing is random.
double confidence_bits(int samples) noexcept;

struct NoiseFinding {
    Judgement verdict = Judgement::pass;
    std::string reason;    // one sentence
    double input_noise;    // ||dA|| / ||A|| and ||dB|| / ||B||, root of the sum of squares
    double output_noise;   // ||d|| / ||c||
    double amplification;  // their ratio: the condition number in the mean square
    double significant_bits, significant_digits;  // of the typical element, with 95% confidence; at least 0
};
// bits: noise_bits of the coarser factor. Measures that do not apply are NaN.
NoiseFinding assess_noise(const ErrorStats& stats, NoiseKind kind, int samples, int bits);

}  // namespace fumi
