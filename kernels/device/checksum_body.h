// The bodies of the checksum kernels (kernels/checksum.h).
#pragma once
#include "kernels/checksum.h"
#include "kernels/device/gemm_check_body.h"

namespace fumi::FUMI_TARGET {

inline constexpr int kChecksumDepth = 32;  // steps of K in shared memory at a time

// Random signs, 64 at a time.
class Signs {
  public:
    FUMI_DEVICE Signs(std::uint64_t seed, int vector)
        : key_(hash(seed, static_cast<std::uint64_t>(vector))) {}
    FUMI_DEVICE double at(std::int64_t column) {
        const std::int64_t word = column >> 6;
        if (word != word_) {
            word_ = word;
            bits_ = hash(key_, static_cast<std::uint64_t>(word));
        }
        return (bits_ >> (column & 63) & 1) != 0 ? -1.0 : 1.0;
    }

  private:
    std::uint64_t key_, bits_ = 0;
    std::int64_t word_ = -1;
};

// One block of columns of one matrix of the batch.
struct ColumnBlock {
    std::int64_t batch, first, last;
};
FUMI_DEVICE ColumnBlock column_block(const ChecksumParams& params, std::int64_t unit, int index) {
    const std::int64_t turned = (params.first_unit + unit) % params.all_units;
    ColumnBlock block;
    block.batch = turned / params.groups;
    const std::int64_t first = (turned % params.groups * kChecksumBlocks + index) * params.width;
    block.first = smaller(first, params.problem.n);
    block.last = smaller(first + params.width, params.problem.n);
    return block;
}

FUMI_DEVICE std::uint64_t seed_of(const Memory& memory, const ChecksumParams& params) {
    if (params.replayed == nullptr) return params.seed;
    return hash(params.seed, load_word(&memory.at(params.replayed)->stats.launches));
}

// Where the sums of one unit, block and vector start; vector `vectors` is that of the squares.
FUMI_DEVICE std::int64_t sums_at(const ChecksumParams& params, std::int64_t unit, int block, int vector) {
    return ((unit * kChecksumBlocks + block) * (params.vectors + 1) + vector) * params.problem.k;
}

FUMI_DEVICE_CALL void add_columns(const Memory& memory, const ChecksumParams& params, std::uint64_t seed,
                                  std::int64_t unit, int index, std::int64_t k) {
    const GemmProblem& problem = params.problem;
    const ColumnBlock columns = column_block(params, unit, index);
    double* sums = memory.at(params.sums);
    double squares = 0;
    for (int v = 0; v < params.vectors; ++v) {
        Signs signs(seed, v);
        double sum = 0;
        for (std::int64_t j = columns.first; j < columns.last; ++j) {
            const double b = read_matrix(memory, problem.b, k, j, columns.batch).re *
                             read_scale(memory, problem.scale_b, j);
            sum += signs.at(j) * b;
            if (v == 0) squares += b * b;
        }
        sums[sums_at(params, unit, index, v) + k] = sum;
    }
    sums[sums_at(params, unit, index, params.vectors) + k] = squares;
}

template <class B>
FUMI_DEVICE void checksum_columns(const B& block, const ChecksumParams& params) {
    const std::uint64_t seed = seed_of(block.memory, params);
    const std::int64_t k = params.problem.k, tasks = params.units * kChecksumBlocks * k;
    block.for_each_thread([&](int t) {
        const std::int64_t step = static_cast<std::int64_t>(block.count()) * kCheckThreads;
        for (std::int64_t i = static_cast<std::int64_t>(block.index()) * kCheckThreads + t; i < tasks;
             i += step)
            add_columns(block.memory, params, seed, i / k / kChecksumBlocks,
                        static_cast<int>(i / k % kChecksumBlocks), i % k);
    });
}

struct ChecksumShared {
    double a[kChecksumDepth][kChecksumRows + 1];
    double b[kMostChecksumVectors + 1][kChecksumBlocks][kChecksumDepth];
    ErrorStats slots[kStatsSlots];
};
struct RowSums {
    double product[kMostChecksumVectors] = {};
    double q = 0;  // sum over the block's columns and k of a^2 b^2
};

// What one row of one block of D adds up to.
struct RowOutput {
    double d[kMostChecksumVectors] = {}, c[kMostChecksumVectors] = {}, signs[kMostChecksumVectors] = {};
    double d2 = 0, c2 = 0;
    std::int64_t nonfinite = 0, first_nonfinite = -1, saturated = 0;
};

FUMI_DEVICE_CALL RowOutput add_row(const Memory& memory, const ChecksumParams& params, const Factors& factors,
                                   std::uint64_t seed, const ColumnBlock& columns, std::int64_t row) {
    const GemmProblem& problem = params.problem;
    const Format format = format_of(problem.d.type);
    const int vectors = params.vectors > 0 ? params.vectors : 1;
    RowOutput out;
    for (int v = 0; v < vectors; ++v) {
        Signs signs(seed, v);
        for (std::int64_t j = columns.first; j < columns.last; ++j) {
            const Complex d = read_matrix(memory, problem.d, row, j, columns.batch);
            const double sign = signs.at(j);
            out.d[v] += sign * d.re;
            out.signs[v] += sign;
            if (v == 0) {
                out.d2 += d.re * d.re;
                if (!is_finite(d)) {
                    if (out.first_nonfinite < 0) out.first_nonfinite = j;
                    ++out.nonfinite;
                }
                if (format.saturates && fabs(d.re) >= format.largest) ++out.saturated;
            }
            if (!factors.addend || params.linear == 0) continue;
            const double c = read_matrix(memory, problem.c, row, j, columns.batch).re * factors.scale_c;
            out.c[v] += sign * c;
            if (v == 0) out.c2 += c * c;
        }
    }
    return out;
}

// How much of one row of a block repeats itself: errors that are equal add up.
struct BlockRepeats {
    double products = 1;  // within an element, as SecondLook has it
    double columns = 1;   // sum over the groups of equal columns of (sum w)^2, over the number of columns
};

// Equal columns give equal elements, and an error in one is in all of them. They are told by D and by a sum
// over some rows of B with factors that no data have.
FUMI_DEVICE_CALL double equal_columns(const Memory& memory, const ChecksumParams& params, Signs signs,
                                      const ColumnBlock& columns, std::int64_t row) {
    constexpr int most = 128, rows = 8;
    const GemmProblem& problem = params.problem;
    const auto all = columns.last - columns.first;
    const int count = static_cast<int>(smaller(all, most));
    const auto key = [&](int i) {
        const std::int64_t j = columns.first + i;
        double sum = read_matrix(memory, problem.d, row, j, columns.batch).re;
        if (sum == 0) return static_cast<double>(NAN);  // a sum of nothing has no error
        for (int r = 0; r < rows; ++r) {
            const std::uint64_t random = hash(1, static_cast<std::uint64_t>(r));
            const auto k = static_cast<std::int64_t>(random % static_cast<std::uint64_t>(problem.k));
            sum += read_matrix(memory, problem.b, k, j, columns.batch).re *
                   (1 + 0x1p-53 * static_cast<double>(random >> 11));
        }
        return sum;
    };
    const double pairs = equal_pairs(
        count, key, [&](int i, int j) { return signs.at(columns.first + i) * signs.at(columns.first + j); });
    // The first columns stand for those of a wider block.
    const double scale = static_cast<double>(all) / count;
    return fmax(1 + scale * 2 * pairs / count, 1.0);
}

FUMI_DEVICE_CALL BlockRepeats repeats_of(const Memory& memory, const ChecksumParams& params,
                                         const Signs& signs, const ColumnBlock& columns, std::int64_t row) {
    constexpr int looked_at = 4;
    const GemmProblem& problem = params.problem;
    BlockRepeats repeats;
    repeats.columns = equal_columns(memory, params, signs, columns, row);
    const auto count = columns.last - columns.first;
    for (int i = 0; i < looked_at && i < count; ++i) {
        const Position at = {row, columns.first + draw(i, smaller(looked_at, count), count, params.seed),
                             columns.batch};
        const ElementProducts products{memory, problem, at};
        double g = 0;
        for (std::int64_t k = 0; k < problem.k; ++k) g += fabs(products(k).re);
        SecondLook<ElementProducts> look{problem.k, params.bound.accumulator_bits, g, products};
        if (g > 0) repeats.products = fmax(repeats.products, fmax(look.from_repeats(), look.from_replay()));
    }
    return repeats;
}

// sigma^2 of D w - reference (docs/modes.md), without and with partial sums in the output type.
struct Spread {
    double strict, loose;
};
FUMI_DEVICE Spread spread_of(const ChecksumParams& params, const Factors& factors, const RowOutput& out,
                             double q, double bias, double columns, const BlockRepeats& repeats) {
    const BoundNumbers& bound = params.bound;
    if (bound.exact != 0) return {0, 0};
    const Format format = format_of(params.problem.d.type);
    const double scale = factors.scale_d * factors.scale_d;
    const double addends = factors.beta.re * factors.beta.re * out.c2 + columns * bias * bias;
    const double c2 = addends > 0 ? 2 * (out.d2 / scale + addends) : out.d2 / scale;
    const double k = static_cast<double>(params.problem.k), u2 = bound.u_acc * bound.u_acc,
                 b = 2 * bound.beta_t * k;
    // Twice the mean square of a walk's partial sums: in a block of few columns one bad sum is not averaged.
    const double walk = 2 * (c2 / 3 + q / 2), u_out = power_of_two(-format.bits);
    const double spacing = half_ulp(format, 0.0);
    double variance =
        u2 * (0.18037 * k * repeats.products + b * b) * walk + u2 * (addends + c2) * (1 + factors.scales);
    variance += 0.25 * bound.input_error * bound.input_error * (c2 + q);
    // This check's own sums, in fp64.
    variance += 0x1p-106 * 0.72 * (k + 2 * columns) * (walk + addends);
    const double flushed = (k + 1) * bound.underflow * (1 + fabs(factors.alpha.re));
    variance += columns * flushed * flushed;
    const double strict =
        scale * variance + 0.18037 * u_out * u_out * out.d2 + columns * spacing * spacing / 3;
    const double reduction = scale * 0.18037 * params.reduction_error * params.reduction_error * (c2 + q);
    return {repeats.columns * strict, repeats.columns * (strict + reduction)};
}

FUMI_DEVICE_CALL void judge_row(ErrorStats& stats, const Memory& memory, const ChecksumParams& params,
                                const Factors& factors, std::uint64_t seed, const ColumnBlock& columns,
                                std::int64_t row, const RowSums& sums) {
    const GemmProblem& problem = params.problem;
    const RowOutput out = add_row(memory, params, factors, seed, columns, row);
    const double count = static_cast<double>(columns.last - columns.first);
    stats.elements += static_cast<std::uint64_t>(columns.last - columns.first);
    stats.nonfinite += static_cast<std::uint64_t>(out.nonfinite);
    if (params.linear == 0) return;
    const double alpha = factors.alpha.re * read_scale(memory, problem.scale_a, row);
    const double bias = problem.bias == nullptr
                            ? 0.0
                            : read_element(memory, problem.bias,
                                           columns.batch * problem.bias_batch_stride + row, problem.bias_type)
                                  .re;
    const double q = factors.product ? alpha * alpha * sums.q : 0.0;
    const Spread distinct = spread_of(params, factors, out, q, bias, count, {});
    const std::int64_t index = row + problem.m * (columns.first + problem.n * columns.batch);
    // By Cauchy and Schwarz no sum of the block exceeds this.
    const double largest = fabs(factors.scale_d) * (sqrt(static_cast<double>(problem.k) * q) +
                                                    fabs(factors.beta.re) * sqrt(out.c2) + fabs(bias));
    bool inputs_finite = is_finite(q) && is_finite(bias) && is_finite(out.c2);
    for (int v = 0; v < params.vectors; ++v) {
        const double product = factors.product ? alpha * sums.product[v] : 0.0;
        inputs_finite = inputs_finite && is_finite(product);
        if (!inputs_finite || out.nonfinite > 0 || out.saturated > 0) break;
        const double reference =
            factors.scale_d * (product + factors.beta.re * out.c[v] + bias * out.signs[v]);
        const double error = fabs(out.d[v] - reference);
        const auto ratio = [&](double variance) {
            return error == 0 ? 0.0
                              : (variance > 0 ? error / (kChecksumThreshold * sqrt(variance)) : INFINITY);
        };
        Spread spread = distinct;
        if (is_finite(error) && ratio(spread.strict) > 1 && params.bound.exact == 0 && factors.product) {
            const BlockRepeats repeats = repeats_of(memory, params, Signs(seed, v), columns, row);
            spread = spread_of(params, factors, out, q, bias, count, repeats);
        }
        const double strict = ratio(spread.strict);
        if (!is_finite(error) || strict != strict) continue;
        ++stats.bits_elements;
        stats.see += is_finite(strict) ? 36 * strict * strict : 0.0;
        stats.max_abs_err = fmax(stats.max_abs_err, error);
        stats.max_eta = fmax(stats.max_eta, ratio(spread.loose));
        if (strict > 1) ++stats.mismatches;
        if (!is_worse(strict, index, stats)) continue;
        stats.max_ratio = strict;
        stats.bound_at_max = kChecksumThreshold * sqrt(spread.strict);
        stats.worst_index = index;
        stats.worst_value = out.d[v];
        stats.worst_reference = reference;
    }
    const bool made_here = inputs_finite && out.nonfinite > 0 &&
                           largest < fmin(format_of(problem.d.type).overflow, params.bound.accumulator_max);
    if (made_here) {
        ++stats.nonfinite_unexpected;
        if (is_worse(INFINITY, index, stats)) {
            stats.max_ratio = stats.max_eta = INFINITY;
            stats.worst_index = row + problem.m * (out.first_nonfinite + problem.n * columns.batch);
            stats.worst_value = read_matrix(memory, problem.d, row, out.first_nonfinite, columns.batch).re;
            stats.worst_reference = largest;
        }
    } else if (!inputs_finite || out.nonfinite > 0 || out.saturated > 0) {
        ++stats.nonfinite_reference;
        if (!inputs_finite) ++stats.rel_elements;
    }
}

template <class B, class SumsState, class StatsState>
FUMI_DEVICE void checksum_rows(const B& block, const ChecksumParams& params, ChecksumShared& shared,
                               SumsState& sums, StatsState& stats) {
    const GemmProblem& problem = params.problem;
    const Memory& memory = block.memory;
    const Factors factors = read_factors(memory, problem);
    const std::uint64_t seed = seed_of(memory, params);
    const std::int64_t across = (problem.m + kChecksumRows - 1) / kChecksumRows;
    constexpr int threads = static_cast<int>(kCheckThreads);
    static_assert(threads == kChecksumRows * kChecksumBlocks);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    for (std::int64_t tile = block.index(); tile < across * params.units; tile += block.count()) {
        const std::int64_t unit = tile / across, first_row = tile % across * kChecksumRows;
        const std::int64_t batch = column_block(params, unit, 0).batch;
        block.for_each_thread([&](int t) { sums[t] = RowSums{}; });
        const bool product = factors.product && params.linear != 0;
        for (std::int64_t k0 = 0; product && k0 < problem.k; k0 += kChecksumDepth) {
            const int depth = static_cast<int>(smaller(kChecksumDepth, problem.k - k0));
            block.sync();
            block.for_each_thread([&](int t) {
                for (int i = t; i < kChecksumDepth * kChecksumRows; i += threads) {
                    const int row = i % kChecksumRows, k = i / kChecksumRows;
                    const bool inside = k < depth && first_row + row < problem.m;
                    shared.a[k][row] =
                        inside ? read_matrix(memory, problem.a, first_row + row, k0 + k, batch).re : 0.0;
                }
                const double* from = memory.at(params.sums);
                for (int i = t; i < (params.vectors + 1) * kChecksumBlocks * kChecksumDepth; i += threads) {
                    const int k = i % kChecksumDepth, b = i / kChecksumDepth % kChecksumBlocks,
                              v = i / kChecksumDepth / kChecksumBlocks;
                    shared.b[v][b][k] = k < depth ? from[sums_at(params, unit, b, v) + k0 + k] : 0.0;
                }
            });
            block.sync();
            block.for_each_thread([&](int t) {
                const int row = t % kChecksumRows, b = t / kChecksumRows;
                RowSums mine = sums[t];
                for (int k = 0; k < depth; ++k) {
                    const double a = shared.a[k][row];
                    for (int v = 0; v < params.vectors; ++v) mine.product[v] += a * shared.b[v][b][k];
                    mine.q += a * a * shared.b[params.vectors][b][k];
                }
                sums[t] = mine;
            });
        }
        block.for_each_thread([&](int t) {
            const std::int64_t row = first_row + t % kChecksumRows;
            const ColumnBlock columns = column_block(params, unit, t / kChecksumRows);
            if (row < problem.m && columns.first < columns.last)
                judge_row(stats[t], memory, params, factors, seed, columns, row, sums[t]);
        });
    }
    block.sync();
    merge_threads<threads, kStatsSlots>(block, shared.slots, stats,
                                        memory.at(params.partials) + block.index());
}

}  // namespace fumi::FUMI_TARGET
