// Merging of ErrorStats: associative but for the rounding of its sums, so every merge has a fixed order.
#pragma once
#include <cmath>

#include "kernels/device/block.h"

namespace fumi::FUMI_TARGET {

// Of two candidates for the worst element the larger ratio wins; at a tie the lower index, whatever the
// order.
FUMI_DEVICE bool is_worse(double ratio, std::int64_t index, const ErrorStats& than) {
    if (index < 0) return false;
    if (than.worst_index < 0 || ratio > than.max_ratio) return true;
    return ratio == than.max_ratio && index < than.worst_index;
}

FUMI_DEVICE_CALL void merge(ErrorStats& into, const ErrorStats& from) {
    if (is_worse(from.max_ratio, from.worst_index, into)) {
        into.max_ratio = from.max_ratio;
        into.bound_at_max = from.bound_at_max;
        into.worst_index = from.worst_index;
        into.worst_value = from.worst_value;
        into.worst_reference = from.worst_reference;
    }
    if (from.unlikely_ratio > into.unlikely_ratio ||
        (from.unlikely_ratio == into.unlikely_ratio && from.unlikely_index < into.unlikely_index)) {
        into.unlikely_ratio = from.unlikely_ratio;
        into.unlikely_eta = from.unlikely_eta;
        into.unlikely_value = from.unlikely_value;
        into.unlikely_reference = from.unlikely_reference;
        into.unlikely_share = from.unlikely_share;
        into.unlikely_index = from.unlikely_index;
    }
    into.excused += from.excused;
    into.elements += from.elements;
    into.nonfinite += from.nonfinite;
    into.nonfinite_reference += from.nonfinite_reference;
    into.nonfinite_unexpected += from.nonfinite_unexpected;
    into.nonfinite_inputs += from.nonfinite_inputs;
    into.mismatches += from.mismatches;
    into.aux_mismatches += from.aux_mismatches;
    into.max_abs_err = fmax(into.max_abs_err, from.max_abs_err);
    into.max_rel_err = fmax(into.max_rel_err, from.max_rel_err);
    into.max_eta = fmax(into.max_eta, from.max_eta);
    into.max_kappa = fmax(into.max_kappa, from.max_kappa);
    into.sum_rel_err2 += from.sum_rel_err2;
    into.rel_elements += from.rel_elements;
    into.sum_g += from.sum_g;
    into.sum_abs_r += from.sum_abs_r;
    into.see += from.see;
    into.sez += from.sez;
    into.szz += from.szz;
    into.ses += from.ses;
    into.szs += from.szs;
    into.sss += from.sss;
    into.sum_floor += from.sum_floor;
    into.bits_elements += from.bits_elements;
    into.sum_abs_c += from.sum_abs_c;
    into.max_abs_c = fmax(into.max_abs_c, from.max_abs_c);
    into.max_abs_r = fmax(into.max_abs_r, from.max_abs_r);
    into.max_symmetric = fmax(into.max_symmetric, from.max_symmetric);
    into.launches += from.launches;
}

}  // namespace fumi::FUMI_TARGET
