#include "mapping/operation_cheap.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

namespace fumi::mapping {
namespace {

// fp32 sums, perhaps of inputs rounded to bf16, are below the exact ones by less than this share.
constexpr double coarse = 1 - 0x1p-6;
constexpr std::int64_t least_slice = 16;

Cheap plain(const CheapBound& bound) {
    Cheap cheap;
    cheap.bound = bound;
    cheap.words =
        number(bound.slope) + " u |y|" + (bound.offset > 0 ? " + " + number(bound.offset) + " u" : "");
    return cheap;
}

Cheap affine(double slope, double offset) {
    return plain({slope, offset, nullptr});
}

std::int64_t slice_of(std::int64_t terms) {
    return std::min(terms, std::max(least_slice, terms / 8));
}

at::Tensor part(const at::Tensor& tensor, std::int64_t dim, std::int64_t size) {
    return tensor.narrow(dim, 0, size).abs().to(at::kFloat);
}

// sum |a b| over an eighth of the sum's terms, less the share, below the whole of it; undefined where that is
// not a matrix product or convolution.
at::Tensor part_of_products(const Question& q) {
    const std::string_view op = std::string_view(q.row.op).substr(6);  // aten::
    const bool added = op == "addmm" || op == "baddbmm";
    if (op == "linear" || op == "matmul" || op == "mm" || op == "bmm" || added) {
        if (const c10::IValue alpha = q.get("alpha"); alpha.isScalar() && !alpha.toScalar().equal(1)) {
            return {};
        }
        const at::Tensor& a = q.arguments.at(added ? 1 : 0).toTensor();
        const at::Tensor& b = q.arguments.at(added ? 2 : 1).toTensor();
        if (a.dim() < 2 || b.dim() < 2 || a.is_sparse() || b.is_sparse()) {
            return {};
        }
        const std::int64_t size = slice_of(a.size(-1));
        const bool linear = op == "linear";
        const at::Tensor second = part(b, linear ? -1 : -2, size).mul_(coarse);
        return linear ? at::linear(part(a, -1, size), second) : at::matmul(part(a, -1, size), second);
    }
    if (op == "conv1d" || op == "conv2d" || op == "conv3d") {
        const at::Tensor& x = q.arguments.at(0).toTensor();
        const at::Tensor& weight = q.arguments.at(1).toTensor();
        if (x.dim() != weight.dim() || q.get("groups").toInt() != 1) {
            return {};
        }
        Arguments changed = q.arguments;
        const std::int64_t size = slice_of(std::max<std::int64_t>(x.size(1), 1));
        changed[0] = part(x, 1, size);
        changed[1] = part(weight, 1, size).mul_(coarse);
        changed[2] = c10::IValue();  // bias
        return q.first(changed);
    }
    return {};
}

Cheap cheap_product(const Question& q) {
    const double share = product_share(q);
    Cheap cheap = affine(share, 0);
    const at::Tensor products = part_of_products(q);
    if (products.defined() && products.sizes() == q.reference.sizes()) {
        cheap.magnitude = products.cpu().contiguous();
        cheap.bound.magnitude = cheap.magnitude.const_data_ptr<float>();
        cheap.words = number(share) + " u |x| |w| summed in part";
    }
    return cheap;
}

double terms_along(const at::Tensor& x, at::IntArrayRef dim) {
    double terms = 1;
    for (const std::int64_t d : dim) {
        terms *= static_cast<double>(x.dim() > 0 ? x.size(d) : 1);
    }
    return terms;
}

double softmax_rounding(const at::Tensor& x, at::IntArrayRef dim) {
    return 2 * (2 * std::sqrt(terms_along(x, dim)) + 8);
}

// Of the loss without the means and the |x - m| of its rows.
std::optional<Cheap> cheap_cross_entropy(const Question& q) {
    const c10::IValue smoothing = q.get("label_smoothing");
    if (at::isFloatingType(q.tensor("target").scalar_type()) ||
        (smoothing.isDouble() && smoothing.toDouble() != 0)) {
        return std::nullopt;
    }
    const at::Tensor& x = q.arguments.at(0).toTensor();
    const bool mean = q.get("reduction").toInt() == 1;  // of constants their constant
    return affine(2, mean ? softmax_rounding(x, {x.dim() == 1 ? 0 : 1}) : 0);
}

}  // namespace

std::optional<Cheap> cheap_bound(const Question& q) {
    const double p = q.row.factor;
    switch (q.row.bound) {
        case Bound::elementwise:
        case Bound::gated:
        case Bound::loss:
            return affine(p, 0);
        case Bound::product:
            return cheap_product(q);
        case Bound::positive:
            return affine(positive_share(q), 0);
        case Bound::softmax:
            return affine(softmax_rounding(q.arguments.at(0).toTensor(), {q.get("dim").toInt()}), 0);
        case Bound::log_softmax:
            return affine(2, softmax_rounding(q.arguments.at(0).toTensor(), {q.get("dim").toInt()}));
        case Bound::logsumexp:
            return affine(2, softmax_rounding(q.arguments.at(0).toTensor(), q.get("dim").toIntVector()));
        case Bound::layer_norm:
        case Bound::group_norm:
        case Bound::batch_norm:
        case Bound::instance_norm:
            return plain(cheap_normalisation(q));
        case Bound::cross_entropy:
            return cheap_cross_entropy(q);
        default:
            return std::nullopt;
    }
}

at::Tensor gather(const at::Tensor& tensor, at::IntArrayRef shape, const Places& places) {
    const at::Tensor wide = tensor.to(at::kCPU, at::kDouble).expand(shape);
    const double* const from = wide.const_data_ptr<double>();
    at::Tensor picked = at::empty({static_cast<std::int64_t>(places.size())}, at::kDouble);
    double* const to = picked.mutable_data_ptr<double>();
    const bool plain = wide.is_contiguous();
    const at::IntArrayRef strides = wide.strides();
    for (std::size_t k = 0; k < places.size(); ++k) {
        std::int64_t offset = places[k];
        if (!plain) {
            std::int64_t rest = places[k];
            offset = 0;
            for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
                offset += rest % shape[d] * strides[d];
            }
        }
        to[k] = from[offset];
    }
    return picked;
}

}  // namespace fumi::mapping
