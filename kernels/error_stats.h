// What a check kernel finds out about the elements it looked at. Filled on the device, read by the verdict on
// the host.
#pragma once
#include <cstdint>

namespace fumi {

// e = C - R is the error of one element, G = |alpha||A||B| + |beta C0| + |bias| the magnitude that flowed
// into it, B its bound (docs/numerics: section 1), Q = sum a^2 b^2, z the sum of running sums (section 2).
// Complex elements count once; |e| is the modulus, the sums run over both parts.
struct ErrorStats {
    std::uint64_t elements = 0;   // compared
    std::uint64_t nonfinite = 0;  // output not finite
    std::uint64_t nonfinite_reference =
        0;  // the reference itself is not finite (or overflows the output type): not comparable
    std::uint64_t nonfinite_unexpected =
        0;  // output not finite where the reference is finite, or the other way round
    std::uint64_t nonfinite_inputs = 0;  // output not finite, and neither is what it is made of
    std::uint64_t mismatches = 0;        // elements over their bound (integer outputs: unequal)
    std::uint64_t aux_mismatches = 0;  // those of them that are in the epilogue's auxiliary output, not in D
    double max_abs_err = 0;            // max |e|
    double max_rel_err = 0;            // max |e| / |R|, R != 0
    double sum_rel_err2 = 0;           // sum (|e| / |R|)^2 over elements with R != 0 and finite
    std::uint64_t rel_elements = 0;    // how many of those
    double max_eta = 0;                // max |e| / (u G), u the contract's unit roundoff
    double max_ratio = 0;              // max |e| / B; the verdict fails where it exceeds 1
    double bound_at_max = 0;           // B / (u G) at the element of max_ratio
    std::int64_t worst_index =
        -1;  // element of max_ratio (or first unexpected non-finite): row + m * (col + n * batch)
    double worst_value = 0;           // C there (real part)
    double worst_reference = 0;       // R there (real part)
    double max_kappa = 0;             // max G / |R| over R != 0
    double sum_g = 0, sum_abs_r = 0;  // their ratio is the typical kappa
    // Effective bits (numerics section 5): sums of the products of e, z and s over Q, for the regression of
    // e/sqrt(Q) on z/sqrt(Q) and s/sqrt(Q), with s = sum a b.
    double see = 0, sez = 0, szz = 0, ses = 0, szs = 0, sss = 0;
    double sum_floor =
        0;  // sum of the variance of e/sqrt(Q) that a legal accumulation and output rounding explain
    std::uint64_t bits_elements = 0;
    // The least likely error within B that the second look found no excuse for (docs/numerics: section 3):
    // over what rounding gives, its eta, its element, and its share of see. excused: how many were excused.
    double unlikely_ratio = 0, unlikely_eta = 0, unlikely_value = 0, unlikely_reference = 0,
           unlikely_share = 0;
    std::int64_t unlikely_index = -1;
    std::uint64_t excused = 0;
    // The Python FuMi's measures, where BoundNumbers::measures asks for them: norms, and max |C - R| / |C +
    // R|.
    double sum_abs_c = 0, max_abs_c = 0, max_abs_r = 0, max_symmetric = 0;
    std::uint64_t launches = 0;  // how many runs of the check are merged here (graph replays count once each)
};

}  // namespace fumi
