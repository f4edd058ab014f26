// The body of the convolution checks: the tiles, sums and judgement of gemm_check_body.h over gathered
// operands. Where few elements are sampled, K is cut into slices over many blocks and a second kernel adds
// them up.
#pragma once
#include "kernels/device/dnn/conv_judge.h"

namespace fumi::FUMI_TARGET {

template <class G>
struct ConvShared {
    Shared<G> of;
    Place row[G::kTileRows], column[G::kTileColumns], k_first[G::kTileK], k_second[G::kTileK];
};

FUMI_DEVICE Grid grid_of(const Memory& memory, const ConvCheckParams& params, const ConvGeometry& geometry) {
    Grid grid;
    grid.all_rows = geometry.rows;
    grid.first_column = 0;
    grid.all_columns = geometry.columns;
    grid.first_batch = 0;
    grid.all_batches = params.problem.groups;
    grid.rows = params.rows;
    grid.columns = params.columns;
    grid.batches = params.batches;
    grid.seed = seed_of(memory, params.common);
    return grid;
}

template <class G, class T, int kWidth>
FUMI_DEVICE void gather_panel(const Memory& memory, const Gather& from, const Place* lines, int count,
                              const Place* ks, int depth, int t,
                              double (&tile)[G::kPlanes][G::kTileK][kWidth]) {
    constexpr int groups = G::kThreads / G::kLoadLanes;
    const T* base = memory.at(static_cast<const T*>(from.base));
    const int first = t / G::kLoadLanes, lane = t % G::kLoadLanes;
    const auto load_one = [&](int line, int k) {
        std::int64_t offset = 0;
        tile[0][k][line] = from.find(lines[line], ks[k], offset) ? decode(base[offset]) : 0.0;
    };
    if (from.k_is_near) {
        for (int line = first; line < count; line += groups)
            for (int k = lane; k < depth; k += G::kLoadLanes) load_one(line, k);
    } else {
        for (int k = first; k < depth; k += groups)
            for (int line = lane; line < count; line += G::kLoadLanes) load_one(line, k);
    }
}

template <class G, int kWidth>
FUMI_DEVICE_CALL void gather_typed(const Memory& memory, const Gather& from, const Place* lines, int count,
                                   const Place* ks, int depth, int t,
                                   double (&tile)[G::kPlanes][G::kTileK][kWidth]) {
    with_real_type(from.type, [&](auto sample) {
        gather_panel<G, decltype(sample)>(memory, from, lines, count, ks, depth, t, tile);
    });
}

template <class G, int kWidth>
FUMI_DEVICE void gather(const Memory& memory, const Gather& from, const Place* lines, int count,
                        const Place* ks, int depth, int t, double (&tile)[G::kPlanes][G::kTileK][kWidth]) {
    // A sample of few lines leaves most threads without work.
    if (t / G::kLoadLanes < (from.k_is_near ? count : depth))
        gather_typed<G>(memory, from, lines, count, ks, depth, t, tile);
}

// Thread t has an element of the tile.
template <class G>
FUMI_DEVICE bool has_work(const Tile& tile, int t) {
    return row_of<G>(t, 0) < tile.rows && column_start<G>(t, 0) < tile.columns;
}

template <class G, class B, class SumsState>
FUMI_DEVICE void sum_tile(const B& block, const ConvGeometry& geometry, const Grid& grid, const Tile& tile,
                          std::int64_t k_begin, std::int64_t k_end, ConvShared<G>& shared, SumsState& sums) {
    const Gather first = geometry.first(), second = geometry.second();
    block.for_each_thread([&](int t) {
        if (t < tile.rows) {
            shared.of.rows[t] = grid.row(tile.first_row + t);
            shared.row[t] = geometry.row(shared.of.rows[t], tile.batch);
        }
        if (t < tile.columns) {
            shared.of.columns[t] = grid.column(tile.first_column + t);
            shared.column[t] = geometry.column(shared.of.columns[t], tile.batch);
        }
        if (has_work<G>(tile, t)) sums[t] = {};
    });
    for (std::int64_t k0 = k_begin; k0 < k_end; k0 += G::kTileK) {
        const int depth = static_cast<int>(smaller(G::kTileK, k_end - k0));
        block.for_each_thread([&](int t) {
            if (t < depth) geometry.at_k(k0 + t, shared.k_first[t], shared.k_second[t]);
        });
        block.sync();
        block.for_each_thread([&](int t) {
            gather<G>(block.memory, first, shared.row, tile.rows, shared.k_first, depth, t, shared.of.a);
            gather<G>(block.memory, second, shared.column, tile.columns, shared.k_second, depth, t,
                      shared.of.b);
        });
        block.sync();
        block.for_each_thread([&](int t) {
            if (has_work<G>(tile, t)) accumulate<G>(shared.of, depth, t, sums[t]);
        });
        block.sync();
    }
}

// Calls f(row, column, sums of it) for what thread t has of the tile.
template <class G, class F>
FUMI_DEVICE void for_each_element(const Tile& tile, int t, const ThreadSums<G>& sums, F f) {
    for (int r = 0; r < G::kRows; ++r) {
        const int row = row_of<G>(t, r);
        if (row >= tile.rows) break;
        for (int lane = 0; lane < G::kLanes; ++lane) {
            for (int i = 0; i < kLaneWidth; ++i) {
                const int column = column_start<G>(t, lane) + i;
                if (column < tile.columns) f(row, column, sums.of[r][lane].element(i));
            }
        }
    }
}

// Where the sums of one sampled element are kept, in each slice.
FUMI_DEVICE std::int64_t place_of(const Grid& grid, std::int64_t row, std::int64_t column,
                                  std::int64_t batch) {
    return row + grid.rows * (column + grid.columns * batch);
}

template <class G, class B, class SumsState, class StatsState>
FUMI_DEVICE void conv_check(const B& block, const ConvCheckParams& params, ConvShared<G>& shared,
                            SumsState& sums, StatsState& stats) {
    static_assert(sizeof(ErrorStats) * kStatsSlots <= sizeof(shared.of.a));
    const ConvGeometry geometry(params.problem);
    const Grid grid = grid_of(block.memory, params, geometry);
    const ConvJudge judge(block.memory, params, geometry);
    if (params.slices == 1) block.for_each_thread([&](int t) { stats[t] = ErrorStats{}; });
    const std::int64_t elements = grid.rows * grid.columns * grid.batches;
    const std::int64_t depth = judge.factors.product ? slice_depth(geometry.k, params.slices) : 0;
    const std::int64_t tiles = tiles_in<G>(grid), per_batch = tiles / grid.batches;
    for (std::int64_t work = block.index(); work < tiles * params.slices; work += block.count()) {
        const Tile tile = tile_of<G>(grid, work % tiles);
        const std::int64_t slice = work / tiles, k0 = slice * depth;
        sum_tile<G>(block, geometry, grid, tile, k0, smaller(k0 + depth, geometry.k), shared, sums);
        block.for_each_thread([&](int t) {
            if (!has_work<G>(tile, t)) return;
            for_each_element<G>(tile, t, sums[t], [&](int row, int column, const ElementSums& of) {
                if (params.slices > 1) {
                    const std::int64_t at = place_of(grid, tile.first_row + row, tile.first_column + column,
                                                     work % tiles / per_batch);
                    block.memory.at(params.sums)[slice * elements + at] = {of.s.re.hi, of.s.re.lo, of.g, of.q,
                                                                           of.z.re};
                } else {
                    judge.element(stats[t], of, shared.of.rows[row], shared.of.columns[column], tile.batch);
                }
            });
        });
        block.sync();
    }
    if (params.slices > 1) return;
    auto* slots = reinterpret_cast<ErrorStats*>(&shared.of.a[0][0][0]);
    merge_threads<G::kThreads, kStatsSlots>(block, slots, stats,
                                            block.memory.at(params.common.partials) + block.index());
}

// The sums over all slices, in the order of k. A running sum of a later slice starts at what the earlier came
// to.
FUMI_DEVICE_CALL ElementSums combined(const SlicedSums* sums, std::int64_t elements, std::int64_t slices,
                                      std::int64_t depth, std::int64_t k) {
    ElementSums total;
    Wide s;
    // Unrolled, nvcc 13.0 reads three of the five sums of every slice but the first from the element behind
    // it.
    FUMI_NO_UNROLL
    for (std::int64_t slice = 0; slice < slices; ++slice) {
        const SlicedSums& part = sums[slice * elements];
        const std::int64_t left = k - slice * depth;
        total.z.re += part.z + s.hi * static_cast<double>(left < depth ? (left > 0 ? left : 0) : depth);
        s = add(s, Wide{part.hi, part.lo});
        total.g += part.g;
        total.q += part.q;
    }
    total.s.re = s;
    return total;
}

template <class B, class StatsState>
FUMI_DEVICE void conv_combine(const B& block, const ConvCheckParams& params, StatsShared& shared,
                              StatsState& stats) {
    const ConvGeometry geometry(params.problem);
    const Grid grid = grid_of(block.memory, params, geometry);
    const ConvJudge judge(block.memory, params, geometry);
    const std::int64_t elements = grid.rows * grid.columns * grid.batches;
    const std::int64_t depth = judge.factors.product ? slice_depth(geometry.k, params.slices) : 0;
    const SlicedSums* sums = block.memory.at(params.sums);
    constexpr int threads = static_cast<int>(kDnnThreads);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        for (std::int64_t i = block.index() * std::int64_t{threads} + t; i < elements;
             i += block.count() * std::int64_t{threads}) {
            const std::int64_t column = i / grid.rows % grid.columns, batch = i / grid.rows / grid.columns;
            judge.element(stats[t], combined(sums + i, elements, params.slices, depth, geometry.k),
                          grid.row(i % grid.rows), grid.column(column), grid.batch(batch));
        }
    });
    merge_threads<threads, kStatsSlots>(block, shared.slots, stats,
                                        block.memory.at(params.common.partials) + block.index());
}

}  // namespace fumi::FUMI_TARGET
