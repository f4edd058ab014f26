// The body of the four check kernels: tiles of D, each with its sums over all of K, judged element by
// element.
#pragma once
#include "kernels/device/judge.h"

namespace fumi::FUMI_TARGET {

// The shape of the work of one block. A thread owns kRows rows (kRowGroups apart) of kLanes packs of columns.
template <class SumsType>
struct Geometry {
    using Sums = SumsType;
    static constexpr bool kComplex = Sums::kComplex;
    static constexpr int kThreads = static_cast<int>(kCheckThreads);
#ifdef __CUDACC__
    static constexpr int kTileRows = 32, kTileColumns = 32, kTileK = kComplex ? 16 : 32;
    static constexpr int kRows = 2, kLanes = 2, kLoadLanes = 32, kPad = 1;
#else
    static constexpr int kTileRows = 32, kTileColumns = 64, kTileK = 64;
    static constexpr int kRows = 2, kLanes = 1, kLoadLanes = 1, kPad = 0;
#endif
    static constexpr int kColumnGroups = kTileColumns / (kLaneWidth * kLanes);
    static constexpr int kRowGroups = kTileRows / kRows;
    static_assert(kColumnGroups * kRowGroups == kThreads);
    static constexpr int kPlanes = kComplex ? 3 : 1;
};

template <class G>
struct Shared {
    alignas(64) double a[G::kPlanes][G::kTileK][G::kTileRows + G::kPad];
    alignas(64) double b[G::kPlanes][G::kTileK][G::kTileColumns + G::kPad];
    std::int64_t rows[G::kTileRows], columns[G::kTileColumns];
};

template <class G>
struct ThreadSums {
    typename G::Sums of[G::kRows][G::kLanes];
};

// Draws one of each of `count` equal strata of [0, size).
FUMI_DEVICE std::int64_t draw(std::int64_t index, std::int64_t count, std::int64_t size, std::uint64_t key) {
    if (count >= size) return index;
    // size * index stays below 2^63: size < 2^40 and count < 2^20 by the plan
    const std::int64_t low = size * index / count, high = size * (index + 1) / count;
    return low + static_cast<std::int64_t>(hash(key, static_cast<std::uint64_t>(index)) %
                                           static_cast<std::uint64_t>(high - low));
}

// Which elements the blocks look at: a grid of rows x columns x batches, mapped to positions.
struct Grid {
    std::int64_t rows, columns, batches;  // as many are looked at
    std::int64_t all_rows, first_column, all_columns, first_batch, all_batches;
    std::uint64_t seed;
    FUMI_DEVICE std::int64_t row(std::int64_t i) const { return draw(i, rows, all_rows, hash(seed, 1)); }
    FUMI_DEVICE std::int64_t column(std::int64_t i) const {
        return first_column + draw(i, columns, all_columns, hash(seed, 2));
    }
    FUMI_DEVICE std::int64_t batch(std::int64_t i) const {
        return first_batch + draw(i, batches, all_batches, hash(seed, 3));
    }
};

FUMI_DEVICE std::int64_t smaller(std::int64_t a, std::int64_t b) {
    return a < b ? a : b;
}

FUMI_DEVICE_CALL Grid grid_of(const Memory& memory, const GemmCheckParams& params) {
    const Coverage& c = params.coverage;
    Grid grid;
    grid.all_rows = params.problem.m;
    grid.first_column = c.first_column;
    grid.all_columns = c.last_column - c.first_column;
    grid.first_batch = c.first_batch;
    grid.all_batches = c.last_batch - c.first_batch;
    grid.rows = c.sampled != 0 ? smaller(c.rows, grid.all_rows) : grid.all_rows;
    grid.columns = c.sampled != 0 ? smaller(c.columns, grid.all_columns) : grid.all_columns;
    grid.batches = c.sampled != 0 ? smaller(c.batches, grid.all_batches) : grid.all_batches;
    grid.seed = c.seed;
    if (params.replayed != nullptr) {
        grid.seed = hash(grid.seed, load_word(&memory.at(params.replayed)->stats.launches));
    }
    return grid;
}

// One operand of one tile: `count` lines of the other dimension (rows of A, columns of B) by `depth` steps of
// K.
struct Panel {
    const MatrixView* view;
    const void* base;     // of this batch, untranslated
    std::int64_t offset;  // of this batch, in elements
    std::int64_t line_stride, k_stride;
    const std::int64_t* lines;  // in shared memory: which line each of `count` is
    int count;
};

template <class G, class T, int kWidth>
FUMI_DEVICE void store_element(double (&tile)[G::kPlanes][G::kTileK][kWidth], int k, int line, T raw,
                               bool conjugate) {
    if constexpr (G::kComplex) {
        const Complex value = decode_complex(raw);
        tile[0][k][line] = value.re;
        tile[1][k][line] = conjugate ? -value.im : value.im;
        tile[2][k][line] = sqrt(value.re * value.re + value.im * value.im);
    } else {
        tile[0][k][line] = decode_complex(raw).re;
    }
}

// Neighbouring threads (on the host: steps of the inner loop) go along the dimension that lies closer in
// memory.
template <class G, class T, int kWidth>
FUMI_DEVICE void load_panel(const Memory& memory, const Panel& panel, std::int64_t k0, int depth, int t,
                            double (&tile)[G::kPlanes][G::kTileK][kWidth]) {
    constexpr int groups = G::kThreads / G::kLoadLanes;
    const T* from = memory.at(static_cast<const T*>(panel.base)) + panel.offset + k0 * panel.k_stride;
    const bool conjugate = panel.view->conjugate;
    const int first = t / G::kLoadLanes, lane = t % G::kLoadLanes;
    if (panel.k_stride <= panel.line_stride) {
        for (int line = first; line < panel.count; line += groups) {
            const T* source = from + panel.lines[line] * panel.line_stride;
            for (int k = lane; k < depth; k += G::kLoadLanes) {
                store_element<G>(tile, k, line, source[k * panel.k_stride], conjugate);
            }
        }
    } else {
        for (int k = first; k < depth; k += groups) {
            const T* source = from + k * panel.k_stride;
            for (int line = lane; line < panel.count; line += G::kLoadLanes) {
                store_element<G>(tile, k, line, source[panel.lines[line] * panel.line_stride], conjugate);
            }
        }
    }
}

// Double-double kernels get fp64 types and the others the rest: half the code in each.
template <class G, int kWidth>
FUMI_DEVICE_CALL void load(const Memory& memory, const Panel& panel, std::int64_t k0, int depth, int t,
                           double (&tile)[G::kPlanes][G::kTileK][kWidth]) {
    with_type(panel.view->type, [&](auto sample) {
        using T = decltype(sample);
        load_panel<G, T>(memory, panel, k0, depth, t, tile);
    });
}

template <class G>
FUMI_DEVICE typename G::Sums::Operand operand_a(const Shared<G>& shared, int k, int row) {
    if constexpr (G::kComplex) {
        return {spread(shared.a[0][k][row]), spread(shared.a[1][k][row]), spread(shared.a[2][k][row])};
    } else {
        return {spread(shared.a[0][k][row])};
    }
}

template <class G>
FUMI_DEVICE typename G::Sums::Operand operand_b(const Shared<G>& shared, int k, int column) {
    if constexpr (G::kComplex) {
        return {load_lane(&shared.b[0][k][column]), load_lane(&shared.b[1][k][column]),
                load_lane(&shared.b[2][k][column])};
    } else {
        return {load_lane(&shared.b[0][k][column])};
    }
}

template <class G>
FUMI_DEVICE int row_of(int t, int r) {
    return t / G::kColumnGroups + G::kRowGroups * r;
}
template <class G>
FUMI_DEVICE int column_start(int t, int lane) {
    return (t % G::kColumnGroups + G::kColumnGroups * lane) * kLaneWidth;
}

template <class G>
FUMI_DEVICE void accumulate(const Shared<G>& shared, int depth, int t, ThreadSums<G>& state) {
    ThreadSums<G> sums = state;
    for (int k = 0; k < depth; ++k) {
        typename G::Sums::Operand b[G::kLanes];
        FUMI_UNROLL
        for (int lane = 0; lane < G::kLanes; ++lane)
            b[lane] = operand_b<G>(shared, k, column_start<G>(t, lane));
        FUMI_UNROLL
        for (int r = 0; r < G::kRows; ++r) {
            const auto a = operand_a<G>(shared, k, row_of<G>(t, r));
            FUMI_UNROLL
            for (int lane = 0; lane < G::kLanes; ++lane) sums.of[r][lane].add_product(a, b[lane]);
        }
    }
    state = sums;
}

// The tile's place in the grid, and how much of it lies inside.
struct Tile {
    std::int64_t first_row, first_column, batch;
    int rows, columns;
};

template <class G>
FUMI_DEVICE Tile tile_of(const Grid& grid, std::int64_t index) {
    const std::int64_t across = (grid.rows + G::kTileRows - 1) / G::kTileRows;
    const std::int64_t down = (grid.columns + G::kTileColumns - 1) / G::kTileColumns;
    Tile tile;
    tile.first_row = index % across * G::kTileRows;
    tile.first_column = index / across % down * G::kTileColumns;
    tile.batch = grid.batch(index / across / down);
    tile.rows = static_cast<int>(smaller(G::kTileRows, grid.rows - tile.first_row));
    tile.columns = static_cast<int>(smaller(G::kTileColumns, grid.columns - tile.first_column));
    return tile;
}

template <class G>
FUMI_DEVICE std::int64_t tiles_in(const Grid& grid) {
    return (grid.rows + G::kTileRows - 1) / G::kTileRows *
           ((grid.columns + G::kTileColumns - 1) / G::kTileColumns) * grid.batches;
}

// The Python FuMi's measures of one element.
FUMI_DEVICE void measure(ErrorStats& stats, const Complex& value, const Complex& reference) {
    if (!is_finite(value) || !is_finite(reference)) return;
    const double size = modulus(value.re, value.im), expected = modulus(reference.re, reference.im);
    const double sum = modulus(value.re + reference.re, value.im + reference.im);
    const double distance = modulus(value.re - reference.re, value.im - reference.im);
    stats.sum_abs_c += size;
    stats.max_abs_c = fmax(stats.max_abs_c, size);
    stats.max_abs_r = fmax(stats.max_abs_r, expected);
    if (distance > 0) stats.max_symmetric = fmax(stats.max_symmetric, sum > 0 ? distance / sum : INFINITY);
}

// What is wanted of few elements: whether the inputs of one that is not finite were, and FuMi's measures.
FUMI_DEVICE_CALL void look_closer(ErrorStats& stats, const Memory& memory, const GemmCheckParams& params,
                                  const Factors& factors, const ElementSums& sums, const Position& at,
                                  bool nonfinite) {
    const GemmProblem& problem = params.problem;
    const Reference reference = reference_of(memory, problem, factors, sums, at);
    const WideComplex& made = reference.value;
    if (nonfinite && (!is_finite(made.re.hi) || !is_finite(made.im.hi))) ++stats.nonfinite_inputs;
    if (params.bound.measures == 0) return;
    Output out = activated(problem, params.bound, factors, reference, 0.0);
    saturate(out);
    measure(stats, read_matrix(memory, problem.d, at.row, at.column, at.batch),
            {out.reference.re.hi, out.reference.im.hi});
}

template <class Products>
FUMI_DEVICE void judge_closely(ErrorStats& stats, const Memory& memory, const GemmCheckParams& params,
                               const Factors& factors, const ElementSums& sums, const Position& at,
                               bool complex, const Products& products) {
    const std::uint64_t before = stats.nonfinite;
    judge_element(stats, memory, params, factors, sums, at, complex, products);
    const bool nonfinite = stats.nonfinite != before;
    if (nonfinite || params.bound.measures != 0)
        look_closer(stats, memory, params, factors, sums, at, nonfinite);
}

template <class G>
FUMI_DEVICE void judge_thread(const Memory& memory, const GemmCheckParams& params, const Factors& factors,
                              const Shared<G>& shared, const Tile& tile, int t, const ThreadSums<G>& sums,
                              ErrorStats& stats) {
    for (int r = 0; r < G::kRows; ++r) {
        const int row = row_of<G>(t, r);
        if (row >= tile.rows) break;
        for (int lane = 0; lane < G::kLanes; ++lane) {
            for (int i = 0; i < kLaneWidth; ++i) {
                const int column = column_start<G>(t, lane) + i;
                if (column >= tile.columns) continue;
                const Position at = {shared.rows[row], shared.columns[column], tile.batch};
                judge_closely(stats, memory, params, factors, sums.of[r][lane].element(i), at, G::kComplex,
                              ElementProducts{memory, params.problem, at});
            }
        }
    }
}

template <class G, class B, class SumsState, class StatsState>
FUMI_DEVICE void check_tile(const B& block, const GemmCheckParams& params, const Factors& factors,
                            const Grid& grid, const Tile& tile, Shared<G>& shared, SumsState& sums,
                            StatsState& stats) {
    const GemmProblem& problem = params.problem;
    block.for_each_thread([&](int t) {
        if (t < tile.rows) shared.rows[t] = grid.row(tile.first_row + t);
        if (t < tile.columns) shared.columns[t] = grid.column(tile.first_column + t);
        sums[t] = {};
    });
    block.sync();
    Panel a = {&problem.a, nullptr, 0, problem.a.row_stride, problem.a.col_stride, shared.rows, tile.rows};
    Panel b = {&problem.b,           nullptr,        0,           problem.b.col_stride,
               problem.b.row_stride, shared.columns, tile.columns};
    if (factors.product) {
        a.base = batch_base(block.memory, problem.a, tile.batch, &a.offset);
        b.base = batch_base(block.memory, problem.b, tile.batch, &b.offset);
    }
    for (std::int64_t k0 = 0; factors.product && k0 < problem.k; k0 += G::kTileK) {
        const int depth = static_cast<int>(smaller(G::kTileK, problem.k - k0));
        block.for_each_thread([&](int t) {
            load<G>(block.memory, a, k0, depth, t, shared.a);
            load<G>(block.memory, b, k0, depth, t, shared.b);
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (row_of<G>(t, 0) < tile.rows && column_start<G>(t, 0) < tile.columns) {
                accumulate<G>(shared, depth, t, sums[t]);
            }
        });
        block.sync();
    }
    block.for_each_thread(
        [&](int t) { judge_thread<G>(block.memory, params, factors, shared, tile, t, sums[t], stats[t]); });
    block.sync();
}

// The statistics of all threads into one, in an order that depends on the number of threads alone. `slots` is
// shared.
template <int kThreads, int kSlots, class B, class StatsState>
FUMI_DEVICE void merge_threads(const B& block, ErrorStats* slots, StatsState& stats, ErrorStats* out) {
    for (int group = kSlots; group < kThreads; group += kSlots) {
        block.for_each_thread([&](int t) {
            if (t >= group && t < group + kSlots) slots[t - group] = stats[t];
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (t < kSlots && t + group < kThreads) merge(stats[t], slots[t]);
        });
        block.sync();
    }
    block.for_each_thread([&](int t) {
        if (t < kSlots) slots[t] = stats[t];
    });
    block.sync();
    for (int half = kSlots / 2; half > 0; half /= 2) {
        block.for_each_thread([&](int t) {
            if (t < half) merge(slots[t], slots[t + half]);
        });
        block.sync();
    }
    block.for_each_thread([&](int t) {
        if (t == 0) *out = slots[0];
    });
}

inline constexpr int kStatsSlots = 16;

template <class G, class B, class SumsState, class StatsState>
FUMI_DEVICE void gemm_check(const B& block, const GemmCheckParams& params, Shared<G>& shared, SumsState& sums,
                            StatsState& stats) {
    static_assert(sizeof(ErrorStats) * kStatsSlots <= sizeof(shared.a));
    const Factors factors = read_factors(block.memory, params.problem);
    const Grid grid = grid_of(block.memory, params);
    block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    const std::int64_t tiles = tiles_in<G>(grid);
    for (std::int64_t index = block.index(); index < tiles; index += block.count()) {
        check_tile<G>(block, params, factors, grid, tile_of<G>(grid, index), shared, sums, stats);
    }
    // The tiles' shared memory is free now: every thread has passed the last sync.
    auto* slots = reinterpret_cast<ErrorStats*>(&shared.a[0][0][0]);
    merge_threads<G::kThreads, kStatsSlots>(block, slots, stats,
                                            block.memory.at(params.partials) + block.index());
}

// The body of the merge kernel: one block.
struct MergeShared {
    ErrorStats slots[kMergeThreads];
};

FUMI_DEVICE void write_slot(const Memory& memory, const MergeParams& params, ErrorStats stats) {
    static_assert(sizeof(ErrorStats) % sizeof(std::uint64_t) == 0);
    constexpr std::size_t words = sizeof(ErrorStats) / sizeof(std::uint64_t);
    ResultSlot* slot = memory.at(params.slot);
    auto* to = reinterpret_cast<std::uint64_t*>(&slot->stats);
    stats.launches = 1;
    const std::uint64_t before = load_word(&slot->sequence);
    if (params.mode == MergeMode::accumulate) {
        ErrorStats merged;
        auto* old = reinterpret_cast<std::uint64_t*>(&merged);
        for (std::size_t i = 0; i < words; ++i) old[i] = load_word(to + i);
        if (before == 0) merged = ErrorStats{};  // a zeroed slot is no ErrorStats: its worst_index is 0
        merge(merged, stats);
        stats = merged;
        store_word(&slot->sequence, before + 1);
        system_fence();
    }
    const auto* from = reinterpret_cast<const std::uint64_t*>(&stats);
    for (std::size_t i = 0; i < words; ++i) store_word(to + i, from[i]);
    system_fence();
    store_word(&slot->sequence, params.mode == MergeMode::accumulate ? before + 2 : params.sequence);
    system_fence();
}

template <class B, class StatsState>
FUMI_DEVICE void merge_stats(const B& block, const MergeParams& params, MergeShared& shared,
                             StatsState& stats) {
    const ErrorStats* partials = block.memory.at(params.partials);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        for (std::uint64_t i = static_cast<std::uint64_t>(t); i < params.count; i += kMergeThreads) {
            merge(stats[t], partials[i]);
        }
        shared.slots[t] = stats[t];
    });
    block.sync();
    for (int half = static_cast<int>(kMergeThreads) / 2; half > 0; half /= 2) {
        block.for_each_thread([&](int t) {
            if (t < half) merge(shared.slots[t], shared.slots[t + half]);
        });
        block.sync();
    }
    block.for_each_thread([&](int t) {
        if (t == 0) write_slot(block.memory, params, shared.slots[0]);
    });
}

}  // namespace fumi::FUMI_TARGET
