// How a device adds up products, measured by small dot products whose every term is a power of two (after
// Fasi, Higham, Mikaitis and Pranesh, PeerJ Computer Science 7, 2021), and the file that keeps it. Host code.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace fumi {

// One kind of arithmetic of the device. accumulator_bits 0: not measured, or not a sequence of groups.
struct CoreConstants {
    int fraction_bits = 0;     // F: bits kept below the largest addend of a group
    int fused_products = 0;    // kb: products added at once; 1: a chain of FMA
    int accumulator_bits = 0;  // p of the running sum
    bool truncates = true;     // the running sum is cut off, else rounded to nearest
};
// 0.18 (2^(p - F) + 2 / kb), and 0 for sums that round to nearest one after the other (docs/numerics.md,
// section 3).
double truncation_rate(const CoreConstants& core) noexcept;

struct Calibration {
    std::string device;
    int capability = 0;
    CoreConstants fp32, tf32, fp16, bf16, fp16_sums, fp64;
    std::string tf32_inputs = "unknown";  // kept, rounded or truncated, where TF32 is allowed
};

// The dot product of two vectors of kCalibrationLength powers of two and zeros, as the device computes it.
inline constexpr int kCalibrationLength = 64;
using DeviceDot = std::function<double(const std::vector<double>& a, const std::vector<double>& b)>;
// largest: exponent of the largest product that inputs and sums can hold, even; at most 60.
CoreConstants measure_core(const DeviceDot& dot, int largest);

// YAML, one line for each kind of arithmetic.
std::string print(const Calibration& calibration);
// False, with why, where the text is no calibration.
bool parse(const std::string& text, Calibration* calibration, std::string* error);

}  // namespace fumi
