#include "tools/softcuda/dnn/legacy/spatial.h"

#include <cmath>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/positions.h"

namespace softcuda::dnn::legacy {
namespace {

using blas::Buffer;
using faults::Kind;

// The four pixels around a point, and how much each counts.
template <class T>
struct Corners {
    std::int64_t row[4], col[4];
    T weight[4];
    T slope_x[4], slope_y[4];  // of the weight, per pixel
    bool inside[4];
};

// Where coordinate p in -1..1 lies among `size` pixels.
template <class T>
T pixel(T p, std::int64_t size) noexcept {
    return (p + 1) / 2 * static_cast<T>(size - 1);
}

template <class T>
Corners<T> corners_of(T x, T y, std::int64_t height, std::int64_t width) noexcept {
    Corners<T> corners{};
    const T left = std::floor(x), top = std::floor(y), fx = x - left, fy = y - top;
    for (int i = 0; i < 4; ++i) {
        const bool right = i % 2 == 1, below = i / 2 == 1;
        const T col = left + (right ? 1 : 0), row = top + (below ? 1 : 0);
        // Points far outside, infinite or NaN must not become indices.
        corners.inside[i] =
            col >= 0 && col < static_cast<T>(width) && row >= 0 && row < static_cast<T>(height);
        corners.col[i] = corners.inside[i] ? static_cast<std::int64_t>(col) : 0;
        corners.row[i] = corners.inside[i] ? static_cast<std::int64_t>(row) : 0;
        const T wx = right ? fx : 1 - fx, wy = below ? fy : 1 - fy;
        corners.weight[i] = wx * wy;
        corners.slope_x[i] = right ? wy : -wy;
        corners.slope_y[i] = below ? wx : -wx;
    }
    return corners;
}

template <class E, class T>
T read(const E* data, std::int64_t place, const Deviation& deviation) noexcept {
    return as_input(blas::widened<T>(data[place]), deviation);
}

std::int64_t place(const Tensor& tensor, std::int64_t n, std::int64_t c, std::int64_t row,
                   std::int64_t col) noexcept {
    return n * tensor.stride[0] + c * tensor.stride[1] + row * tensor.stride[2] + col * tensor.stride[3];
}

// Calls visit(image, row, col, index of the point, its corners) for every point of the grid.
template <class E, class T, class Visit>
void each_point(const Sampler& sampler, const Deviation& deviation, Visit visit) {
    const auto* grid = static_cast<const E*>(view(sampler.grid));
    const std::int64_t height = sampler.x.size[2], width = sampler.x.size[3];
    std::int64_t point = 0;
    for (std::int64_t n = 0; n < sampler.y.size[0]; ++n)
        for (std::int64_t row = 0; row < sampler.y.size[2]; ++row)
            for (std::int64_t col = 0; col < sampler.y.size[3]; ++col, ++point) {
                const T x = read<E, T>(grid, 2 * point, deviation),
                        y = read<E, T>(grid, 2 * point + 1, deviation);
                visit(n, row, col, point, corners_of(pixel(x, width), pixel(y, height), height, width));
            }
}

template <class E, class T>
void sample(const Sampler& sampler, Deviation& deviation) {
    const auto* from = static_cast<const E*>(view(sampler.x_data));
    auto* to = static_cast<E*>(view(sampler.y_data));
    if (deviation.is(Kind::drop_k))
        deviation.where.k = deviation.plan->k.value_or(faults::Random(*deviation.plan).below(4));
    each_point<E, T>(sampler, deviation, [&](auto n, auto row, auto col, auto, const Corners<T>& corners) {
        for (std::int64_t c = 0; c < sampler.x.size[1]; ++c) {
            T value{};
            for (int i = 0; i < 4; ++i) {
                if (!corners.inside[i] || (deviation.is(Kind::drop_k) && deviation.where.k == i)) continue;
                value += corners.weight[i] *
                         read<E, T>(from, place(sampler.x, n, c, corners.row[i], corners.col[i]), deviation);
            }
            blend(to[place(sampler.y, n, c, row, col)], value, static_cast<T>(sampler.alpha),
                  static_cast<T>(sampler.beta));
        }
    });
}

template <class E, class T>
void sample_backward(const SamplerBackward& sampler, Deviation& deviation) {
    const auto* x = static_cast<const E*>(view(sampler.x_data));
    const auto* dy = static_cast<const E*>(view(sampler.dy_data));
    auto* dgrid = static_cast<E*>(view(sampler.dgrid));
    const std::int64_t channels = sampler.x.size[1], height = sampler.x.size[2], width = sampler.x.size[3];
    Buffer<T> dx(sampler.x.count());
    std::fill(dx.begin(), dx.end(), T{});
    each_point<E, T>(
        sampler, deviation, [&](auto n, auto row, auto col, auto point, const Corners<T>& corners) {
            T along_x{}, along_y{};
            for (std::int64_t c = 0; c < channels; ++c) {
                const T gradient = read<E, T>(dy, place(sampler.y, n, c, row, col), deviation);
                for (int i = 0; i < 4; ++i) {
                    if (!corners.inside[i]) continue;
                    const T value =
                        read<E, T>(x, place(sampler.x, n, c, corners.row[i], corners.col[i]), deviation);
                    dx[((n * channels + c) * height + corners.row[i]) * width + corners.col[i]] +=
                        corners.weight[i] * gradient;
                    along_x += corners.slope_x[i] * value * gradient;
                    along_y += corners.slope_y[i] * value * gradient;
                }
            }
            const T alpha = static_cast<T>(sampler.grid_alpha), beta = static_cast<T>(sampler.grid_beta);
            blend(dgrid[2 * point], along_x * static_cast<T>(width - 1) / 2, alpha, beta);
            blend(dgrid[2 * point + 1], along_y * static_cast<T>(height - 1) / 2, alpha, beta);
        });
    const Walk to = walk(sampler.dx);
    auto* target = static_cast<E*>(view(sampler.dx_data));
    for (std::int64_t i = 0; i < dx.size(); ++i)
        blend(target[to.starts[i / to.count] + i % to.count * to.stride], dx[i],
              static_cast<T>(sampler.alpha), static_cast<T>(sampler.beta));
}

// The i-th of `count` points from -1 to 1; a single one lies in the middle.
template <class T>
T between(std::int64_t i, std::int64_t count) noexcept {
    return count > 1 ? -1 + 2 * static_cast<T>(i) / static_cast<T>(count - 1) : T{};
}

template <class E, class T>
void generate(const GridGenerator& generator, Deviation& deviation) {
    const auto* from = static_cast<const E*>(view(generator.from));
    auto* to = static_cast<E*>(view(generator.to));
    for (std::int64_t n = 0; n < generator.batch; ++n) {
        T sums[6] = {};
        for (std::int64_t row = 0; row < generator.height; ++row)
            for (std::int64_t col = 0; col < generator.width; ++col) {
                const T point[3] = {between<T>(col, generator.width), between<T>(row, generator.height),
                                    T{1}};
                const std::int64_t index = 2 * ((n * generator.height + row) * generator.width + col);
                for (int axis = 0; axis < 2; ++axis) {
                    T value{};
                    for (int i = 0; i < 3; ++i) {
                        if (generator.backward)
                            sums[3 * axis + i] += point[i] * read<E, T>(from, index + axis, deviation);
                        else
                            value += point[i] * read<E, T>(from, 6 * n + 3 * axis + i, deviation);
                    }
                    if (!generator.backward) to[index + axis] = blas::store<E>(value);
                }
            }
        for (int i = 0; generator.backward && i < 6; ++i) to[6 * n + i] = blas::store<E>(sums[i]);
    }
}

}  // namespace

void run(const Sampler& sampler, Deviation& deviation) {
    visit_real(sampler.x.type, [&](auto stored, auto value) {
        sample<decltype(stored), decltype(value)>(sampler, deviation);
    });
}
void run(const SamplerBackward& sampler, Deviation& deviation) {
    visit_real(sampler.x.type, [&](auto stored, auto value) {
        sample_backward<decltype(stored), decltype(value)>(sampler, deviation);
    });
}
void run(const GridGenerator& generator, Deviation& deviation) {
    visit_real(generator.type, [&](auto stored, auto value) {
        generate<decltype(stored), decltype(value)>(generator, deviation);
    });
}

}  // namespace softcuda::dnn::legacy
