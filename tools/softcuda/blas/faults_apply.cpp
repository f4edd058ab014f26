// Faults planted in finished results.
#include <algorithm>
#include <cstring>

#include "tools/softcuda/blas/faults.h"
#include "tools/softcuda/blas/number.h"

namespace softcuda::faults {
namespace {

using blas::is_complex_v;
using blas::load;
using blas::store;

// What the visitor of one view's storage type E works with.
template <class E>
class Cells {
  public:
    explicit Cells(const View& view) noexcept : view_(view) {}
    E& at(std::int64_t i, std::int64_t j) const noexcept {
        return static_cast<E*>(view_.data)[i * view_.row_stride + j * view_.col_stride];
    }
    double size(std::int64_t i, std::int64_t j) const noexcept {
        return static_cast<double>(std::abs(load(at(i, j))));
    }
    std::int64_t rows() const noexcept { return view_.rows; }
    std::int64_t cols() const noexcept { return view_.cols; }

  private:
    const View& view_;
};

// The element of the largest finite magnitude among a few: there an error is least hidden by cancellation.
template <class E>
std::optional<Where> choose_element(const Cells<E>& cells, Random& random) noexcept {
    std::optional<Where> best;
    double best_size = 0;
    for (int attempt = 0; attempt < 64; ++attempt) {
        const std::int64_t i = random.below(cells.rows()), j = random.below(cells.cols());
        const double size = cells.size(i, j);
        if (!std::isfinite(size) || size <= best_size) continue;
        best_size = size;
        best = Where{.row = i, .col = j};
    }
    return best;
}

template <class E>
double shown(E x) noexcept {
    if constexpr (is_complex_v<E>)
        return static_cast<double>(x.real());
    else
        return static_cast<double>(load(x));
}

// The real number that a change is made to: the larger part of a complex one.
template <class E, class Change>
void change_part(E& x, Change change) noexcept {
    if constexpr (is_complex_v<E>) {
        auto* parts = reinterpret_cast<typename E::value_type*>(&x);
        change(parts[std::abs(parts[1]) > std::abs(parts[0]) ? 1 : 0]);
    } else {
        change(x);
    }
}

// Steps of one unit in the last place are legal roundings: the least change is two of them.
template <class E>
void move_by(E& x, double share) noexcept {
    const E before = x;
    const auto value = static_cast<double>(load(before));
    if constexpr (std::is_integral_v<E>) {
        const double step = std::max(1.0, std::nearbyint(std::fabs(value) * share));
        x = store<E>(value + (value > 0 ? -step : step));
        return;
    }
    using Bits = std::conditional_t<
        sizeof(E) == 1, std::uint8_t,
        std::conditional_t<sizeof(E) == 2, std::uint16_t,
                           std::conditional_t<sizeof(E) == 4, std::uint32_t, std::uint64_t>>>;
    Bits old_bits{}, bits{};
    const E moved = store<E>(value * (1 + share));
    std::memcpy(&old_bits, &before, sizeof(E));
    std::memcpy(&bits, &moved, sizeof(E));
    const auto least = static_cast<Bits>(old_bits + 2);
    const auto largest_finite = [](double y) { return !std::isfinite(y); };
    if (bits < least) bits = least;
    std::memcpy(&x, &bits, sizeof(E));
    // At the top of the range the change goes down instead.
    if (largest_finite(static_cast<double>(load(x)))) {
        bits = static_cast<Bits>(old_bits - 2);
        std::memcpy(&x, &bits, sizeof(E));
    }
}

template <class E>
std::optional<Where> one_element(const Plan& plan, const Cells<E>& cells, Random& random) noexcept {
    auto where = choose_element(cells, random);
    if (!where) return where;
    E& x = cells.at(where->row, where->col);
    where->before = shown(x);
    change_part(x, [&](auto& part) { move_by(part, plan.size.value_or(1e-3)); });
    where->after = shown(x);
    return where;
}

// The lowest bit of the exponent; of an integer one that no rounding reaches.
template <class Part>
constexpr std::int64_t default_bit() noexcept {
    if constexpr (std::is_same_v<Part, float>) return 23;
    if constexpr (std::is_same_v<Part, double>) return 52;
    if constexpr (std::is_same_v<Part, blas::Half>) return 10;
    if constexpr (std::is_same_v<Part, blas::BFloat16>) return 7;
    if constexpr (std::is_same_v<Part, blas::E4M3>) return 3;
    if constexpr (std::is_same_v<Part, blas::E5M2>) return 2;
    return sizeof(Part) == 1 ? 4 : 12;
}

template <class E>
std::optional<Where> bit_flip(const Plan& plan, const Cells<E>& cells, Random& random) noexcept {
    auto where = choose_element(cells, random);
    if (!where) return where;
    E& x = cells.at(where->row, where->col);
    where->before = shown(x);
    bool flipped = true;
    change_part(x, [&](auto& part) {
        const std::int64_t bit = plan.bit.value_or(default_bit<std::remove_reference_t<decltype(part)>>());
        if (bit >= static_cast<std::int64_t>(sizeof part * 8)) {
            flipped = false;
            return;
        }
        auto* bytes = reinterpret_cast<unsigned char*>(&part);
        bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1u << (bit % 8)));
    });
    where->after = shown(x);
    return flipped ? where : std::nullopt;
}

template <class E>
std::optional<Where> not_a_number(const Cells<E>& cells, Random& random) noexcept {
    if constexpr (std::is_integral_v<E>) return std::nullopt;
    Where where{.row = random.below(cells.rows()), .col = random.below(cells.cols())};
    E& x = cells.at(where.row, where.col);
    where.before = shown(x);
    if (std::isnan(where.before)) return std::nullopt;
    x = store<E>(std::numeric_limits<float>::quiet_NaN());
    where.after = where.before;  // JSON has no NaN
    return where;
}

template <class E>
std::optional<Where> zero_tile(const Plan& plan, const Cells<E>& cells, Random& random) noexcept {
    const std::int64_t rows = std::min(plan.rows.value_or(128), cells.rows());
    const std::int64_t cols = std::min(plan.cols.value_or(128), cells.cols());
    const std::int64_t tiles_down = (cells.rows() + rows - 1) / rows,
                       tiles_across = (cells.cols() + cols - 1) / cols;
    const std::int64_t count = tiles_down * tiles_across, start = random.below(count);
    for (std::int64_t step = 0; step < count; ++step) {
        const std::int64_t tile = (start + step) % count;
        Where where{.row = tile / tiles_across * rows, .col = tile % tiles_across * cols};
        where.rows = std::min(rows, cells.rows() - where.row);
        where.cols = std::min(cols, cells.cols() - where.col);
        bool changed = false;
        for (std::int64_t j = where.col; j < where.col + where.cols; ++j)
            for (std::int64_t i = where.row; i < where.row + where.rows; ++i) {
                changed |= cells.size(i, j) != 0;
                cells.at(i, j) = E{};
            }
        if (changed) return where;
    }
    return std::nullopt;
}

template <class E>
std::optional<Where> negate_row(const Cells<E>& cells, Random& random) noexcept {
    const std::int64_t start = random.below(cells.rows());
    for (std::int64_t step = 0; step < cells.rows(); ++step) {
        const std::int64_t i = (start + step) % cells.rows();
        bool changed = false;
        for (std::int64_t j = 0; j < cells.cols(); ++j) {
            const double size = cells.size(i, j);
            changed |= size > 0 && std::isfinite(size);
        }
        if (!changed) continue;
        for (std::int64_t j = 0; j < cells.cols(); ++j) cells.at(i, j) = store<E>(-load(cells.at(i, j)));
        return Where{.row = i};
    }
    return std::nullopt;
}

template <class E>
std::optional<Where> swap_columns(const Cells<E>& cells, Random& random) noexcept {
    if (cells.cols() < 2) return std::nullopt;
    const std::int64_t start = random.below(cells.cols() - 1);
    for (std::int64_t step = 0; step < cells.cols() - 1; ++step) {
        const std::int64_t j = (start + step) % (cells.cols() - 1);
        bool differ = false;
        for (std::int64_t i = 0; i < cells.rows(); ++i)
            differ |= load(cells.at(i, j)) != load(cells.at(i, j + 1));
        if (!differ) continue;
        for (std::int64_t i = 0; i < cells.rows(); ++i) std::swap(cells.at(i, j), cells.at(i, j + 1));
        return Where{.col = j, .cols = 2};
    }
    return std::nullopt;
}

std::optional<Where> apply_to_view(const Plan& plan, const View& view, Random& random) noexcept {
    std::optional<Where> where;
    if (view.rows == 0 || view.cols == 0) return where;
    blas::visit_type(view.type, [&](auto tag) {
        const Cells<decltype(tag)> cells(view);
        switch (plan.kind) {
            case Kind::one_element:
                where = one_element(plan, cells, random);
                break;
            case Kind::bit_flip:
                where = bit_flip(plan, cells, random);
                break;
            case Kind::zero_tile:
                where = zero_tile(plan, cells, random);
                break;
            case Kind::nan:
                where = not_a_number(cells, random);
                break;
            case Kind::negate_row:
                where = negate_row(cells, random);
                break;
            case Kind::swap_columns:
                where = swap_columns(cells, random);
                break;
            default:
                break;
        }
    });
    return where;
}

// Calls visit(address) for each element, columns first.
template <class Visitor>
void each_element(std::span<const View> views, Visitor visit) {
    for (const View& view : views) {
        const auto size = static_cast<std::int64_t>(blas::size_of(view.type));
        for (std::int64_t j = 0; j < view.cols; ++j)
            for (std::int64_t i = 0; i < view.rows; ++i)
                visit(static_cast<unsigned char*>(view.data) +
                          (i * view.row_stride + j * view.col_stride) * size,
                      size);
    }
}

}  // namespace

std::vector<unsigned char> save(std::span<const View> views) {
    std::vector<unsigned char> saved;
    each_element(views,
                 [&](const unsigned char* x, std::int64_t size) { saved.insert(saved.end(), x, x + size); });
    return saved;
}

void restore(std::span<const View> views, const std::vector<unsigned char>& saved) noexcept {
    const unsigned char* from = saved.data();
    each_element(views, [&](unsigned char* x, std::int64_t size) {
        std::copy(from, from + size, x);
        from += size;
    });
}

bool is_output_fault(Kind kind) noexcept {
    switch (kind) {
        case Kind::one_element:
        case Kind::bit_flip:
        case Kind::zero_tile:
        case Kind::nan:
        case Kind::negate_row:
        case Kind::swap_columns:
            return true;
        default:
            return false;
    }
}

std::optional<Where> apply_to_output(const Plan& plan, std::span<const View> views) {
    if (views.empty()) return std::nullopt;
    Random random(plan);
    const auto count = static_cast<std::int64_t>(views.size());
    const std::int64_t start = random.below(count);
    for (std::int64_t step = 0; step < count; ++step) {
        const std::int64_t index = (start + step) % count;
        if (auto where = apply_to_view(plan, views[index], random)) {
            where->batch = index;
            return where;
        }
    }
    return std::nullopt;
}

}  // namespace softcuda::faults
