#include <cmath>
#include <limits>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/layers.h"
#include "tools/softcuda/dnn/legacy/positions.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;
using Position = std::array<std::int64_t, 3>;

// Calls visit(place in x, which element of the window) for the window's elements inside x, from first to
// last.
template <class Visit>
void each_in_window(const Pool& pool, const Tensor& x, std::int64_t base, const Position& output,
                    Visit visit) {
    std::int64_t volume = 1;
    for (int i = 0; i < pool.spatial; ++i) volume *= pool.window[i];
    for (std::int64_t element = 0; element < volume; ++element) {
        std::int64_t rest = element, place = base;
        bool inside = true;
        for (int i = pool.spatial - 1; i >= 0; --i) {
            const std::int64_t at = output[i] * pool.stride[i] - pool.padding[i] + rest % pool.window[i];
            rest /= pool.window[i];
            inside &= at >= 0 && at < x.size[2 + i];
            place += at * x.stride[2 + i];
        }
        if (inside) visit(place, element);
    }
}

std::int64_t volume_of(const Pool& pool) noexcept {
    std::int64_t volume = 1;
    for (int i = 0; i < pool.spatial; ++i) volume *= pool.window[i];
    return volume;
}

// Calls visit(place of the image in x, position in the output, place in the output).
template <class Visit>
void each_output(const Pool& pool, const Tensor& x, const Tensor& y, Visit visit) {
    std::int64_t count = 1;
    for (int i = 0; i < pool.spatial; ++i) count *= y.size[2 + i];
    for (std::int64_t n = 0; n < y.size[0]; ++n)
        for (std::int64_t c = 0; c < y.size[1]; ++c) {
            Position index{};
            for (std::int64_t number = 0; number < count; ++number) {
                std::int64_t rest = number, place = n * y.stride[0] + c * y.stride[1];
                for (int i = pool.spatial - 1; i >= 0; --i) {
                    index[i] = rest % y.size[2 + i];
                    rest /= y.size[2 + i];
                    place += index[i] * y.stride[2 + i];
                }
                visit(n * x.stride[0] + c * x.stride[1], index, place);
            }
        }
}

template <class E, class T>
T pooled(const Pool& pool, const E* x, std::int64_t base, const Position& position,
         const Deviation& deviation) {
    const bool largest = pool.mode == PoolMode::max;
    T result = largest ? -std::numeric_limits<T>::infinity() : T{};
    std::int64_t count = 0;
    bool nan = false;
    each_in_window(pool, pool.x.tensor, base, position, [&](std::int64_t place, std::int64_t element) {
        ++count;
        if (deviation.is(Kind::drop_k) && deviation.where.k == element) return;
        const T value = as_input(blas::widened<T>(x[place]), deviation);
        nan |= std::isnan(value);
        result = largest ? std::fmax(result, value) : result + value;
    });
    if (largest) return nan && pool.propagates_nan ? std::numeric_limits<T>::quiet_NaN() : result;
    const std::int64_t divisor = pool.mode == PoolMode::average_with_padding ? volume_of(pool) : count;
    return result / static_cast<T>(divisor);
}

void choose(const Pool& pool, Deviation& deviation) {
    if (!deviation.is(Kind::drop_k)) return;
    deviation.where.k = deviation.plan->k.value_or(faults::Random(*deviation.plan).below(volume_of(pool)));
}

template <class E, class T>
void forward(const Pool& pool, const Deviation& deviation) {
    const auto* x = static_cast<const E*>(view(pool.x.data));
    auto* y = static_cast<E*>(view(pool.out.data));
    each_output(pool, pool.x.tensor, pool.out.tensor,
                [&](std::int64_t base, const Position& position, std::int64_t place) {
                    blend(y[place], pooled<E, T>(pool, x, base, position, deviation),
                          static_cast<T>(pool.out.alpha), static_cast<T>(pool.out.beta));
                });
}

template <class E, class T>
void backward(const Pool& pool, const Deviation& deviation) {
    const auto* x = static_cast<const E*>(view(pool.x.data));
    const auto* dy = static_cast<const E*>(view(pool.dy.data));
    auto* dx = static_cast<E*>(view(pool.out.data));
    // Gradients are summed in the arithmetic's type, by x's places.
    std::int64_t span = 1;
    for (int i = 0; i < pool.x.tensor.rank; ++i)
        span += (pool.x.tensor.size[i] - 1) * pool.x.tensor.stride[i];
    std::vector<T> sums(static_cast<std::size_t>(span));
    each_output(
        pool, pool.x.tensor, pool.dy.tensor,
        [&](std::int64_t base, const Position& position, std::int64_t from) {
            const T gradient = as_input(blas::widened<T>(dy[from]), deviation);
            std::int64_t count = 0, chosen = -1;
            T largest = -std::numeric_limits<T>::infinity();
            each_in_window(pool, pool.x.tensor, base, position, [&](std::int64_t place, std::int64_t) {
                const T value = blas::widened<T>(x[place]);
                ++count;
                if (chosen >= 0 && !(value > largest) && !(std::isnan(value) && pool.propagates_nan)) return;
                chosen = place;
                largest = value;
            });
            if (pool.mode == PoolMode::max) {
                if (chosen >= 0) sums[chosen] += gradient;
                return;
            }
            const std::int64_t divisor =
                pool.mode == PoolMode::average_with_padding ? volume_of(pool) : count;
            each_in_window(pool, pool.x.tensor, base, position,
                           [&](std::int64_t place, std::int64_t element) {
                               if (deviation.is(Kind::drop_k) && deviation.where.k == element) return;
                               sums[place] += gradient / static_cast<T>(divisor);
                           });
        });
    each_element<2>(pool.x.tensor, {pool.x.tensor, pool.out.tensor}, [&](const auto& places) {
        blend(dx[places[1]], sums[places[0]], static_cast<T>(pool.out.alpha), static_cast<T>(pool.out.beta));
    });
}

}  // namespace

void run_forward(const Pool& pool, Deviation& deviation) {
    choose(pool, deviation);
    if (pool.x.tensor.type == CUDNN_DATA_INT8) return forward<std::int8_t, float>(pool, deviation);
    visit_real(pool.x.tensor.type,
               [&](auto stored, auto value) { forward<decltype(stored), decltype(value)>(pool, deviation); });
}
void run_backward(const Pool& pool, Deviation& deviation) {
    choose(pool, deviation);
    visit_real(pool.x.tensor.type, [&](auto stored, auto value) {
        backward<decltype(stored), decltype(value)>(pool, deviation);
    });
}

}  // namespace softcuda::dnn::legacy
