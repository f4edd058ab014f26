#include "cupti_hook/check_records.h"

#include <fmt/format.h>

#include "cupti_hook/kernel_text.h"
#include "cupti_hook/rerun/dnn_problem.h"
#include "kernels/checksum.h"
#include "kernels/noise.h"
#include "kernels/verdict.h"

namespace fumi {

namespace {

using session::CheckRecord;
using session::Verdict;

void fill_precision(CheckRecord& record, const rerun::Entry& entry, const rerun::Check& check,
                    const ErrorStats& stats, const rerun::Slot& slot) {
    ErrorStats whole = stats;
    const GemmProblem& problem = entry.call.problem;
    for (std::int64_t* index : {&whole.worst_index, &whole.unlikely_index})
        if (*index >= 0) *index += check.first_column * problem.m;
    Assessment found = entry.dnn_contract != nullptr
                           ? rerun::assess(whole, *entry.dnn_contract, *entry.call.dnn)
                           : assess(whole, *entry.contract, problem);
    PrecisionStats precision;
    if (check.probed && read_precision(slot.precision, precision, entry.captured ? 0 : check.sequence))
        add_precision(found, find_precision(precision, *entry.contract, problem));
    record.elements = found.elements;
    record.max_abs_err = found.max_abs_err;
    record.max_rel_err = found.max_rel_err;
    record.rms_rel_err = found.rms_rel_err;
    record.backward_error = found.backward_error;
    record.bound = found.bound;
    record.effective_bits = found.effective_bits;
    record.amplification = found.max_kappa;
    record.mismatches = found.mismatches;
    record.nonfinite = found.nonfinite;
    if (record.nonfinite > 0) record.inputs_finite = stats.nonfinite_inputs > 0 ? 0 : 1;
    record.verdict = static_cast<Verdict>(found.verdict);
    record.reason = found.reason;
}

std::string element_name(const GemmProblem& problem, std::int64_t index) {
    const std::int64_t in_matrix = problem.m * problem.n;
    if (index < 0 || in_matrix <= 0) return "an element";
    std::string name =
        fmt::format("row {}, column {}", index % in_matrix % problem.m, index % in_matrix / problem.m);
    if (problem.batch > 1) name += fmt::format(", batch {}", index / in_matrix);
    return name;
}

void fill_repeat(CheckRecord& record, const rerun::Entry& entry, const rerun::Check& check,
                 const ErrorStats& stats) {
    const GemmProblem& problem = entry.call.problem;
    const int parts = is_complex(problem.d.type) ? 2 : 1;
    record.elements = static_cast<std::int64_t>(stats.elements) / parts;
    record.mismatches = static_cast<std::int64_t>(stats.mismatches);
    record.nonfinite = static_cast<std::int64_t>(stats.nonfinite);
    record.verdict = Verdict::pass;
    const std::string payloads =
        stats.nonfinite_reference == 0
            ? std::string()
            : fmt::format("; {} NaN differ in their payload alone", stats.nonfinite_reference);
    if (stats.mismatches == 0) {
        record.reason = "the same bits again" + payloads;
        return;
    }
    record.max_abs_err = stats.max_abs_err;
    record.max_rel_err = stats.max_rel_err;
    const char *first = check.kernels[0], *again = check.kernels[1];
    const bool another = first != nullptr && again != nullptr && std::string_view(first) != again;
    record.verdict = another || check.may_differ ? Verdict::warn : Verdict::fail;
    record.reason = fmt::format(
        "{} of {} numbers have other bits when the call is made again on the same inputs "
        "({} is {:.9g}, then {:.9g}){}: ",
        stats.mismatches, stats.elements, element_name(problem, stats.worst_index / parts),
        stats.worst_reference, stats.worst_value, payloads);
    record.reason += another            ? fmt::format("the library chose another kernel, {} after {}",
                                                      kernel_text(again), kernel_text(first))
                     : check.may_differ ? "the handle allows atomics, which may add up in any order"
                                        : "the kernel or the hardware is not reproducible, whatever the data";
}

void judge_checksum(CheckRecord& record, const rerun::Entry& entry, const rerun::Check& check,
                    const ErrorStats& stats) {
    const GemmProblem& problem = entry.call.problem;
    const std::int64_t index =
        stats.worst_index < 0 ? -1 : stats.worst_index + check.first_column * problem.m;
    const char* contract = entry.contract->name.c_str();
    const double z = kChecksumThreshold * stats.max_ratio;
    if (stats.nonfinite_unexpected > 0) {
        record.verdict = Verdict::fail;
        record.reason = fmt::format(
            "{} is {} though its inputs are finite and no sum there exceeds {:.3g}: a fault of the "
            "kernel, not of the data",
            element_name(problem, index), stats.worst_value, stats.worst_reference);
    } else if (stats.max_ratio > 1) {
        const bool reduced = stats.max_eta <= 1;
        record.verdict = reduced ? Verdict::warn : Verdict::fail;
        record.reason = fmt::format(
            "the sum with random signs of the block of columns at {} is {:.9g} where {:.9g} was "
            "expected: {:.3g} sigma of what {} may round ({} of {} sums over {:.0f} sigma): {}",
            element_name(problem, index), stats.worst_value, stats.worst_reference, z, contract,
            stats.mismatches, stats.bits_elements, kChecksumThreshold,
            reduced ? "what reduced-precision reduction, allowed for this call, explains"
                    : "a fault of the kernel, not of the data");
    } else if (*check.limit != '\0') {
        record.reason = fmt::format("looked through for NaN and infinity only, since {}", check.limit);
    } else if (stats.bits_elements == 0) {
        record.reason = "no sum could be compared: all hold something that is not finite";
    } else {
        record.reason = fmt::format("sums of columns within {:.2g} sigma of what {} may round", z, contract);
    }
    if (stats.nonfinite > 0 && record.verdict == Verdict::pass)
        record.reason += fmt::format("; {} elements are not finite{}", stats.nonfinite,
                                     *check.limit != '\0'     ? ""
                                     : stats.rel_elements > 0 ? ", as the inputs were not"
                                                              : ": they left the range of their type");
}

void fill_noise(CheckRecord& record, const rerun::Entry& entry, const rerun::Check& check,
                const ErrorStats& stats) {
    const int parts = is_complex(entry.call.problem.d.type) ? 2 : 1;
    const NoiseFinding found = assess_noise(stats, check.noise, check.noise_samples, check.noise_bits);
    record.elements = static_cast<std::int64_t>(stats.elements) / parts;
    record.mismatches = static_cast<std::int64_t>(stats.mismatches);
    record.nonfinite = static_cast<std::int64_t>(stats.nonfinite);
    if (stats.elements > 0) record.max_abs_err = stats.max_abs_err;
    if (stats.rel_elements > 0) record.max_rel_err = stats.max_rel_err;
    record.rms_rel_err = found.output_noise;
    record.amplification = found.amplification;
    record.significant_digits = found.significant_digits;
    record.verdict = static_cast<Verdict>(found.verdict);
    record.reason = found.reason;
}

void fill_checksum(CheckRecord& record, const rerun::Entry& entry, const rerun::Check& check,
                   const ErrorStats& stats) {
    record.elements = static_cast<std::int64_t>(stats.elements);
    record.mismatches = static_cast<std::int64_t>(stats.mismatches);
    record.nonfinite = static_cast<std::int64_t>(stats.nonfinite);
    if (record.nonfinite > 0 && *check.limit == '\0') record.inputs_finite = stats.rel_elements > 0 ? 0 : 1;
    record.verdict = Verdict::pass;
    judge_checksum(record, entry, check, stats);
}

}  // namespace

CheckRecord check_record(const rerun::Entry& entry, const rerun::Check& check, const ErrorStats& stats,
                         const rerun::Slot& slot) {
    CheckRecord record;
    record.call_id = entry.call_id;
    record.mode = config::name(check.mode);
    record.reference = check.reference;
    record.coverage = check.sampled ? "sampled" : "full";
    record.launches = static_cast<std::int64_t>(stats.launches);
    record.check_ns = entry.host_ns;
    if (check.mode == config::Mode::checksum)
        fill_checksum(record, entry, check, stats);
    else if (check.mode == config::Mode::repeat)
        fill_repeat(record, entry, check, stats);
    else if (check.mode == config::Mode::add_noise)
        fill_noise(record, entry, check, stats);
    else
        fill_precision(record, entry, check, stats, slot);
    return record;
}

}  // namespace fumi
