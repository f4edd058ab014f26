// The bodies of the two precision kernels: one sampled entry a block, then the choice among the candidates.
#pragma once
#include "kernels/device/gemm_check_body.h"
#include "kernels/precision.h"

namespace fumi::FUMI_TARGET {

inline constexpr int kProbeThreads = static_cast<int>(kPrecisionThreads);
inline constexpr int kProbeBlock = 16;  // products that one thread takes in a row
inline constexpr int kProbeChunk = kProbeThreads * kProbeBlock;

// What a b becomes where both are converted first, less a b. The differences are exact for fp32 inputs.
FUMI_DEVICE double conversion_error(InputFormat format, double a, double b) {
    const auto simple = [&](int p, bool truncate) {
        return quantised(a, p, truncate) * quantised(b, p, truncate) - a * b;
    };
    const auto three = [&](bool truncate) {
        const double a_high = quantised(a, 8, truncate), a_low = quantised(a - a_high, 8, truncate);
        const double b_high = quantised(b, 8, truncate), b_low = quantised(b - b_high, 8, truncate);
        return (a_high * b_high - a * b) + (a_high * b_low + a_low * b_high);
    };
    switch (format) {
        case InputFormat::fp32:
            return simple(24, false);
        case InputFormat::fp32_truncated:
            return simple(24, true);
        case InputFormat::tf32:
            return simple(11, false);
        case InputFormat::tf32_truncated:
            return simple(11, true);
        case InputFormat::bf16:
            return simple(8, false);
        case InputFormat::bf16_truncated:
            return simple(8, true);
        case InputFormat::bf16x3:
            return three(false);
        case InputFormat::bf16x3_truncated:
            return three(true);
        case InputFormat::e4m3:
            return simple(4, false);
        case InputFormat::e5m2:
            return simple(3, false);
        default:
            return 0;
    }
}

// Sums of one thread over its blocks of products; the last three are of the block at hand.
struct ProbeThread {
    double g = 0, q = 0, z = 0, walk = 0, size = 0;
    double converted[kInputFormats] = {};
    double block_sum = 0, block_z = 0;
    int block_length = 0;
};
inline constexpr int kProbeFields = 5 + kInputFormats;

struct ProbeShared {
    double running[kProbeThreads + 1];  // [t]: the running sum before thread t's block
    double fields[kProbeThreads][kProbeFields];
    double sums[kProbeFields];
    double prefix[kSplits][kMostParts + 1];  // running sums at the boundaries of each split
    std::int64_t part[kSplits];              // products in a part; 0: this split is none
    PrecisionEntry entry;
    double value;  // C
    double alpha, addend;
    double keys[kProbeThreads];  // of the products looked at
    int equal[kProbeThreads];    // how many of those before are the same
    double repeats;              // as multiplicity() has it
};
// Errors of products that occur more often say nothing of formats.
inline constexpr double kMostRepeats = 16;

// Up to 16 elements of one line of an operand, from k0 on.
FUMI_DEVICE_CALL void load_line(const Memory& memory, const Panel& panel, std::int64_t k0, int count,
                                double (&out)[kProbeBlock]) {
    with_type(panel.view->type, [&](auto sample) {
        using T = decltype(sample);
        const T* from = memory.at(static_cast<const T*>(panel.base)) + panel.offset + k0 * panel.k_stride;
        for (int i = 0; i < count; ++i) out[i] = decode_complex(from[i * panel.k_stride]).re;
    });
}

FUMI_DEVICE_CALL void add_block(ProbeThread& own, const double (&a)[kProbeBlock],
                                const double (&b)[kProbeBlock], std::uint32_t formats) {
    double s = 0, z = 0;
    for (int i = 0; i < own.block_length; ++i) {
        const double p = a[i] * b[i];
        s += p;
        z += s;
        own.g += fabs(p);
        own.q += p * p;
    }
    own.block_sum = s;
    own.block_z = z;
    for (int h = 0; h < kInputFormats; ++h) {
        if ((formats >> h & 1) == 0) continue;
        for (int i = 0; i < own.block_length; ++i) {
            own.converted[h] += conversion_error(static_cast<InputFormat>(h), a[i], b[i]);
        }
    }
}

FUMI_DEVICE std::int64_t split_part(int split, std::int64_t k) {
    constexpr int alignments = sizeof kSplitAlignments / sizeof *kSplitAlignments;
    // Copies: device code cannot refer to a host array, only to its values.
    constexpr int parts_of[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16}, alignment_of[] = {16, 32, 64};
    const int parts = parts_of[split / alignments], alignment = alignment_of[split % alignments];
    const std::int64_t part = ((k + parts - 1) / parts + alignment - 1) / alignment * alignment;
    return part < k ? part : 0;
}

// All products of one entry: the sums of shared.sums, and the running sums at the splits' boundaries.
template <class B, class State>
FUMI_DEVICE void probe_products(const B& block, const PrecisionParams& params, const Panel& a, const Panel& b,
                                ProbeShared& shared, State& state) {
    const std::int64_t k = params.problem.k;
    block.for_each_thread([&](int t) {
        state[t] = {};
        if (t == 0) shared.running[0] = 0;
        if (t < kSplits) {
            shared.part[t] = params.splits != 0 ? split_part(t, k) : 0;
            shared.prefix[t][0] = 0;
        }
    });
    block.sync();
    for (std::int64_t k0 = 0; k0 < k; k0 += kProbeChunk) {
        const int active = static_cast<int>(smaller(kProbeThreads, (k - k0 + kProbeBlock - 1) / kProbeBlock));
        block.for_each_thread([&](int t) {
            if (t >= active) return;
            const std::int64_t first = k0 + t * kProbeBlock;
            double x[kProbeBlock], y[kProbeBlock];
            state[t].block_length = static_cast<int>(smaller(kProbeBlock, k - first));
            load_line(block.memory, a, first, state[t].block_length, x);
            load_line(block.memory, b, first, state[t].block_length, y);
            add_block(state[t], x, y, params.formats);
            shared.fields[t][0] = state[t].block_sum;
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (t != 0) return;
            for (int i = 0; i < active; ++i) shared.running[i + 1] = shared.running[i] + shared.fields[i][0];
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (t < active) {
                const double after = shared.running[t + 1];
                state[t].z += state[t].block_z + state[t].block_length * shared.running[t];
                state[t].walk += after * after;
                state[t].size += fabs(after);
            }
            if (t >= kSplits || shared.part[t] == 0) return;
            const std::int64_t part = shared.part[t], end = k0 + std::int64_t{active} * kProbeBlock;
            for (std::int64_t at = (k0 / part + 1) * part; at < k && at <= end; at += part) {
                shared.prefix[t][at / part] = shared.running[(at - k0) / kProbeBlock];
            }
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (t == 0) shared.running[0] = shared.running[active];
        });
        block.sync();
    }
    const int used = static_cast<int>(smaller(kProbeThreads, (k + kProbeBlock - 1) / kProbeBlock));
    block.for_each_thread([&](int t) {
        const ProbeThread& own = state[t];
        double* fields = shared.fields[t];
        fields[0] = own.g;
        fields[1] = own.q;
        fields[2] = own.z;
        fields[3] = own.walk;
        fields[4] = own.size;
        for (int h = 0; h < kInputFormats; ++h) fields[5 + h] = own.converted[h];
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t >= kProbeFields) return;
        double sum = 0;
        for (int i = 0; i < used; ++i) sum += shared.fields[i][t];
        shared.sums[t] = sum;
    });
    block.sync();
}

// How often the entry's products occur.
template <class B>
FUMI_DEVICE void probe_repeats(const B& block, const PrecisionParams& params, const Position& at,
                               ProbeShared& shared) {
    ProductChoice choice(params.problem.k);
    choice.count = static_cast<int>(smaller(kProbeThreads, params.problem.k));
    const ElementProducts products{block.memory, params.problem, at};
    block.for_each_thread([&](int t) {
        shared.keys[t] = t < choice.count
                             ? product_key(products(choice.at(t)),
                                           sum_spacing(params.bound.accumulator_bits, shared.sums[0]))
                             : NAN;
    });
    block.sync();
    block.for_each_thread([&](int t) {
        int equal = 0;
        for (int i = 0; i < t; ++i)
            equal += shared.keys[i] == shared.keys[t] && choice.at(i) != choice.at(t) ? 1 : 0;
        shared.equal[t] = equal;
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t != 0) return;
        double equal = 0;
        for (int i = 0; i < kProbeThreads; ++i) equal += shared.equal[i];
        shared.repeats = choice.multiplicity_of(equal);
    });
    block.sync();
}

FUMI_DEVICE double rounded_to(const Format& format, double x) {
    const double unit = 2 * half_ulp(format, x);
    return unit > 0 ? rint(x / unit) * unit : x;
}

// The output that shows the linear part of the call: the pre-activation where it was written, else D.
FUMI_DEVICE_CALL Output linear_output(const Memory& memory, const PrecisionParams& params,
                                      const Factors& factors, const Reference& reference, const Position& at,
                                      double accumulation) {
    const GemmProblem& problem = params.problem;
    if (problem.aux.type == DataType::none) {
        Output out = activated(problem, params.bound, factors, reference, accumulation);
        out.value = read_matrix(memory, problem.d, at.row, at.column, at.batch);
        const bool cut =
            problem.activation == Activation::relu && !(reference.value.re.hi > 2 * accumulation);
        if (cut) out.value.re = INFINITY;
        return out;
    }
    Output out;
    out.reference = reference.value;
    out.value = read_matrix(memory, problem.aux, at.row, at.column, at.batch);
    out.type = problem.aux.type;
    out.bound = accumulation;
    out.gain = 1;
    out.g = reference.product_g + reference.addend_g;
    out.may_mask_nan = false;
    return out;
}

// The rms error that a legal accumulation may leave in s: every sum rounds (0.18 is 0.4247^2), and a tensor
// core loses 2 beta_t u of each running sum. Running sums are known behind every 16th product.
FUMI_DEVICE double legal_noise(const BoundNumbers& bound, const double* sums, double k) {
    const double walk = 16 * sums[3] + 8 * sums[1], size = 16 * sums[4] + 4 * sqrt(sums[1] * k);
    const double drift = 2 * bound.beta_t * size;
    return bound.u_acc * sqrt(0.18 * walk + drift * drift);
}

FUMI_DEVICE_CALL void describe_entry(const Memory& memory, const PrecisionParams& params,
                                     const Factors& factors, const Position& at, ProbeShared& shared) {
    PrecisionEntry& entry = shared.entry;
    entry = PrecisionEntry{};
    const double* sums = shared.sums;
    const double q = sums[1], s = shared.running[0], k = static_cast<double>(params.problem.k);
    ElementSums element;
    element.s.re = {s, 0};
    element.g = sums[0];
    element.q = q;
    const Reference reference = reference_of(memory, params.problem, factors, element, at);
    const double accumulation = accumulation_bound(params.bound, params.problem, factors, reference, false);
    const Output out = linear_output(memory, params, factors, reference, at, accumulation);
    const double scale_d = params.problem.aux.type == DataType::none ? factors.scale_d : 1.0;
    const double alpha = reference.alpha_value.re * scale_d, r = out.reference.re.hi;
    const Format format = format_of(out.type);
    entry.usable = q > 0 && is_finite(q) && alpha != 0 && is_finite(1 / alpha) && is_finite(r) &&
                           is_finite(out.value.re) && fabs(r) + out.bound < format.largest &&
                           reference.addend_g <= 8 * reference.alpha * sqrt(q) &&
                           shared.repeats <= kMostRepeats
                       ? 1
                       : 0;
    if (entry.usable == 0) return;
    const double root = sqrt(q), ulp = 2 * half_ulp(format, r);
    const double error = ((out.value.re - r) - out.reference.re.lo) / alpha;
    for (int h = 0; h < kInputFormats; ++h) entry.error[h] = (error - sums[5 + h]) / root;
    entry.s = s / root;
    entry.z = sums[2] / root;
    entry.walk = (sums[3] / q + 0.5) * shared.repeats;
    const double relative_ulp = ulp / (fabs(alpha) * root);
    entry.floor = relative_ulp * relative_ulp / 12;
    shared.value = out.value.re;
    shared.alpha = alpha;
    shared.addend = (r - alpha * s);
    entry.mismatch = out.value.re != rounded_to(format, r) ? 1 : 0;
    // Rounding of alpha's product and of each addend, in units of the accumulator.
    const double noise = legal_noise(params.bound, sums, k) * sqrt(shared.repeats) * fabs(alpha) +
                         2 * params.bound.u_acc * fabs(r);
    entry.mismatch_rate = noise / ulp;
    entry.rounded = entry.mismatch_rate < 0.2 ? 1 : 0;
}

// Is C what partial sums in the output type come to?
FUMI_DEVICE_CALL std::uint8_t replay_split(const ProbeShared& shared, int split, const Format& format,
                                           std::int64_t k) {
    const std::int64_t part = shared.part[split];
    double sum = 0, narrow = 0;
    int parts = 0;
    for (std::int64_t from = 0; from < k; from += part, ++parts) {
        const double end = from + part < k ? shared.prefix[split][parts + 1] : shared.running[0];
        const double partial = rounded_to(format, shared.alpha * (end - shared.prefix[split][parts]));
        sum += partial;
        narrow = parts == 0 ? partial : rounded_to(format, narrow + partial);
    }
    sum = rounded_to(format, sum + shared.addend);
    if (shared.addend != 0) narrow = rounded_to(format, narrow + shared.addend);
    return static_cast<std::uint8_t>((sum == shared.value ? 1 : 0) | (narrow == shared.value ? 2 : 0));
}

template <class B, class State>
FUMI_DEVICE void precision_entry(const B& block, const PrecisionParams& params, ProbeShared& shared,
                                 State& state) {
    const GemmProblem& problem = params.problem;
    const Factors factors = read_factors(block.memory, problem);
    const std::uint64_t seed =
        hash(params.seed, params.sequence == 0 ? load_word(&block.memory.at(params.slot)->sequence) : 0);
    const auto choose = [&](std::int64_t size, std::uint64_t dimension) {
        return static_cast<std::int64_t>(hash(hash(seed, dimension), block.index()) %
                                         static_cast<std::uint64_t>(size));
    };
    const Position at = {choose(problem.m, 1), choose(problem.n, 2), choose(problem.batch, 3)};
    Panel a = {&problem.a, nullptr, 0, problem.a.row_stride, problem.a.col_stride, nullptr, 1};
    Panel b = {&problem.b, nullptr, 0, problem.b.col_stride, problem.b.row_stride, nullptr, 1};
    if (factors.product) {
        a.base = batch_base(block.memory, problem.a, at.batch, &a.offset);
        b.base = batch_base(block.memory, problem.b, at.batch, &b.offset);
        a.offset += at.row * a.line_stride;
        b.offset += at.column * b.line_stride;
        probe_products(block, params, a, b, shared, state);
        probe_repeats(block, params, at, shared);
    }
    block.for_each_thread([&](int t) {
        if (t != 0) return;
        shared.entry = PrecisionEntry{};
        if (factors.product) describe_entry(block.memory, params, factors, at, shared);
    });
    block.sync();
    const DataType type = problem.aux.type == DataType::none ? problem.d.type : problem.aux.type;
    block.for_each_thread([&](int t) {
        if (t >= kSplits || shared.entry.usable == 0 || shared.part[t] == 0) return;
        shared.entry.split[t] = replay_split(shared, t, format_of(type), problem.k);
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t == 0) *(block.memory.at(params.entries) + block.index()) = shared.entry;
    });
}

// Least squares of x on s and z over the entries.
struct Fit {
    double slope_s = 0, slope_z = 0, residual = 0;  // residual: rms
};
// conversion: of what the format explains, instead of what it leaves.
FUMI_DEVICE_CALL Fit fit_format(const PrecisionEntry* entries, int count, int format, bool conversion) {
    double xx = 0, xs = 0, xz = 0, ss = 0, sz = 0, zz = 0;
    int usable = 0;
    for (int i = 0; i < count; ++i) {
        const PrecisionEntry& e = entries[i];
        if (e.usable == 0) continue;
        const double x = conversion ? e.error[0] - e.error[format] : e.error[format];
        xx += x * x;
        xs += x * e.s;
        xz += x * e.z;
        ss += e.s * e.s;
        sz += e.s * e.z;
        zz += e.z * e.z;
        ++usable;
    }
    Fit fit;
    if (usable == 0) return fit;
    const double rest = ss > 0 ? zz - sz * sz / ss : zz;
    if (rest > 1e-10 * zz) fit.slope_z = (xz - (ss > 0 ? sz * xs / ss : 0)) / rest;
    if (ss > 0) fit.slope_s = (xs - fit.slope_z * sz) / ss;
    const double left = xx - fit.slope_s * xs - fit.slope_z * xz;
    fit.residual = sqrt((left > 0 ? left : 0) / (usable > 2 ? usable - 2 : 1));
    return fit;
}

// Is the format in the error? Where it is most of it, the residual falls; where the accumulation's noise is
// larger, the error still follows what the format explains with a slope of 1.
FUMI_DEVICE bool format_shows(const Fit& none, const Fit& left, const Fit& conversion, int entries) {
    if (left.residual < 0.5 * none.residual) return true;
    const double d2 = conversion.residual * conversion.residual, r2 = none.residual * none.residual;
    if (!(d2 > 0) || entries < 8) return false;
    const double slope = (r2 + d2 - left.residual * left.residual) / (2 * d2);
    const double rest = fmax(r2 - slope * slope * d2, 0.0);
    return fabs(slope - 1) < 0.5 && slope * slope * d2 * (entries - 3) > 36 * rest;
}

struct PrecisionMergeShared {
    Fit fits[kInputFormats], conversions[kInputFormats];
    bool alike[kPrecisionEntries];  // the same as one before
    int matches[2 * kSplits];
};

FUMI_DEVICE_CALL void summarise(const PrecisionEntry* entries, const PrecisionParams& params,
                                const PrecisionMergeShared& shared, PrecisionStats& stats) {
    stats.residual_none = shared.fits[0].residual;
    int best = 0, usable = 0;
    for (int i = 0; i < static_cast<int>(kPrecisionEntries); ++i) usable += entries[i].usable;
    for (int h = 1; h < kInputFormats; ++h) {
        if ((params.formats >> h & 1) != 0 && shared.fits[h].residual < shared.fits[best].residual &&
            format_shows(shared.fits[0], shared.fits[h], shared.conversions[h], usable))
            best = h;
    }
    stats.inputs = static_cast<InputFormat>(best);
    stats.residual = shared.fits[best].residual;
    for (int i = 0; i < static_cast<int>(kPrecisionEntries); ++i) {
        const PrecisionEntry& e = entries[i];
        if (e.usable == 0) continue;
        ++stats.entries;
        const double left = e.error[best] - shared.fits[best].slope_s * e.s - shared.fits[best].slope_z * e.z;
        stats.accumulator_noise += left * left / e.walk;
        stats.accumulator_largest = fmax(stats.accumulator_largest, left * left / e.walk);
        stats.accumulator_floor += e.floor / e.walk;
        stats.plain_matches += e.mismatch == 0 ? 1 : 0;
        if (e.rounded == 0) continue;
        ++stats.rounded_entries;
        stats.mismatches += e.mismatch;
        stats.expected_mismatches += e.mismatch_rate;
        stats.mismatch_variance += e.mismatch_rate * (1 - e.mismatch_rate);
    }
    if (stats.entries > 0) {
        stats.accumulator_noise /= stats.entries > 2 ? stats.entries - 2 : 1;
        stats.accumulator_floor /= stats.entries;
    }
    for (int i = 0; i < 2 * kSplits; ++i) {
        if (shared.matches[i] <= stats.split_matches) continue;
        stats.split = i;
        stats.split_matches = shared.matches[i];
    }
}

template <class B>
FUMI_DEVICE void precision_merge(const B& block, const PrecisionParams& params,
                                 PrecisionMergeShared& shared) {
    constexpr int count = static_cast<int>(kPrecisionEntries);
    PrecisionEntry* entries = block.memory.at(params.entries);
    block.for_each_thread([&](int t) {
        if (t >= count) return;
        shared.alike[t] = false;
        for (int i = 0; i < t; ++i)
            shared.alike[t] =
                shared.alike[t] || (entries[i].s == entries[t].s && entries[i].z == entries[t].z &&
                                    entries[i].error[0] == entries[t].error[0]);
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t < count && shared.alike[t]) entries[t].usable = 0;
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t < kInputFormats) {
            shared.fits[t] = {};
            shared.conversions[t] = {};
            if (t == 0 || (params.formats >> t & 1) != 0) {
                shared.fits[t] = fit_format(entries, count, t, false);
                shared.conversions[t] = fit_format(entries, count, t, true);
            }
        }
        const int split = t - kInputFormats;
        if (split < 0 || split >= 2 * kSplits) return;
        int matches = 0;
        for (int i = 0; i < count; ++i)
            matches += entries[i].usable != 0 ? entries[i].split[split / 2] >> (split % 2) & 1 : 0;
        shared.matches[split] = matches;
    });
    block.sync();
    block.for_each_thread([&](int t) {
        if (t != 0) return;
        PrecisionStats stats;
        summarise(entries, params, shared, stats);
        PrecisionSlot* slot = block.memory.at(params.slot);
        const std::uint64_t before = load_word(&slot->sequence);
        if (params.sequence == 0) store_word(&slot->sequence, before + 1);
        system_fence();
        std::uint64_t words[sizeof(PrecisionStats) / sizeof(std::uint64_t)];
        static_assert(sizeof words == sizeof stats);
        memcpy(words, &stats, sizeof stats);
        auto* to = reinterpret_cast<std::uint64_t*>(&slot->stats);
        for (std::size_t i = 0; i < sizeof words / sizeof *words; ++i) store_word(to + i, words[i]);
        system_fence();
        store_word(&slot->sequence, params.sequence == 0 ? before + 2 : params.sequence);
        system_fence();
    });
}

}  // namespace fumi::FUMI_TARGET
