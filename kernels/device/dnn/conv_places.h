// A convolution in any of its three directions as a matrix product whose operands are gathered (implicit
// GEMM): element (row, k) of the first operand and (k, column) of the second lie at an offset that is a sum
// of one part for the line and one for k, and exist where a sum of two coordinates lies inside the tensor.
//
//                     rows              columns            k                      batch
//   forward           output channels   n, output position input channel, tap     group
//   backward data     input channels    n, input position  output channel, tap    group
//   backward filter   output channels   input channel, tap n, output position     group
#pragma once
#include "kernels/device/gemm_check_body.h"
#include "kernels/dnn_params.h"

namespace fumi::FUMI_TARGET {

struct Place {
    std::int64_t offset = 0;
    std::int32_t at[kMostSpatial] = {};
};

// One operand: where its elements are, given the places of a line and of k.
struct Gather {
    const void* base = nullptr;
    DataType type = DataType::none;
    std::int32_t spatial = 0;  // coordinates that must be checked; 0: every element exists
    bool k_is_near = false;    // neighbours in memory differ in k
    std::int32_t size[kMostSpatial] = {1, 1, 1}, divisor[kMostSpatial] = {1, 1, 1};
    std::int64_t stride[kMostSpatial] = {};

    FUMI_DEVICE bool find(const Place& line, const Place& k, std::int64_t& offset) const {
        offset = line.offset + k.offset;
        if (spatial == 0) return true;
        FUMI_UNROLL
        for (int d = 0; d < kMostSpatial; ++d) {  // dimensions that are not there have one position
            std::int32_t at = line.at[d] + k.at[d];
            if (divisor[d] != 1) {
                if (at % divisor[d] != 0) return false;
                at /= divisor[d];
            }
            if (at < 0 || at >= size[d]) return false;
            offset += at * stride[d];
        }
        return true;
    }
};

struct Coordinates {
    std::int64_t outer;
    std::int32_t at[kMostSpatial];
};

// index = outer * (product of sizes) + position, row-major over the view's spatial dimensions.
FUMI_DEVICE Coordinates split(std::int64_t index, const TensorView& view, int spatial) {
    Coordinates c = {};
    int d = spatial - 1;
    for (; d >= 0 && index > 0xffffffff; --d) {
        const std::int64_t size = view.size[2 + d];
        c.at[d] = static_cast<std::int32_t>(index % size);
        index /= size;
    }
    c.outer = index;
    if (d < 0) return c;
    // A division of 64 bits takes a GPU several times as long as one of 32.
    auto rest = static_cast<std::uint32_t>(index);
    for (; d >= 0; --d) {
        const auto size = static_cast<std::uint32_t>(view.size[2 + d]);
        c.at[d] = static_cast<std::int32_t>(rest % size);
        rest /= size;
    }
    c.outer = rest;
    return c;
}

FUMI_DEVICE std::int64_t positions(const TensorView& view, int spatial) {
    std::int64_t count = 1;
    for (int d = 0; d < spatial; ++d) count *= view.size[2 + d];
    return count;
}

struct ConvGeometry {
    const ConvProblem* problem;
    std::int64_t in_channels, out_channels;  // of a group
    std::int64_t rows, columns, k;

    FUMI_DEVICE explicit ConvGeometry(const ConvProblem& p) : problem(&p) {
        in_channels = p.w.size[1];
        out_channels = p.w.size[0] / p.groups;
        const std::int64_t taps = positions(p.w, p.spatial);
        if (p.direction == ConvDirection::forward) {
            rows = out_channels;
            columns = p.y.size[0] * positions(p.y, p.spatial);
            k = in_channels * taps;
        } else if (p.direction == ConvDirection::backward_data) {
            rows = in_channels;
            columns = p.x.size[0] * positions(p.x, p.spatial);
            k = out_channels * taps;
        } else {
            rows = out_channels;
            columns = in_channels * taps;
            k = p.y.size[0] * positions(p.y, p.spatial);
        }
    }

    FUMI_DEVICE std::int64_t tap_offset(const Coordinates& c) const {
        const ConvProblem& p = *problem;
        std::int64_t offset = 0;
        for (int d = 0; d < p.spatial; ++d) {
            const std::int64_t at = p.flipped != 0 ? p.w.size[2 + d] - 1 - c.at[d] : c.at[d];
            offset += at * p.w.stride[2 + d];
        }
        return offset;
    }
    FUMI_DEVICE std::int64_t offset_in(const TensorView& view, const Coordinates& c) const {
        std::int64_t offset = 0;
        for (int d = 0; d < problem->spatial; ++d) offset += c.at[d] * view.stride[2 + d];
        return offset;
    }

    FUMI_DEVICE void gather(const TensorView& view, Gather& g) const {
        g.base = view.data;
        g.type = view.type;
    }
    FUMI_DEVICE void bounded(const TensorView& view, bool strided, Gather& g) const {
        gather(view, g);
        g.spatial = problem->spatial;
        for (int d = 0; d < problem->spatial; ++d) {
            g.size[d] = static_cast<std::int32_t>(view.size[2 + d]);
            g.stride[d] = view.stride[2 + d];
            g.divisor[d] = strided ? static_cast<std::int32_t>(problem->stride[d]) : 1;
        }
    }
    FUMI_DEVICE bool positions_are_near(const TensorView& view) const {
        return view.stride[1 + problem->spatial] <= view.stride[1];
    }
    FUMI_DEVICE Gather first() const {
        Gather g;
        const bool filter = problem->direction == ConvDirection::backward_filter;
        gather(filter ? problem->y : problem->w, g);
        g.k_is_near = !filter || positions_are_near(problem->y);
        return g;
    }
    FUMI_DEVICE Gather second() const {
        Gather g;
        if (problem->direction == ConvDirection::backward_data) {
            bounded(problem->y, true, g);
        } else {
            bounded(problem->x, false, g);
        }
        g.k_is_near = problem->direction == ConvDirection::backward_filter && positions_are_near(problem->x);
        return g;
    }

    FUMI_DEVICE Place row(std::int64_t row, std::int64_t group) const {
        const ConvProblem& p = *problem;
        Place place;
        if (p.direction == ConvDirection::forward) {
            place.offset = (group * out_channels + row) * p.w.stride[0];
        } else if (p.direction == ConvDirection::backward_data) {
            place.offset = group * out_channels * p.w.stride[0] + row * p.w.stride[1];
        } else {
            place.offset = (group * out_channels + row) * p.y.stride[1];
        }
        return place;
    }
    FUMI_DEVICE Place column(std::int64_t column, std::int64_t group) const {
        const ConvProblem& p = *problem;
        Place place;
        if (p.direction == ConvDirection::forward) {
            const Coordinates c = split(column, p.y, p.spatial);
            place.offset = c.outer * p.x.stride[0] + group * in_channels * p.x.stride[1];
            for (int d = 0; d < p.spatial; ++d)
                place.at[d] = static_cast<std::int32_t>(c.at[d] * p.stride[d] - p.padding[d]);
        } else if (p.direction == ConvDirection::backward_data) {
            const Coordinates c = split(column, p.x, p.spatial);
            place.offset = c.outer * p.y.stride[0] + group * out_channels * p.y.stride[1];
            for (int d = 0; d < p.spatial; ++d)
                place.at[d] = static_cast<std::int32_t>(c.at[d] + p.padding[d]);
        } else {
            const Coordinates c = split(column, p.w, p.spatial);
            place.offset = (group * in_channels + c.outer) * p.x.stride[1];
            for (int d = 0; d < p.spatial; ++d)
                place.at[d] = static_cast<std::int32_t>(c.at[d] * p.dilation[d] - p.padding[d]);
        }
        return place;
    }
    FUMI_DEVICE void at_k(std::int64_t index, Place& first, Place& second) const {
        const ConvProblem& p = *problem;
        first = second = {};
        if (p.direction == ConvDirection::backward_filter) {
            const Coordinates c = split(index, p.y, p.spatial);
            first.offset = c.outer * p.y.stride[0] + offset_in(p.y, c);
            second.offset = c.outer * p.x.stride[0];
            for (int d = 0; d < p.spatial; ++d)
                second.at[d] = static_cast<std::int32_t>(c.at[d] * p.stride[d]);
            return;
        }
        const Coordinates c = split(index, p.w, p.spatial);
        const bool forward = p.direction == ConvDirection::forward;
        first.offset = c.outer * p.w.stride[forward ? 1 : 0] + tap_offset(c);
        second.offset = c.outer * (forward ? p.x.stride[1] : p.y.stride[1]);
        for (int d = 0; d < p.spatial; ++d) {
            const auto reach = static_cast<std::int32_t>(c.at[d] * p.dilation[d]);
            second.at[d] = forward ? reach : -reach;
        }
    }

    FUMI_DEVICE const TensorView& output() const {
        if (problem->direction == ConvDirection::forward) return problem->y;
        return problem->direction == ConvDirection::backward_data ? problem->x : problem->w;
    }
    // The element of the output: its coordinates in the two leading dimensions and the spatial ones.
    FUMI_DEVICE Coordinates element(std::int64_t row, std::int64_t column, std::int64_t group,
                                    std::int64_t& second) const {
        Coordinates c = split(column, output(), problem->spatial);
        if (problem->direction == ConvDirection::backward_filter) {
            second = c.outer;
            c.outer = group * out_channels + row;
            for (int d = 0; problem->flipped != 0 && d < problem->spatial; ++d)
                c.at[d] = static_cast<std::int32_t>(problem->w.size[2 + d]) - 1 - c.at[d];
        } else {
            second = group * rows + row;
        }
        return c;
    }
};

// Offset of an element in a view whose dimensions of size 1 are broadcast.
FUMI_DEVICE std::int64_t broadcast_offset(const TensorView& view, const Coordinates& c, std::int64_t second,
                                          int spatial) {
    std::int64_t offset = (view.size[0] == 1 ? 0 : c.outer * view.stride[0]) +
                          (view.size[1] == 1 ? 0 : second * view.stride[1]);
    for (int d = 0; d < spatial; ++d) {
        if (view.size[2 + d] != 1) offset += c.at[d] * view.stride[2 + d];
    }
    return offset;
}

}  // namespace fumi::FUMI_TARGET
