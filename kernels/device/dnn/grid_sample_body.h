// Bilinear grid sampling, forward and backward: outputs by element; the gradient of the input by planes, each
// of which one thread fills in scratch in the order of the grid, so that no sum depends on the schedule.
#pragma once
#include "kernels/device/dnn/tracked.h"

namespace fumi::FUMI_TARGET {

enum GridOutput : int { kGridY, kGridDgrid, kGridDx };

// One coordinate on its axis: the cell that it lies in, its place there, and how far a legal kernel may be
// off.
struct AxisPlace {
    double position, fraction, error;
    std::int64_t cell;
};
FUMI_DEVICE AxisPlace axis_place(double coordinate, std::int64_t size, double u) {
    AxisPlace a;
    a.position = (coordinate + 1) * 0.5 * static_cast<double>(size - 1);
    a.error = 3 * u * (fabs(coordinate) + 1) * 0.5 * static_cast<double>(size);
    const double cell = floor(fmin(fmax(a.position, -2.0), static_cast<double>(size) + 1));
    a.cell = static_cast<std::int64_t>(cell);
    a.fraction = fmin(fmax(a.position - cell, 0.0), 1.0);
    return a;
}

struct GridPoint {
    std::int64_t n, h, w;
    AxisPlace x, y;
};
FUMI_DEVICE GridPoint grid_point(const Memory& memory, const GridSampleProblem& p, std::int64_t index,
                                 double u) {
    GridPoint g;
    g.w = index % p.grid.size[2];
    g.h = index / p.grid.size[2] % p.grid.size[1];
    g.n = index / p.grid.size[2] / p.grid.size[1];
    const std::int64_t at = g.n * p.grid.stride[0] + g.h * p.grid.stride[1] + g.w * p.grid.stride[2];
    g.x = axis_place(read_at(memory, p.grid, at), p.x.size[3], u);
    g.y = axis_place(read_at(memory, p.grid, at + p.grid.stride[3]), p.x.size[2], u);
    return g;
}

// x at a cell, 0 outside.
FUMI_DEVICE double pixel(const Memory& memory, const GridSampleProblem& p, std::int64_t n, std::int64_t c,
                         std::int64_t h, std::int64_t w) {
    if (h < 0 || w < 0 || h >= p.x.size[2] || w >= p.x.size[3]) return 0;
    return read_at(memory, p.x,
                   n * p.x.stride[0] + c * p.x.stride[1] + h * p.x.stride[2] + w * p.x.stride[3]);
}

// The four pixels around a point, their interpolation and its slopes. `largest`: of the 16 pixels that a
// kernel off by its error could reach.
struct Patch {
    double v00, v01, v10, v11, largest = 0;
    FUMI_DEVICE Patch(const Memory& memory, const GridSampleProblem& p, const GridPoint& g, std::int64_t c) {
        v00 = pixel(memory, p, g.n, c, g.y.cell, g.x.cell);
        v01 = pixel(memory, p, g.n, c, g.y.cell, g.x.cell + 1);
        v10 = pixel(memory, p, g.n, c, g.y.cell + 1, g.x.cell);
        v11 = pixel(memory, p, g.n, c, g.y.cell + 1, g.x.cell + 1);
        for (int i = -1; i < 3; ++i)
            for (int j = -1; j < 3; ++j)
                largest = fmax(largest, fabs(pixel(memory, p, g.n, c, g.y.cell + i, g.x.cell + j)));
    }
    FUMI_DEVICE double value(double fx, double fy) const {
        return (v00 * (1 - fx) + v01 * fx) * (1 - fy) + (v10 * (1 - fx) + v11 * fx) * fy;
    }
    FUMI_DEVICE double size(double fx, double fy) const {
        return (fabs(v00) * (1 - fx) + fabs(v01) * fx) * (1 - fy) +
               (fabs(v10) * (1 - fx) + fabs(v11) * fx) * fy;
    }
};

FUMI_DEVICE_CALL void judge_sampled_pixel(const Memory& memory, const GridSampleCheckParams& params,
                                          std::int64_t index, ErrorStats& stats) {
    const GridSampleProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const std::int64_t plane = p.y.size[2] * p.y.size[3], channels = p.y.size[1];
    const std::int64_t c = index / plane % channels;
    const GridPoint g = grid_point(memory, p, index / plane / channels * plane + index % plane, bound.u_acc);
    const Patch patch(memory, p, g, c);
    const double fx = g.x.fraction, fy = g.y.fraction, size = patch.size(fx, fy);
    // Continuous and piecewise linear, with slopes of 2 |x| at most.
    const Tracked y = {patch.value(fx, fy),
                       2 * (g.x.error + g.y.error) * patch.largest + 8 * bound.u_acc * size};
    judge_tracked(stats, bound, y, size, read_at(memory, p.y, offset_of(p.y, index)), p.y.type,
                  index_in(kGridY, index));
}

// The gradient by one grid point, which jumps where the point lies on a pixel.
FUMI_DEVICE_CALL void judge_grid_gradient(const Memory& memory, const GridSampleCheckParams& params,
                                          std::int64_t index, ErrorStats& stats) {
    const GridSampleProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const GridPoint g = grid_point(memory, p, index, bound.u_acc);
    const double fx = g.x.fraction, fy = g.y.fraction;
    const auto near_edge = [](const AxisPlace& a) {
        return a.fraction <= a.error || 1 - a.fraction <= a.error;
    };
    const bool jumps = near_edge(g.x) || near_edge(g.y);
    Tracked x, y;
    double x_size = 0, y_size = 0;
    for (std::int64_t c = 0; c < p.x.size[1]; ++c) {
        const Patch patch(memory, p, g, c);
        const double dy =
            read_at(memory, p.dy,
                    g.n * p.dy.stride[0] + c * p.dy.stride[1] + g.h * p.dy.stride[2] + g.w * p.dy.stride[3]);
        x.v += dy * ((patch.v01 - patch.v00) * (1 - fy) + (patch.v11 - patch.v10) * fy);
        y.v += dy * ((patch.v10 - patch.v00) * (1 - fx) + (patch.v11 - patch.v01) * fx);
        const double reach = fabs(dy) * patch.largest;
        x.e += reach * (4 * g.y.error + (jumps ? 4 : 0));
        y.e += reach * (4 * g.x.error + (jumps ? 4 : 0));
        x_size += 2 * reach;
        y_size += 2 * reach;
    }
    const double spread = sum_spread(bound, 4.0 * static_cast<double>(p.x.size[1])) + 8 * bound.u_acc;
    const double x_scale = 0.5 * static_cast<double>(p.x.size[3] - 1),
                 y_scale = 0.5 * static_cast<double>(p.x.size[2] - 1);
    const std::int64_t at = g.n * p.dgrid.stride[0] + g.h * p.dgrid.stride[1] + g.w * p.dgrid.stride[2];
    judge_tracked(stats, bound, {x.v * x_scale, (x.e + spread * x_size) * x_scale}, x_size * x_scale,
                  read_at(memory, p.dgrid, at), p.dgrid.type, index_in(kGridDgrid, 2 * index));
    judge_tracked(stats, bound, {y.v * y_scale, (y.e + spread * y_size) * y_scale}, y_size * y_scale,
                  read_at(memory, p.dgrid, at + p.dgrid.stride[3]), p.dgrid.type,
                  index_in(kGridDgrid, 2 * index + 1));
}

// Scatters dy of one plane into scratch: value and error of every pixel.
FUMI_DEVICE_CALL void scatter_plane(const Memory& memory, const GridSampleCheckParams& params, std::int64_t n,
                                    std::int64_t c, Tracked* plane, double* sizes) {
    const GridSampleProblem& p = params.problem;
    const double u = params.common.bound.u_acc;
    const std::int64_t height = p.x.size[2], width = p.x.size[3], points = p.grid.size[1] * p.grid.size[2];
    for (std::int64_t i = 0; i < height * width; ++i) {
        plane[i] = {};
        sizes[i] = 0;
    }
    for (std::int64_t i = 0; i < points; ++i) {
        const GridPoint g = grid_point(memory, p, n * points + i, u);
        const double dy =
            read_at(memory, p.dy,
                    n * p.dy.stride[0] + c * p.dy.stride[1] + g.h * p.dy.stride[2] + g.w * p.dy.stride[3]);
        for (int a = -1; a < 3; ++a) {
            for (int b = -1; b < 3; ++b) {
                const std::int64_t h = g.y.cell + a, w = g.x.cell + b;
                if (h < 0 || w < 0 || h >= height || w >= width) continue;
                const double wy = a == 0 ? 1 - g.y.fraction : (a == 1 ? g.y.fraction : 0.0);
                const double wx = b == 0 ? 1 - g.x.fraction : (b == 1 ? g.x.fraction : 0.0);
                Tracked& to = plane[h * width + w];
                to.v += dy * wx * wy;
                to.e +=
                    fabs(dy) * (wx * g.y.error + wy * g.x.error + g.x.error * g.y.error + 4 * u * wx * wy);
                sizes[h * width + w] += fabs(dy * wx * wy);
            }
        }
    }
}

template <class B, class StatsState>
FUMI_DEVICE void grid_sample_check(const B& block, const GridSampleCheckParams& params, StatsShared& shared,
                                   StatsState& stats) {
    const std::uint64_t seed = seed_of(block.memory, params.common);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        for (std::int64_t i = block.index() * std::int64_t{kDnnThreads} + t; i < params.checked;
             i += block.count() * std::int64_t{kDnnThreads}) {
            const std::int64_t element = draw(i, params.checked, params.elements, seed);
            if (params.problem.backward != 0) {
                judge_grid_gradient(block.memory, params, element, stats[t]);
            } else {
                judge_sampled_pixel(block.memory, params, element, stats[t]);
            }
        }
    });
    finish(block, params.common, shared.slots, stats);
}

// The gradient of the input: `lanes` planes are in scratch at a time, one for each thread of each block.
template <class B, class StatsState>
FUMI_DEVICE void grid_planes_check(const B& block, const GridSampleCheckParams& params, StatsShared& shared,
                                   StatsState& stats) {
    const GridSampleProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    const std::uint64_t seed = hash(seed_of(block.memory, params.common), 2);
    const std::int64_t size = p.x.size[2] * p.x.size[3], planes = p.x.size[0] * p.x.size[1];
    const double points = static_cast<double>(p.grid.size[1] * p.grid.size[2]);
    block.for_each_thread([&](int t) {
        stats[t] = ErrorStats{};
        if (t >= params.lanes) return;
        const std::int64_t lane = block.index() * params.lanes + t;
        auto* plane = reinterpret_cast<Tracked*>(block.memory.at(params.work)) + lane * size;
        double* sizes = block.memory.at(params.sizes) + lane * size;
        for (std::int64_t i = lane; i < params.planes; i += block.count() * params.lanes) {
            const std::int64_t at = draw(i, params.planes, planes, seed);
            scatter_plane(block.memory, params, at / p.x.size[1], at % p.x.size[1], plane, sizes);
            for (std::int64_t j = 0; j < size; ++j) {
                const Tracked dx = {plane[j].v, plane[j].e + sum_spread(bound, points) * sizes[j]};
                judge_tracked(stats[t], bound, dx, sizes[j],
                              read_at(block.memory, p.dx, offset_of(p.dx, at * size + j)), p.dx.type,
                              index_in(kGridDx, at * size + j));
            }
        }
    });
    finish(block, params.common, shared.slots, stats);
}

}  // namespace fumi::FUMI_TARGET
