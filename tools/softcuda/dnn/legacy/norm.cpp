#include "tools/softcuda/dnn/legacy/norm.h"

#include <cmath>

#include "tools/softcuda/blas/pack.h"
#include "tools/softcuda/core/device.h"

namespace softcuda::dnn::legacy {
namespace {

using blas::Buffer;
using faults::Kind;

// Where the elements lie that share a scale.
struct Groups {
    std::vector<std::int64_t> first;  // of each group
    Walk within;
};

Groups groups_of(const Tensor& tensor, bool per_activation) {
    std::vector<Dimension> inner{{tensor.size[0], tensor.stride[0]}},
        outer{{tensor.size[1], tensor.stride[1]}};
    for (int i = 2; i < tensor.rank; ++i)
        (per_activation ? outer : inner).push_back({tensor.size[i], tensor.stride[i]});
    Groups groups;
    groups.within = walk(std::move(inner));
    const Walk starts = walk(std::move(outer));
    for (const std::int64_t start : starts.starts)
        for (std::int64_t i = 0; i < starts.count; ++i) groups.first.push_back(start + i * starts.stride);
    return groups;
}

template <class T>
void load_group(const Tensor& tensor, const void* data, const Groups& groups, std::size_t group, T* out) {
    blas::visit_type(number_type(tensor.type), [&](auto tag) {
        using E = decltype(tag);
        const auto* base = static_cast<const E*>(view(data)) + groups.first[group];
        for (const std::int64_t start : groups.within.starts) {
            const E* from = base + start;
            for (std::int64_t i = 0; i < groups.within.count; ++i)
                *out++ = blas::widened<T>(from[i * groups.within.stride]);
        }
    });
}

// tensor = alpha values + beta tensor
template <class T>
void store_group(const Tensor& tensor, void* data, const Groups& groups, std::size_t group, const T* values,
                 T alpha, T beta) {
    blas::visit_type(number_type(tensor.type), [&](auto tag) {
        using E = decltype(tag);
        auto* base = static_cast<E*>(view(data)) + groups.first[group];
        for (const std::int64_t start : groups.within.starts) {
            E* to = base + start;
            for (std::int64_t i = 0; i < groups.within.count; ++i) {
                E& target = to[i * groups.within.stride];
                T value = alpha * *values++;
                // What is not wanted is not read: it may be NaN.
                if (beta != 0) value += beta * blas::widened<T>(target);
                target = blas::store<E>(value);
            }
        }
    });
}

template <class T>
T& at(void* data, std::size_t group) noexcept {
    return static_cast<T*>(view(data))[group];
}
template <class T>
const T& at(const void* data, std::size_t group) noexcept {
    return static_cast<const T*>(view(data))[group];
}

template <class T>
struct Statistics {
    T mean, variance;
};

template <class T>
Statistics<T> statistics(const Buffer<T>& x, const Deviation& deviation) {
    const auto count = static_cast<T>(x.size());
    const T mean = sum<T>(
                       x.size(), [&](std::int64_t i) { return x[i]; }, deviation) /
                   count;
    const T squares = sum<T>(
        x.size(),
        [&](std::int64_t i) {
            const T distance = x[i] - mean;
            return distance * distance;
        },
        deviation);
    return {mean, squares / count};
}

template <class T>
void round_inputs(Buffer<T>& values, const Deviation& deviation) noexcept {
    if (!deviation.is(Kind::round_inputs_bf16) && !deviation.is(Kind::round_inputs_tf32)) return;
    for (T& x : values) x = as_input(x, deviation);
}

// The term that all sums lose, and the group that gets no bias: chosen once for a run.
template <class T>
void choose(const Norm& norm, Deviation& deviation) {
    if (deviation.plan == nullptr) return;
    faults::Random random(*deviation.plan);
    if (deviation.is(Kind::drop_k))
        deviation.where.k = deviation.plan->k.value_or(random.below(norm.elements()));
    if (!deviation.is(Kind::drop_bias_row)) return;
    T best{-1};
    for (int attempt = 0; attempt < 16; ++attempt) {
        const std::int64_t group = random.below(norm.groups());
        const T size = std::abs(at<T>(norm.bias, static_cast<std::size_t>(group)));
        if (size <= best) continue;
        best = size;
        deviation.where.row = group;
    }
}

template <class T>
T bias_of(const Norm& norm, std::size_t group, const Deviation& deviation) noexcept {
    if (deviation.is(Kind::drop_bias_row) && deviation.where.row == static_cast<std::int64_t>(group))
        return T{};
    return at<T>(norm.bias, group);
}

void set_bit(unsigned char* mask, std::int64_t index, bool value) noexcept {
    const auto bit = static_cast<unsigned char>(1u << (index % 8));
    unsigned char& byte = mask[index / 8];
    byte = static_cast<unsigned char>(value ? byte | bit : byte & ~bit);
}
bool get_bit(const unsigned char* mask, std::int64_t index) noexcept {
    return (mask[index / 8] >> (index % 8) & 1u) != 0;
}

// What comes after the normalization of one group: z and relu.
template <class T>
void finish_group(const Norm& norm, const Groups& z_groups, std::size_t group, Buffer<T>& values) {
    if (norm.z_data != nullptr) {
        Buffer<T> z(values.size());
        load_group(norm.z, norm.z_data, z_groups, group, z.data());
        for (std::int64_t i = 0; i < values.size(); ++i) values[i] += z[i];
    }
    if (!norm.relu) return;
    unsigned char* mask = view(norm.mask);
    for (std::int64_t i = 0; i < values.size(); ++i) {
        const bool passes = !(values[i] <= 0);  // NaN passes
        if (mask != nullptr) set_bit(mask, static_cast<std::int64_t>(group) * values.size() + i, passes);
        if (!passes) values[i] = T{};
    }
}

template <class T>
void normalize(Buffer<T>& x, T mean, T inverse, T scale, T bias) noexcept {
    for (T& value : x) value = (value - mean) * inverse * scale + bias;
}

template <class T>
void update_statistics(const NormTraining& norm, std::size_t group, Statistics<T> found, T inverse) noexcept {
    if (norm.saved_mean != nullptr) at<T>(norm.saved_mean, group) = found.mean;
    if (norm.saved_inverse != nullptr) at<T>(norm.saved_inverse, group) = inverse;
    if (norm.running_mean == nullptr) return;
    const auto factor = static_cast<T>(norm.factor), count = static_cast<T>(norm.elements());
    const T unbiased = norm.elements() > 1 ? found.variance * (count / (count - 1)) : found.variance;
    const auto blend = [factor](T& running, T value) {
        running = factor == 1 ? value : (1 - factor) * running + factor * value;
    };
    blend(at<T>(norm.running_mean, group), found.mean);
    blend(at<T>(norm.running_variance, group), unbiased);
}

template <class T>
void train(const NormTraining& norm, Deviation& deviation) {
    choose<T>(norm, deviation);
    const Groups x_groups = groups_of(norm.x, norm.per_activation),
                 y_groups = groups_of(norm.y, norm.per_activation);
    const Groups z_groups = norm.z_data == nullptr ? Groups{} : groups_of(norm.z, norm.per_activation);
    Buffer<T> x(norm.elements());
    for (std::size_t group = 0; group < x_groups.first.size(); ++group) {
        load_group(norm.x, norm.x_data, x_groups, group, x.data());
        round_inputs(x, deviation);
        const Statistics<T> found = statistics(x, deviation);
        const T inverse = 1 / std::sqrt(found.variance + static_cast<T>(norm.epsilon));
        normalize(x, found.mean, inverse, at<T>(norm.scale, group), bias_of<T>(norm, group, deviation));
        finish_group(norm, z_groups, group, x);
        update_statistics(norm, group, found, inverse);
        store_group(norm.y, norm.y_data, y_groups, group, x.data(), static_cast<T>(norm.alpha),
                    static_cast<T>(norm.beta));
    }
}

template <class T>
void infer(const NormInference& norm, Deviation& deviation) {
    choose<T>(norm, deviation);
    const Groups x_groups = groups_of(norm.x, norm.per_activation),
                 y_groups = groups_of(norm.y, norm.per_activation);
    Buffer<T> x(norm.elements());
    for (std::size_t group = 0; group < x_groups.first.size(); ++group) {
        load_group(norm.x, norm.x_data, x_groups, group, x.data());
        round_inputs(x, deviation);
        const T inverse = 1 / std::sqrt(at<T>(norm.variance, group) + static_cast<T>(norm.epsilon));
        normalize(x, at<T>(norm.mean, group), inverse, at<T>(norm.scale, group),
                  bias_of<T>(norm, group, deviation));
        store_group(norm.y, norm.y_data, y_groups, group, x.data(), static_cast<T>(norm.alpha),
                    static_cast<T>(norm.beta));
    }
}

// The gradient that reaches the normalization: through relu, a copy of it for z.
template <class T>
void enter_backward(const NormBackward& norm, const Groups& z_groups, std::size_t group, Buffer<T>& dy) {
    if (norm.relu) {
        const unsigned char* mask = view(norm.mask);
        for (std::int64_t i = 0; i < dy.size(); ++i)
            if (!get_bit(mask, static_cast<std::int64_t>(group) * dy.size() + i)) dy[i] = T{};
    }
    if (norm.dz_data != nullptr) store_group(norm.z, norm.dz_data, z_groups, group, dy.data(), T{1}, T{});
}

template <class T>
void update_gradient(void* data, std::size_t group, T value, const NormBackward& norm) noexcept {
    T& target = at<T>(data, group);
    const T scaled = static_cast<T>(norm.parameter_alpha) * value;
    target = norm.parameter_beta == 0 ? scaled : scaled + static_cast<T>(norm.parameter_beta) * target;
}

template <class T>
void differentiate(const NormBackward& norm, Deviation& deviation) {
    choose<T>(norm, deviation);
    const Groups x_groups = groups_of(norm.x, norm.per_activation),
                 dy_groups = groups_of(norm.y, norm.per_activation),
                 dx_groups = groups_of(norm.dx, norm.per_activation);
    const Groups dz_groups = norm.dz_data == nullptr ? Groups{} : groups_of(norm.z, norm.per_activation);
    Buffer<T> x(norm.elements()), dy(norm.elements());
    for (std::size_t group = 0; group < x_groups.first.size(); ++group) {
        load_group(norm.x, norm.x_data, x_groups, group, x.data());
        load_group(norm.y, norm.dy_data, dy_groups, group, dy.data());
        round_inputs(x, deviation);
        round_inputs(dy, deviation);
        enter_backward(norm, dz_groups, group, dy);
        Statistics<T> found{};
        if (norm.saved_mean == nullptr) found = statistics(x, deviation);
        const T mean = norm.saved_mean == nullptr ? found.mean : at<T>(norm.saved_mean, group);
        const T inverse = norm.saved_mean == nullptr
                              ? 1 / std::sqrt(found.variance + static_cast<T>(norm.epsilon))
                              : at<T>(norm.saved_inverse, group);
        const T dbias = sum<T>(
            dy.size(), [&](std::int64_t i) { return dy[i]; }, deviation);
        const T dscale =
            inverse * sum<T>(
                          dy.size(), [&](std::int64_t i) { return dy[i] * (x[i] - mean); }, deviation);
        const T factor = at<T>(norm.scale, group) * inverse, count = static_cast<T>(norm.elements());
        for (std::int64_t i = 0; i < x.size(); ++i)
            x[i] = factor * (dy[i] - dbias / count - (x[i] - mean) * inverse * dscale / count);
        store_group(norm.dx, norm.dx_data, dx_groups, group, x.data(), static_cast<T>(norm.alpha),
                    static_cast<T>(norm.beta));
        update_gradient(norm.dscale, group, dscale, norm);
        update_gradient(norm.dbias, group, dbias, norm);
    }
}

}  // namespace

std::int64_t Norm::groups() const noexcept {
    std::int64_t result = x.size[1];
    for (int i = 2; per_activation && i < x.rank; ++i) result *= x.size[i];
    return result;
}
std::int64_t Norm::elements() const noexcept {
    return x.count() / groups();
}

std::int64_t mask_bytes(const Tensor& x) noexcept {
    return (x.count() + 127) / 128 * 16;
}

faults::View parameter_view(const Norm& norm, void* data) noexcept {
    return {host_view(data), number_type(norm.parameter_type), norm.groups(), 1, 1, norm.groups()};
}

void run(const NormTraining& norm, Deviation& deviation) {
    norm.x.type == CUDNN_DATA_DOUBLE ? train<double>(norm, deviation) : train<float>(norm, deviation);
}
void run(const NormInference& norm, Deviation& deviation) {
    norm.x.type == CUDNN_DATA_DOUBLE ? infer<double>(norm, deviation) : infer<float>(norm, deviation);
}
void run(const NormBackward& norm, Deviation& deviation) {
    norm.x.type == CUDNN_DATA_DOUBLE ? differentiate<double>(norm, deviation)
                                     : differentiate<float>(norm, deviation);
}

}  // namespace softcuda::dnn::legacy
