#include "kernels/calibration.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <sstream>

namespace fumi {
namespace {

// Products that are powers of two, each split into two factors of about half the exponent.
class Terms {
  public:
    Terms() : a_(kCalibrationLength, 0.0), b_(kCalibrationLength, 0.0) {}
    Terms& set(int place, int exponent, int sign = 1) {
        const int half = exponent >= 0 ? exponent / 2 : -(-exponent / 2);
        a_[static_cast<std::size_t>(place)] = sign * std::ldexp(1.0, half);
        b_[static_cast<std::size_t>(place)] = std::ldexp(1.0, exponent - half);
        return *this;
    }
    double on(const DeviceDot& dot) const { return dot(a_, b_); }

  private:
    std::vector<double> a_, b_;
};

// How many of the ones survive between 2^largest at `first` and -2^largest at `last`.
double survivors(const DeviceDot& dot, int largest, int first, int last) {
    Terms terms;
    for (int i = 0; i < kCalibrationLength; ++i) terms.set(i, 0);
    return terms.set(first, largest).set(last, largest, -1).on(dot);
}

// The ones of the group that holds -2^largest are the last to be lost, so that their number falls where the
// next group begins.
int group_size(const DeviceDot& dot, int largest) {
    const double all = survivors(dot, largest, 0, 1);
    if (!(all > 0)) return kCalibrationLength;  // one group, or sums of another order
    int size = 2;
    while (size < kCalibrationLength && survivors(dot, largest, 0, size) >= all) ++size;
    // A chain loses a one at each step, a pair that is added exactly only at every second.
    if (size == 2 && survivors(dot, largest, 1, 3) <= kCalibrationLength - 4) return 1;
    return size;
}

// The smallest term that is still seen beside 2^largest, which is taken away again.
int alignment_bits(const DeviceDot& dot, int largest) {
    int bits = -1;
    while (bits < largest &&
           Terms().set(0, largest).set(1, largest - bits - 1).set(2, largest, -1).on(dot) != 0)
        ++bits;
    return bits;
}

int sum_bits(const DeviceDot& dot, int largest) {
    int bits = 0;
    while (bits < largest && Terms().set(0, 0).set(1, -bits - 1).on(dot) != 1) ++bits;
    return bits + 1;
}

bool sum_truncates(const DeviceDot& dot, const CoreConstants& core) {
    const int p = core.accumulator_bits;
    const double unit = std::ldexp(1.0, 1 - p);
    if (core.fused_products >= 4) {
        // One and a half units, in three halves.
        return Terms().set(0, 0).set(1, -p).set(2, -p).set(3, -p).on(dot) < 1 + 2 * unit;
    }
    // Three quarters of a unit, gathered before the one: a chain that rounds to nearest gives the next
    // number.
    return Terms().set(0, -p).set(1, -p - 1).set(2, 0).on(dot) < 1 + unit;
}

struct Line {
    const char* name;
    CoreConstants Calibration::*core;
};
constexpr Line kLines[] = {{"fp32", &Calibration::fp32},           {"tf32", &Calibration::tf32},
                           {"fp16", &Calibration::fp16},           {"bf16", &Calibration::bf16},
                           {"fp16_sums", &Calibration::fp16_sums}, {"fp64", &Calibration::fp64}};

}  // namespace

double truncation_rate(const CoreConstants& core) noexcept {
    const double aligned = std::ldexp(1.0, core.accumulator_bits - core.fraction_bits);
    if (core.truncates) return 0.18 * (aligned + 2.0 / core.fused_products);
    return core.fused_products > 1 ? 0.18 * aligned : 0;
}

CoreConstants measure_core(const DeviceDot& dot, int largest) {
    CoreConstants core;
    core.fused_products = group_size(dot, largest);
    if (core.fused_products >= kCalibrationLength) return {};
    core.accumulator_bits = sum_bits(dot, largest);
    // In a chain nothing is aligned but the sum, which keeps p - 1 bits.
    core.fraction_bits = core.fused_products > 2 ? alignment_bits(dot, largest) : core.accumulator_bits - 1;
    core.truncates = sum_truncates(dot, core);
    return core;
}

std::string print(const Calibration& calibration) {
    std::string text = fmt::format(
        "# What `fumi calibrate` measured: fraction_bits F, fused_products kb (docs/numerics.md, section "
        "8).\n"
        "device: {}\ncapability: {}\ntf32_inputs: {}\nunits:\n",
        calibration.device, calibration.capability, calibration.tf32_inputs);
    for (const Line& line : kLines) {
        const CoreConstants& core = calibration.*line.core;
        text +=
            fmt::format("  {}: {{fraction_bits: {}, fused_products: {}, accumulator_bits: {}, sums: {}}}\n",
                        line.name, core.fraction_bits, core.fused_products, core.accumulator_bits,
                        core.truncates ? "truncated" : "rounded");
    }
    return text;
}

bool parse(const std::string& text, Calibration* calibration, std::string* error) {
    std::istringstream lines(text);
    std::string line;
    int found = 0;
    while (std::getline(lines, line)) {
        if (line.starts_with("device: ")) calibration->device = line.substr(8);
        if (line.starts_with("capability: ")) calibration->capability = std::atoi(line.c_str() + 12);
        if (line.starts_with("tf32_inputs: ")) calibration->tf32_inputs = line.substr(13);
        char name[32] = "", sums[32] = "";
        CoreConstants core;
        const int fields = std::sscanf(
            line.c_str(),
            " %31[a-z0-9_]: {fraction_bits: %d, fused_products: %d, accumulator_bits: %d, sums: %31[a-z]}",
            name, &core.fraction_bits, &core.fused_products, &core.accumulator_bits, sums);
        if (fields != 5) continue;
        core.truncates = std::string(sums) == "truncated";
        for (const Line& known : kLines) {
            if (std::string(known.name) != name) continue;
            calibration->*known.core = core;
            ++found;
        }
    }
    if (found == 0)
        *error = "no line of it describes a kind of arithmetic; `fumi calibrate` writes such files";
    return found > 0;
}

}  // namespace fumi
