// Convolutions as implicit matrix products, the way cuDNN's implicit-GEMM engines form them: the input is
// gathered into a matrix with one row for each channel and tap, one column for each image and position.
//
//     forward          y[n p, k]     = sum over (c, tap)  x[n, c, p * stride + tap * dilation - pad]  w[k, c,
//     tap] backward data    dx[n p, c]    = sum over (k, tap)  dy[n, k, (p + pad - tap * dilation) / stride]
//     w[k, c, tap] backward filter  dw[c tap, k]  = sum over (n, p)    x[...]  dy[n, k, p]
#include <algorithm>

#include "tools/softcuda/dnn/run.h"

namespace softcuda::dnn {
namespace {

constexpr int spatial = 3;                       // 1- and 2-dimensional ones have leading dimensions of 1
constexpr std::int64_t most_gathered = 1 << 24;  // elements: larger inputs are gathered image by image
using Extents = std::array<std::int64_t, spatial>;

// The last three dimensions of a tensor that has one to three spatial ones.
Extents last(const std::vector<std::int64_t>& all, std::size_t leading, std::int64_t missing) noexcept {
    Extents result{missing, missing, missing};
    const std::size_t there = all.size() - leading;
    for (std::size_t i = 0; i < there; ++i) result[spatial - there + i] = all[leading + i];
    return result;
}

// Where each tap reads at each position, along one dimension: an element offset, or -1 for padding.
struct Steps {
    std::int64_t positions = 1, taps = 1;
    std::vector<std::int64_t> offsets;  // [tap][position]
    const std::int64_t* of(std::int64_t tap) const noexcept { return offsets.data() + tap * positions; }
};

struct Window {
    std::array<Steps, spatial> steps;
    std::int64_t positions() const noexcept {
        return steps[0].positions * steps[1].positions * steps[2].positions;
    }
    std::int64_t taps() const noexcept { return steps[0].taps * steps[1].taps * steps[2].taps; }
};

// `from` is read at the positions of `to`. backward: through the transposed window.
Window window_of(const Convolution& op, const Operand& from, const std::vector<std::int64_t>& to,
                 const std::vector<std::int64_t>& filter, bool backward) {
    const Extents in = last(from.size, 2, 1), out = last(to, 2, 1), taps = last(filter, 2, 1);
    const Extents element = last(from.stride, 2, 0), stride = last(op.stride, 0, 1),
                  pad = last(op.pre_padding, 0, 0), dilation = last(op.dilation, 0, 1);
    Window window;
    for (std::size_t d = 0; d < spatial; ++d) {
        Steps& steps = window.steps[d];
        steps.positions = out[d];
        steps.taps = taps[d];
        for (std::int64_t t = 0; t < taps[d]; ++t) {
            const std::int64_t reach = (op.flipped ? taps[d] - 1 - t : t) * dilation[d];
            for (std::int64_t p = 0; p < out[d]; ++p) {
                std::int64_t at = backward ? p + pad[d] - reach : p * stride[d] - pad[d] + reach;
                if (backward) at = at >= 0 && at % stride[d] == 0 ? at / stride[d] : -1;
                steps.offsets.push_back(at >= 0 && at < in[d] ? at * element[d] : -1);
            }
        }
    }
    return window;
}

// The positions themselves: one tap, no padding.
Window identity_window(const Operand& from) {
    const Extents size = last(from.size, 2, 1), element = last(from.stride, 2, 0);
    Window window;
    for (std::size_t d = 0; d < spatial; ++d) {
        window.steps[d].positions = size[d];
        for (std::int64_t p = 0; p < size[d]; ++p) window.steps[d].offsets.push_back(p * element[d]);
    }
    return window;
}

template <class E>
E* gather_taps(const E* from, const Window& window, std::int64_t tap, E* to) {
    const auto& steps = window.steps;
    const std::int64_t inner = steps[2].taps, middle = steps[1].taps;
    const std::int64_t *z = steps[0].of(tap / (inner * middle)), *y = steps[1].of(tap / inner % middle),
                       *x = steps[2].of(tap % inner);
    const std::int64_t width = steps[2].positions;
    // Most windows read neighbours at neighbouring positions: those are copied in one piece.
    std::int64_t begin = 0, end = width;
    while (begin < width && x[begin] < 0) ++begin;
    while (end > begin && x[end - 1] < 0) --end;
    bool in_one_piece = end > begin;
    for (std::int64_t k = begin + 1; k < end; ++k) in_one_piece &= x[k] == x[k - 1] + 1;
    for (std::int64_t i = 0; i < steps[0].positions; ++i)
        for (std::int64_t j = 0; j < steps[1].positions; ++j, to += width) {
            if (z[i] < 0 || y[j] < 0) {
                std::fill(to, to + width, E{});
                continue;
            }
            const E* row = from + z[i] + y[j];
            if (!in_one_piece) {
                for (std::int64_t k = 0; k < width; ++k) to[k] = x[k] < 0 ? E{} : row[x[k]];
                continue;
            }
            std::fill(to, to + begin, E{});
            std::copy(row + x[begin], row + x[begin] + (end - begin), to + begin);
            std::fill(to + end, to + width, E{});
        }
    return to;
}

// Images [begin, end) and channels [first, first + channels) of a tensor, [channel][tap][image][position].
struct Part {
    std::int64_t begin, end, first, channels;
};

template <class E>
void gather_as(const Operand& from, const Window& window, const Part& part, char* to) {
    const auto* elements = reinterpret_cast<const E*>(from.data);
    auto* out = reinterpret_cast<E*>(to);
    const std::int64_t taps = window.taps();
    for (std::int64_t c = part.first; c < part.first + part.channels; ++c)
        for (std::int64_t tap = 0; tap < taps; ++tap)
            for (std::int64_t n = part.begin; n < part.end; ++n)
                out = gather_taps(elements + n * from.stride[0] + c * from.stride[1], window, tap, out);
}

// Elements are moved as they are stored: by size alone.
blas::Buffer<char> gather(const Operand& from, const Window& window, const Part& part) {
    const auto size = static_cast<std::int64_t>(blas::size_of(from.storage));
    blas::Buffer<char> out(part.channels * window.taps() * (part.end - part.begin) * window.positions() *
                           size);
    if (size == 2) gather_as<std::uint16_t>(from, window, part, out.data());
    if (size == 4) gather_as<std::uint32_t>(from, window, part, out.data());
    if (size == 8) gather_as<std::uint64_t>(from, window, part, out.data());
    return out;
}

// The filters [k][c][tap] as a tensor whose "images" are the channels that the product's columns stand for.
Operand turned(Operand filter) {
    std::swap(filter.size[0], filter.size[1]);
    std::swap(filter.stride[0], filter.stride[1]);
    return filter;
}

// Filters of one group: [column][row channel][tap], where columns are filters (or channels, backward).
blas::Buffer<char> gather_filter(const Operand& filter, std::int64_t first, std::int64_t count,
                                 std::int64_t channel, std::int64_t channels) {
    Operand part = filter;
    const auto size = static_cast<std::int64_t>(blas::size_of(filter.storage));
    part.data += (first * filter.stride[0] + channel * filter.stride[1]) * size;
    const Window window = identity_window(part);
    // gather() runs over channels first: filters take the channels' place.
    Operand swapped = turned(part);
    return gather(swapped, window, {0, channels, 0, count});
}

blas::Matrix matrix(const blas::Buffer<char>& data, cudaDataType type, std::int64_t row_stride,
                    std::int64_t col_stride) noexcept {
    blas::Matrix result;
    result.data = data.data();
    result.type = type;
    result.row_stride = row_stride;
    result.col_stride = col_stride;
    return result;
}

// How many images are gathered at a time.
std::int64_t images_at_once(std::int64_t images, std::int64_t elements_of_one) noexcept {
    return std::clamp<std::int64_t>(most_gathered / std::max<std::int64_t>(elements_of_one, 1), 1,
                                    std::max<std::int64_t>(images, 1));
}

// Forward and backward data: acc [column][image][position] into result [image][first + column][position].
template <class T>
void spread(const T* acc, const Part& part, std::int64_t columns, std::int64_t all_columns,
            std::int64_t first, std::int64_t positions, T* result) {
    const std::int64_t images = part.end - part.begin;
    for (std::int64_t j = 0; j < columns; ++j)
        for (std::int64_t n = 0; n < images; ++n)
            std::copy_n(acc + (j * images + n) * positions, positions,
                        result + ((part.begin + n) * all_columns + first + j) * positions);
}

}  // namespace

// Forward, or backward data, whose filters are turned.
template <class T>
void Run<T>::convolve_groups(const Convolution& op, T* result) {
    const bool backward = op.direction == Direction::backward_data;
    const Operand from = operand(backward ? op.y : op.x);
    const Operand filter = operand(op.w);
    const Tensor& to = tensor(backward ? op.x : op.y);
    const Window window = window_of(op, from, to.size, filter.size, backward);
    const std::int64_t in_channels = from.size[1] / op.groups, out_channels = to.size[1] / op.groups;
    const std::int64_t depth = in_channels * window.taps(), positions = window.positions();
    // Under a planted fault the sum is looked at as a whole.
    const std::int64_t step = whole_ ? from.size[0] : images_at_once(from.size[0], depth * positions);
    for (std::int64_t g = 0; g < op.groups; ++g) {
        const auto filters =
            backward ? gather_filter(turned(filter), 0, out_channels, g * in_channels, in_channels)
                     : gather_filter(filter, g * out_channels, out_channels, 0, in_channels);
        for (std::int64_t begin = 0; begin < from.size[0]; begin += step) {
            const Part part{begin, std::min(begin + step, from.size[0]), g * in_channels, in_channels};
            const auto columns = gather(from, window, part);
            blas::Gemm gemm;
            gemm.m = (part.end - part.begin) * positions;
            gemm.n = out_channels;
            gemm.k = depth;
            gemm.a = matrix(columns, from.storage, 1, gemm.m);
            gemm.b = matrix(filters, filter.storage, 1, depth);
            gemm.arithmetic = arithmetic_for(from.type);
            blas::Buffer<T> acc(gemm.m * gemm.n);
            product(gemm, true, acc.data());
            spread(acc.data(), part, out_channels, to.size[1], g * out_channels, positions, result);
        }
    }
}

template <class T>
void Run<T>::filter_gradient(const Convolution& op, T* result) {
    const Operand x = operand(op.x), dy = operand(op.y);
    const Tensor& dw = tensor(op.w);
    const Window window = window_of(op, x, dy.size, dw.size, false), positions = identity_window(dy);
    const std::int64_t channels = dw.size[1], filters = dw.size[0] / op.groups, images = x.size[0];
    const std::int64_t rows = channels * window.taps();
    std::int64_t step = images_at_once(images, rows * window.positions());
    if (call_.engine.algorithm == Algorithm::split_k)
        step = std::min(step, (images + split_parts - 1) / split_parts);
    if (whole_) step = images;
    std::fill_n(result, dw.count(), T{});
    blas::Buffer<T> acc(rows * filters);
    for (std::int64_t g = 0; g < op.groups; ++g)
        for (std::int64_t begin = 0; begin < images; begin += step) {
            const std::int64_t end = std::min(begin + step, images);
            const auto columns = gather(x, window, {begin, end, g * channels, channels});
            const auto gradients = gather(dy, positions, {begin, end, g * filters, filters});
            blas::Gemm gemm;
            gemm.m = rows;
            gemm.n = filters;
            gemm.k = (end - begin) * window.positions();
            gemm.a = matrix(columns, x.storage, gemm.k, 1);
            gemm.b = matrix(gradients, dy.storage, 1, gemm.k);
            gemm.arithmetic = arithmetic_for(x.type);
            product(gemm, true, acc.data());
            T* into = result + g * filters * rows;
            for (std::int64_t i = 0; i < rows * filters; ++i) into[i] += acc[i];
        }
}

template <class T>
void Run<T>::operator()(const Convolution& op) {
    const int to = op.direction == Direction::forward         ? op.y
                   : op.direction == Direction::backward_data ? op.x
                                                              : op.w;
    std::optional<blas::Buffer<T>> before;
    if (op.beta != 0) {
        before.emplace(tensor(to).count());
        std::copy_n(read(to).data(), before->size(), before->data());
    }
    auto& result = create(to);
    if (op.direction == Direction::backward_filter)
        filter_gradient(op, result.data());
    else
        convolve_groups(op, result.data());
    const T alpha = static_cast<T>(op.alpha), beta = static_cast<T>(op.beta);
    if (op.alpha != 1)
        for (T& x : result) x *= alpha;
    if (before)
        for (std::int64_t i = 0; i < result.size(); ++i) result[i] += beta * (*before)[i];
    finish(to);
}

template void Run<float>::operator()(const Convolution&);
template void Run<double>::operator()(const Convolution&);

}  // namespace softcuda::dnn
