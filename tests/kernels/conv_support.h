// A convolution that owns its tensors, for the tests of its check.
#pragma once
#include <algorithm>

#include "tests/kernels/dnn_support.h"

namespace fumi::test {

using Sizes = std::vector<std::int64_t>;

struct ConvCase {
    int spatial = 2;
    std::int64_t n = 2, groups = 1, in = 3, out = 4;  // channels of a group
    Sizes size = {6, 7}, kernel = {3, 3}, stride = {1, 1}, padding = {1, 1}, dilation = {1, 1};
    Format format = Format::channels_first;
    bool flipped = false, beta = false, tail = false;
};
// A convolution that owns its tensors; products() says what one element of the output is the sum of.
struct Conv {
    Conv(const Conv&) = delete;
    Conv(const ConvCase& c, ConvDirection direction, DataType type, const std::function<double()>& draw) {
        p.direction = direction;
        p.spatial = c.spatial;
        p.groups = c.groups;
        p.flipped = c.flipped;
        Sizes x_size = {c.n, c.in * c.groups}, w_size = {c.out * c.groups, c.in},
              y_size = {c.n, c.out * c.groups};
        for (std::size_t d = 0; d < static_cast<std::size_t>(c.spatial); ++d) {
            p.stride[d] = c.stride[d];
            p.padding[d] = c.padding[d];
            p.dilation[d] = c.dilation[d];
            x_size.push_back(c.size[d]);
            w_size.push_back(c.kernel[d]);
            y_size.push_back(
                (c.size[d] + 2 * c.padding[d] - c.dilation[d] * (c.kernel[d] - 1) - 1) / c.stride[d] + 1);
        }
        x = Tensor(type, x_size, c.format);
        w = Tensor(type, w_size, c.format);
        y = Tensor(type, y_size, c.format);
        for (Tensor* t : {&x, &w, &y}) t->fill(draw);
        if (c.beta || c.tail) {
            p.alpha.re = 0.75;
            p.beta.re = -1.5;
            addend = output().copy();
            addend.fill(draw);
        } else {
            p.beta.re = 0;
        }
        if (c.tail) {
            Sizes ones(static_cast<std::size_t>(c.spatial) + 2, 1);
            ones[1] = output().view.size[1];
            bias = Tensor(type, ones);
            bias.fill(draw);
            p.activation = Activation::relu;
        }
        bind();
    }
    void bind() {
        p.x = x.view;
        p.w = w.view;
        p.y = y.view;
        p.addend = addend.view;
        p.bias = bias.view;
    }
    Tensor& output() {
        if (p.direction == ConvDirection::forward) return y;
        return p.direction == ConvDirection::backward_data ? x : w;
    }

    using Visit = std::function<void(const Sizes& x, const Sizes& w, const Sizes& y)>;
    // Every (x, w, y) that one product ties together.
    void for_each_product(const Visit& visit) const {
        const std::int64_t out = p.w.size[0] / p.groups, in = p.w.size[1];
        Sizes at_y(static_cast<std::size_t>(p.y.rank)), at_w(at_y.size()), at_x(at_y.size());
        for (std::int64_t i = 0; i < y.count(); ++i) {
            unravel(p.y, i, at_y);
            for (std::int64_t j = 0; j < w.count() / p.w.size[0]; ++j) {
                unravel(p.w, j, at_w);
                at_w[0] = at_y[1];
                at_x[0] = at_y[0];
                at_x[1] = at_y[1] / out * in + at_w[1];
                bool inside = true;
                for (std::size_t d = 0; d < static_cast<std::size_t>(p.spatial); ++d) {
                    const std::int64_t tap = p.flipped != 0 ? p.w.size[2 + d] - 1 - at_w[2 + d] : at_w[2 + d];
                    at_x[2 + d] = at_y[2 + d] * p.stride[d] - p.padding[d] + tap * p.dilation[d];
                    inside = inside && at_x[2 + d] >= 0 && at_x[2 + d] < p.x.size[2 + d];
                }
                if (inside) visit(at_x, at_w, at_y);
            }
        }
    }
    static void unravel(const TensorView& view, std::int64_t index, Sizes& at) {
        for (int d = view.rank - 1; d >= 0; --d) {
            at[static_cast<std::size_t>(d)] = index % view.size[d];
            index /= view.size[d];
        }
    }
    static std::int64_t ravel(const TensorView& view, const Sizes& at) {
        std::int64_t index = 0;
        for (int d = 0; d < view.rank; ++d) index = index * view.size[d] + at[static_cast<std::size_t>(d)];
        return index;
    }
    struct Terms {
        std::vector<double> a, b;
    };
    std::vector<Terms> terms() {
        std::vector<Terms> all(static_cast<std::size_t>(output().count()));
        for_each_product([&](const Sizes& at_x, const Sizes& at_w, const Sizes& at_y) {
            const bool forward = p.direction == ConvDirection::forward;
            const bool data = p.direction == ConvDirection::backward_data;
            const Sizes& at = forward ? at_y : (data ? at_x : at_w);
            Terms& t = all[static_cast<std::size_t>(ravel(output().view, at))];
            t.a.push_back(data || forward ? w.get(at_w) : y.get(at_y));
            t.b.push_back(data ? y.get(at_y) : x.get(at_x));
        });
        return all;
    }
    double finish(double sum, std::int64_t index) {
        double value = p.alpha.re * sum;
        if (p.beta.re != 0) value += p.beta.re * addend[index];
        if (bias.view.data != nullptr) {
            Sizes at(static_cast<std::size_t>(output().view.rank));
            unravel(output().view, index, at);
            value += bias[at[1]];
        }
        return p.activation == Activation::relu ? std::max(value, 0.0) : value;
    }
    void compute(const Arithmetic& how) {
        const std::vector<Terms> all = terms();
        const bool narrow = p.x.type != DataType::f64;
        for (std::int64_t i = 0; i < output().count(); ++i) {
            const Terms& t = all[static_cast<std::size_t>(i)];
            double sum = 0;
            if (narrow) {
                sum = dot(t.a, t.b, how);
            } else {
                for (std::size_t k = 0; k < t.a.size(); ++k) sum += t.a[k] * t.b[k];
            }
            results.push_back(finish(sum, i));
        }
        for (std::int64_t i = 0; i < output().count(); ++i)
            output().put(i, results[static_cast<std::size_t>(i)]);
    }
    // What the problem's pointers point to.
    std::vector<HostBytes> memory() const {
        std::vector<HostBytes> all;
        for (const Tensor* t : {&x, &w, &y, &addend, &bias})
            if (t->view.data != nullptr) all.push_back(t->bytes());
        return all;
    }
    std::vector<double> results;
    ConvProblem p;
    Tensor x, w, y, addend, bias;
};

inline DnnContract contract_of(DataType type, bool ieee = true,
                               ConvAlgorithm algorithm = ConvAlgorithm::direct) {
    ConvFacts facts;
    facts.x = facts.w = facts.output = type;
    facts.compute = type == DataType::f64 ? DataType::f64 : DataType::f32;
    facts.ieee = ieee;
    facts.algorithm = algorithm;
    return contract_for(facts);
}

inline constexpr ConvDirection kDirections[] = {ConvDirection::forward, ConvDirection::backward_data,
                                                ConvDirection::backward_filter};

}  // namespace fumi::test
