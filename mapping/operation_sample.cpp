#include "mapping/operation_sample.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "mapping/operation_narrow.h"

namespace fumi::mapping {
namespace {

constexpr std::int64_t worth_it = 4;  // the whole must be so many times the part

// Those of the operations without rounding of which an element is made of one of each argument.
constexpr std::array elementwise_selections = {"abs",     "neg",     "negative", "sign",
                                               "minimum", "maximum", "clamp",    "clamp_min",
                                               "relu",    "relu6",   "hardtanh", "threshold"};

bool is_elementwise(const Operation& row) {
    std::string_view op = std::string_view(row.op).substr(6);  // aten::
    if (op == "prelu" || op == "glu") {
        return false;  // by channels, by halves
    }
    if (row.bound == Bound::elementwise || row.bound == Bound::gated) {
        return true;
    }
    op.remove_suffix(op.ends_with('_') ? 1 : 0);
    return row.bound == Bound::exact &&
           std::find(elementwise_selections.begin(), elementwise_selections.end(), op) !=
               elementwise_selections.end();
}

// `count` of `all` places, evenly spread from an arbitrary first.
Places spread(std::int64_t count, std::int64_t all, std::uint64_t seed) {
    count = std::min(count, all);
    Places places(static_cast<std::size_t>(count));
    const std::int64_t step = all / std::max<std::int64_t>(count, 1);
    const auto first =
        static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(std::max<std::int64_t>(step, 1)));
    for (std::size_t k = 0; k < places.size(); ++k) {
        places[k] = first + static_cast<std::int64_t>(k) * step;
    }
    return places;
}

template <class Number>
at::Tensor picked(const at::Tensor& wide, const Places& places) {
    at::Tensor some = at::empty({static_cast<std::int64_t>(places.size())}, wide.options());
    const Number* const from = wide.const_data_ptr<Number>();
    Number* const to = some.mutable_data_ptr<Number>();
    if (wide.is_contiguous()) {
        for (std::size_t k = 0; k < places.size(); ++k) {
            to[k] = from[places[k]];
        }
        return some;
    }
    const at::IntArrayRef sizes = wide.sizes();
    const at::IntArrayRef strides = wide.strides();
    for (std::size_t k = 0; k < places.size(); ++k) {
        std::int64_t rest = places[k];
        std::int64_t offset = 0;
        for (std::size_t d = sizes.size(); d-- > 0; rest /= sizes[d]) {
            offset += rest % sizes[d] * strides[d];
        }
        to[k] = from[offset];
    }
    return some;
}

// Copies of the elements at `places` of the tensor expanded to `shape`; undefined where that is not plain.
at::Tensor pick(const at::Tensor& tensor, at::IntArrayRef shape, const Places& places) {
    if (!tensor.is_cpu() || tensor.layout() != at::kStrided || tensor.is_neg() ||
        !at::is_expandable_to(tensor.sizes(), shape)) {
        return {};
    }
    const at::Tensor wide = tensor.detach().expand(shape);
    switch (tensor.scalar_type()) {
        case at::kFloat:
            return picked<float>(wide, places);
        case at::kDouble:
            return picked<double>(wide, places);
        case at::kBool:
            return picked<bool>(wide, places);
        case at::kHalf:
            return picked<c10::Half>(wide, places);
        case at::kBFloat16:
            return picked<c10::BFloat16>(wide, places);
        default:
            return {};
    }
}

at::Tensor selected(const at::Tensor& tensor, std::int64_t dim, const Places& places) {
    return tensor.detach().index_select(dim, at::tensor(at::IntArrayRef(places), at::kLong));
}

}  // namespace

bool Sample::elementwise(std::int64_t elements, std::uint64_t seed) {
    for (const c10::IValue& value : arguments_) {
        if (value.isTensorList()) {
            return false;
        }
        if (value.isTensor() && value.toTensor().defined()) {
            shape_ = at::infer_size(shape_, value.toTensor().sizes());
        }
    }
    const std::int64_t all = c10::multiply_integers(shape_);
    if (all < worth_it * elements) {
        return false;
    }
    places_ = spread(elements, all, seed);
    for (c10::IValue& value : arguments_) {
        // What has no dimensions has its own part in the choice of the type.
        if (!value.isTensor() || !value.toTensor().defined() || value.toTensor().dim() == 0) {
            continue;
        }
        const at::Tensor some = pick(value.toTensor(), shape_, places_);
        if (!some.defined()) {
            return false;
        }
        value = some;
    }
    return true;
}

// linear (transposed), or mm and matmul by a matrix.
bool Sample::product(std::int64_t elements, std::uint64_t seed, bool transposed) {
    const at::Tensor& a = arguments_[0].toTensor();
    const at::Tensor& b = arguments_[1].toTensor();
    if (a.dim() < 2 || b.dim() != 2 || a.layout() != at::kStrided || b.layout() != at::kStrided) {
        return false;
    }
    const std::int64_t side = std::llround(std::sqrt(static_cast<double>(elements)));
    const std::int64_t all_rows = a.numel() / std::max<std::int64_t>(a.size(-1), 1);
    const std::int64_t all_columns = b.size(transposed ? 0 : 1);
    places_ = spread(side, all_rows, seed);
    columns_ = spread(side, all_columns, seed >> 16U);
    if (places_.empty() || columns_.empty() ||
        all_rows * all_columns < worth_it * static_cast<std::int64_t>(places_.size() * columns_.size())) {
        return false;
    }
    shape_ = a.sizes().vec();
    shape_.back() = all_columns;
    rows_kept_ = transposed && keeps_rows(a);
    // Copied to the rows that are asked for where that is a view, and else as a whole.
    arguments_[0] = selected(a.dim() == 2 ? a : a.reshape({-1, a.size(-1)}), 0, places_);
    arguments_[1] = selected(b, transposed ? 0 : 1, columns_);
    if (arguments_.size() > 2 && arguments_[2].isTensor() && arguments_[2].toTensor().defined()) {
        arguments_[2] = selected(arguments_[2].toTensor(), 0, columns_);
    }
    return true;
}

bool Sample::convolution(std::uint64_t seed) {
    const at::Tensor& x = arguments_[0].toTensor();
    if (x.dim() != arguments_[1].toTensor().dim() || x.size(0) < worth_it) {
        return false;
    }
    image_ = static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(x.size(0)));
    arguments_[0] = x.detach().narrow(0, image_, 1);
    return true;
}

std::unique_ptr<Sample> Sample::of(const Operation& row, const c10::OperatorHandle& handle,
                                   c10::ArrayRef<const c10::IValue> arguments, std::int64_t elements,
                                   std::uint64_t seed) {
    const auto& formal = handle.schema().arguments();
    if (std::any_of(formal.begin(), formal.end(), [](const c10::Argument& a) { return a.is_out(); })) {
        return nullptr;
    }
    auto sample = std::make_unique<Sample>();
    sample->arguments_.assign(arguments.begin(), arguments.end());
    const std::string_view op = std::string_view(row.op).substr(6);  // aten::
    if (is_elementwise(row)) {
        return sample->elementwise(elements, seed) ? std::move(sample) : nullptr;
    }
    if (op == "linear" || op == "mm" || op == "matmul") {
        sample->kind_ = Kind::product;
        return sample->product(elements, seed, op == "linear") ? std::move(sample) : nullptr;
    }
    if (op == "conv1d" || op == "conv2d" || op == "conv3d") {
        sample->kind_ = Kind::image;
        return sample->convolution(seed) ? std::move(sample) : nullptr;
    }
    return nullptr;
}

RunningOperation Sample::part(const c10::OperatorHandle& handle, const std::vector<c10::IValue>& results) {
    const at::Tensor whole = results.at(0).toTensor().detach();
    at::Tensor result;
    switch (kind_) {
        case Kind::elements:
            result = pick(whole, shape_, places_);
            break;
        case Kind::product:
            result = selected(selected(whole.reshape({-1, shape_.back()}), 0, places_), 1, columns_);
            break;
        case Kind::image:
            result = whole.narrow(0, image_, 1);
            image_size_ = result.numel();
            break;
    }
    TORCH_CHECK(result.defined(), "a sample of a result of this kind");
    return {handle, arguments_, {result}, nullptr, rows_kept_};
}

std::int64_t Sample::place(std::int64_t element) const {
    if (element < 0) {
        return element;
    }
    switch (kind_) {
        case Kind::elements:
            return places_.at(static_cast<std::size_t>(element));
        case Kind::product: {
            const auto columns = static_cast<std::int64_t>(columns_.size());
            return places_.at(static_cast<std::size_t>(element / columns)) * shape_.back() +
                   columns_.at(static_cast<std::size_t>(element % columns));
        }
        case Kind::image:
            return image_ * image_size_ + element;
    }
    return element;
}

}  // namespace fumi::mapping
