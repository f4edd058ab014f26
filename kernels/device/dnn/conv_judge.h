// From the sums of one element of a convolution to its place in the statistics: the judgement of a GEMM's
// element (judge.h), with what the algorithm may add to the bound.
#pragma once
#include "kernels/device/dnn/common.h"
#include "kernels/device/dnn/conv_places.h"

namespace fumi::FUMI_TARGET {

// Slices of K begin at multiples of this in every build, so that device and host add alike.
inline constexpr std::int64_t kSliceUnit = 64;

FUMI_DEVICE std::int64_t slice_depth(std::int64_t k, std::int64_t slices) {
    const std::int64_t depth = (k + slices - 1) / slices;
    return (depth + kSliceUnit - 1) / kSliceUnit * kSliceUnit;
}

// What the elements of one convolution are judged by; the GEMM problem in it is that of a single element.
struct ConvJudge {
    const Memory& memory;
    const ConvCheckParams& params;
    const ConvGeometry& geometry;
    GemmCheckParams gemm;
    Factors factors;

    FUMI_DEVICE ConvJudge(const Memory& m, const ConvCheckParams& p, const ConvGeometry& g)
        : memory(m), params(p), geometry(g) {
        GemmProblem& problem = gemm.problem;
        problem.m = problem.n = 1;
        problem.k = geometry.k;
        problem.alpha = p.problem.alpha;
        problem.beta = p.problem.addend.data != nullptr ? p.problem.beta : ScalarValue{0.0};
        problem.c.type = p.problem.addend.type;
        problem.d.type = geometry.output().type;
        problem.a.type = geometry.first().type;
        problem.b.type = geometry.second().type;
        problem.bias_type = p.problem.bias.type;
        problem.activation = p.problem.activation;
        gemm.bound = p.common.bound;
        factors = read_factors(memory, problem);
    }

    FUMI_DEVICE static const void* at(const TensorView& view, std::int64_t offset) {
        const int bytes = view.type == DataType::f64 ? 8 : (view.type == DataType::f32 ? 4 : 2);
        return static_cast<const char*>(view.data) + offset * bytes;
    }

    // `column` and `row` are positions in the grid of the group, not in the tile.
    FUMI_DEVICE void element(ErrorStats& stats, const ElementSums& sums, std::int64_t row,
                             std::int64_t column, std::int64_t group) const;
};

// The products of one element of a convolution; 0 where the second operand is padding.
struct ConvProducts {
    const Memory& memory;
    const ConvGeometry& geometry;
    std::int64_t row, column, group;
    FUMI_DEVICE_CALL Complex operator()(std::int64_t k) const {
        const Gather first = geometry.first(), second = geometry.second();
        Place a, b;
        geometry.at_k(k, a, b);
        std::int64_t offset = 0;
        if (!second.find(geometry.column(column, group), b, offset)) return {};
        const double other = read_real(memory, second.base, offset, second.type);
        offset = geometry.row(row, group).offset + a.offset;
        return {read_real(memory, first.base, offset, first.type) * other, 0};
    }
};

// The largest magnitude of the second operand within `reach` positions of (line, k), over all spatial
// dimensions.
FUMI_DEVICE double largest_near(const Memory& memory, const Gather& from, const Place& line, Place k,
                                int reach) {
    double largest = 0;
    std::int32_t low[kMostSpatial] = {}, width = 2 * reach + 1, count = 1;
    for (int d = 0; d < from.spatial; ++d) {
        low[d] = k.at[d] - reach;
        count *= width;
    }
    for (std::int32_t i = 0; i < count; ++i) {
        std::int32_t rest = i;
        for (int d = 0; d < from.spatial; ++d) {
            k.at[d] = low[d] + rest % width;
            rest /= width;
        }
        std::int64_t offset = 0;
        if (from.find(line, k, offset))
            largest = fmax(largest, fabs(read_real(memory, from.base, offset, from.type)));
    }
    return largest;
}

// sum over k of |first| times the largest |second| in the Winograd tile around it, which reaches m + 1
// positions at most.
FUMI_DEVICE_CALL double winograd_sum(const Memory& memory, const ConvGeometry& geometry, const Place& row,
                                     const Place& column, int outputs) {
    const Gather first = geometry.first(), second = geometry.second();
    double sum = 0;
    for (std::int64_t i = 0; i < geometry.k; ++i) {
        Place a, b;
        geometry.at_k(i, a, b);
        const double size = fabs(read_real(memory, first.base, row.offset + a.offset, first.type));
        if (size != 0) sum += size * largest_near(memory, second, column, b, outputs + 1);
    }
    return sum;
}

// sum over channels (over n for the filter's gradient) of ||first||_2 ||plane of second||_2.
FUMI_DEVICE_CALL double fft_sum(const Memory& memory, const ConvGeometry& geometry, const Place& row,
                                const Place& column, std::int64_t inner) {
    const Gather first = geometry.first(), second = geometry.second();
    std::int64_t plane = 1;
    for (int d = 0; d < second.spatial; ++d) plane *= second.size[d];
    double sum = 0;
    for (std::int64_t outer = 0; outer < geometry.k / inner; ++outer) {
        double f = 0, s = 0;
        Place a, b;
        for (std::int64_t i = 0; i < inner; ++i) {
            geometry.at_k(outer * inner + i, a, b);
            const double x = read_real(memory, first.base, row.offset + a.offset, first.type);
            f += x * x;
        }
        geometry.at_k(outer * inner, a, b);
        for (std::int64_t i = 0; i < plane; ++i) {
            std::int64_t offset = column.offset + b.offset, rest = i;
            for (int d = 0; d < second.spatial; ++d) {
                offset += rest % second.size[d] * second.stride[d];
                rest /= second.size[d];
            }
            const double x = read_real(memory, second.base, offset, second.type);
            s += x * x;
        }
        sum += sqrt(f * s);
    }
    return sum;
}

// k is a sum over taps within each of `outer` channels (the filter's gradient: positions, images).
FUMI_DEVICE std::int64_t inner_of(const ConvProblem& p) {
    return positions(p.direction == ConvDirection::backward_filter ? p.y : p.w, p.spatial);
}
FUMI_DEVICE double transformed_sums(const BoundNumbers& bound, double terms) {
    return bound.u_acc * (2 * sqrt(terms) + bound.beta_t * terms + 8);
}

FUMI_DEVICE double winograd_allowance(const Memory& memory, const ConvCheckParams& params,
                                      const ConvGeometry& geometry, const Place& row, const Place& column) {
    const ConvProblem& p = params.problem;
    // c of one dimension: the largest sqrt( sum over j, s of (A_ji G_jt B_sj)^2 ) over outputs i and taps t.
    double growth = 1;
    for (int d = 0; d < p.spatial; ++d) growth *= params.winograd_outputs <= 2 ? 1.74 : 9.0;
    // Transformed operands may be kept in the operands' type.
    const double u = power_of_two(-format_of(p.x.type).bits);
    double terms = static_cast<double>(geometry.k) / static_cast<double>(inner_of(p));
    if (p.direction == ConvDirection::backward_filter) terms = static_cast<double>(geometry.k);
    return fmax(u, transformed_sums(params.common.bound, terms)) * growth *
           winograd_sum(memory, geometry, row, column, params.winograd_outputs);
}

FUMI_DEVICE double fft_allowance(const Memory& memory, const ConvCheckParams& params,
                                 const ConvGeometry& geometry, const Place& row, const Place& column) {
    const ConvProblem& p = params.problem;
    const BoundNumbers& bound = params.common.bound;
    double size = 1;
    const TensorView& plane = p.direction == ConvDirection::backward_data ? p.y : p.x;
    for (int d = 0; d < p.spatial; ++d) size *= static_cast<double>(plane.size[2 + d] + p.w.size[2 + d]);
    const std::int64_t inner = inner_of(p);
    const double outer = static_cast<double>(geometry.k) / static_cast<double>(inner);
    return (2 * bound.u_acc * log2(size) + transformed_sums(bound, outer)) *
           fft_sum(memory, geometry, row, column, inner);
}

// What the algorithm may add to the bound of a direct sum (docs/numerics.md). Only asked for elements that
// break the direct bound, so it may be slow. Both algorithms are for strides and dilations of 1.
FUMI_DEVICE_CALL double algorithm_allowance(const Memory& memory, const ConvCheckParams& params,
                                            const ConvGeometry& geometry, const Place& row,
                                            const Place& column) {
    const ConvProblem& p = params.problem;
    double allowance = 0;
    for (int d = 0; d < p.spatial; ++d)
        if (p.stride[d] != 1 || p.dilation[d] != 1) return 0;
    if (params.algorithm != ConvAlgorithm::fft)
        allowance = winograd_allowance(memory, params, geometry, row, column);
    if (params.algorithm != ConvAlgorithm::winograd)
        allowance = fmax(allowance, fft_allowance(memory, params, geometry, row, column));
    return allowance;
}

FUMI_DEVICE_CALL void judge_conv_element(const ConvJudge& judge, ErrorStats& stats, const ElementSums& sums,
                                         std::int64_t row, std::int64_t column, std::int64_t group) {
    const ConvGeometry& geometry = judge.geometry;
    const ConvProblem& p = *geometry.problem;
    const TensorView& output = geometry.output();
    std::int64_t second = 0;
    const Coordinates c = geometry.element(row, column, group, second);
    GemmCheckParams gemm = judge.gemm;
    gemm.problem.d.data = ConvJudge::at(
        output, c.outer * output.stride[0] + second * output.stride[1] + geometry.offset_in(output, c));
    gemm.problem.c.data = ConvJudge::at(p.addend, broadcast_offset(p.addend, c, second, p.spatial));
    if (p.bias.data != nullptr)
        gemm.problem.bias = ConvJudge::at(p.bias, broadcast_offset(p.bias, c, second, p.spatial));
    Position at = {0, 0, c.outer * output.size[1] + second};
    for (int d = 0; d < p.spatial; ++d) at.batch = at.batch * output.size[2 + d] + c.at[d];

    const ConvProducts products{judge.memory, geometry, row, column, group};
    const bool direct = judge.params.is_direct != 0;
    if (direct && p.intermediate == DataType::none) {
        judge_closely(stats, judge.memory, gemm, judge.factors, sums, at, false, products);
        return;
    }
    ErrorStats one;
    judge_closely(one, judge.memory, gemm, judge.factors, sums, at, false, products);
    if (one.max_ratio > 1) {
        const double alpha = fabs(judge.factors.alpha.re);
        double extra =
            direct ? 0.0
                   : alpha * algorithm_allowance(judge.memory, judge.params, geometry,
                                                 geometry.row(row, group), geometry.column(column, group));
        // Every operation of a fused call but the last may round what it hands on. one.sum_g is G.
        if (p.intermediate != DataType::none)
            extra += 3 * power_of_two(-format_of(p.intermediate).bits) * one.sum_g;
        gemm.bound.absolute += extra;
        one = {};
        judge_closely(one, judge.memory, gemm, judge.factors, sums, at, false, products);
    }
    merge(stats, one);
}

FUMI_DEVICE void ConvJudge::element(ErrorStats& stats, const ElementSums& sums, std::int64_t row,
                                    std::int64_t column, std::int64_t group) const {
    judge_conv_element(*this, stats, sums, row, column, group);
}

}  // namespace fumi::FUMI_TARGET
