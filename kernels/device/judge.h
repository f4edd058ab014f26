// From the sums of one element to its reference, its bound and its place in the statistics (docs/numerics.md,
// 1 and 2).
#pragma once
#include "kernels/device/repeats.h"
#include "kernels/device/stats.h"
#include "kernels/device/sums.h"
#include "kernels/device/unlikely.h"

namespace fumi::FUMI_TARGET {

// alpha, beta and the scale factors that hold for every element of the problem, read once a block.
struct Factors {
    Complex alpha, beta;
    double scale_c = 1, scale_d = 1;
    bool product = false;  // alpha != 0: A and B are read
    bool addend = false;   // beta != 0: C is read
    int scales = 0;        // how many scale factors round on the way
};

FUMI_DEVICE_CALL Complex read_scalar(const Memory& memory, const ScalarValue& scalar) {
    if (scalar.device == nullptr) return {scalar.re, scalar.im};
    return read_element(memory, scalar.device, 0, scalar.type);
}

FUMI_DEVICE double read_scale(const Memory& memory, const Scale& scale, std::int64_t index) {
    if (scale.kind == ScaleKind::none || scale.device == nullptr) return 1.0;
    return memory.at(scale.device)[scale.kind == ScaleKind::outer ? index : 0];
}

FUMI_DEVICE_CALL Factors read_factors(const Memory& memory, const GemmProblem& problem) {
    Factors f;
    f.alpha = read_scalar(memory, problem.alpha);
    f.beta = read_scalar(memory, problem.beta);
    f.product = problem.k > 0 && (f.alpha.re != 0 || f.alpha.im != 0);
    f.addend = f.beta.re != 0 || f.beta.im != 0;
    f.scale_c = read_scale(memory, problem.scale_c, 0);
    f.scale_d = read_scale(memory, problem.scale_d, 0);
    f.scales = (problem.scale_a.kind != ScaleKind::none ? 1 : 0) +
               (problem.scale_b.kind != ScaleKind::none ? 1 : 0) +
               (problem.scale_d.kind != ScaleKind::none ? 1 : 0);
    return f;
}

// The matrix of one batch, from its first element.
FUMI_DEVICE const void* batch_base(const Memory& memory, const MatrixView& view, std::int64_t batch,
                                   std::int64_t* offset) {
    if (view.batch_pointers != nullptr) {
        *offset = 0;
        return memory.at(view.batch_pointers)[batch];
    }
    *offset = batch * view.batch_stride;
    return view.data;
}

FUMI_DEVICE_CALL Complex read_matrix(const Memory& memory, const MatrixView& view, std::int64_t row,
                                     std::int64_t column, std::int64_t batch) {
    std::int64_t offset = 0;
    const void* base = batch_base(memory, view, batch, &offset);
    Complex value =
        read_element(memory, base, offset + row * view.row_stride + column * view.col_stride, view.type);
    if (view.conjugate) value.im = -value.im;
    return value;
}

struct Position {
    std::int64_t row, column, batch;
};

// The pre-activation alpha A B + beta C0 + bias of one element, and what flowed into it.
struct Reference {
    WideComplex value;
    double product_g = 0;  // |alpha| |A| |B|
    double addend_g = 0;   // |beta C0| + |bias|
    double alpha = 0;      // |alpha| with the scale factors of A and B
    Complex alpha_value;
};

FUMI_DEVICE_CALL Reference reference_of(const Memory& memory, const GemmProblem& problem,
                                        const Factors& factors, const ElementSums& sums, const Position& at) {
    Reference r;
    if (factors.product) {
        const double scale_a = read_scale(memory, problem.scale_a, at.row);
        const double scale_b = read_scale(memory, problem.scale_b, at.column);
        const Wide scale = two_product(scale_a, scale_b);
        const WideComplex alpha = {multiply(scale, Wide{factors.alpha.re, 0.0}),
                                   multiply(scale, Wide{factors.alpha.im, 0.0})};
        r.alpha_value = {alpha.re.hi, alpha.im.hi};
        r.alpha = modulus(alpha.re.hi, alpha.im.hi);
        r.product_g = r.alpha * sums.g;
        // A real alpha does not mix the parts: an infinite part must not become NaN by 0 * inf.
        r.value = factors.alpha.im == 0
                      ? WideComplex{multiply(alpha.re, sums.s.re), multiply(alpha.re, sums.s.im)}
                      : multiply(alpha, sums.s);
    }
    if (factors.addend) {
        const Complex c = read_matrix(memory, problem.c, at.row, at.column, at.batch);
        const WideComplex scaled = {two_product(c.re, factors.scale_c), two_product(c.im, factors.scale_c)};
        const Wide re = {factors.beta.re, 0.0};
        const WideComplex term = factors.beta.im == 0
                                     ? WideComplex{multiply(re, scaled.re), multiply(re, scaled.im)}
                                     : multiply(widened(factors.beta), scaled);
        r.addend_g += modulus(term.re.hi, term.im.hi);
        r.value = add(r.value, term);
    }
    if (problem.bias != nullptr) {
        const Complex bias = read_element(memory, problem.bias, at.batch * problem.bias_batch_stride + at.row,
                                          problem.bias_type);
        r.addend_g += modulus(bias.re, bias.im);
        r.value = add(r.value, widened(bias));
    }
    return r;
}

// What the roundings of so many sums come to, in u_acc G: a random walk, of a variance that is `inflation`
// times that of distinct products, and never more than all of them in one direction.
FUMI_DEVICE double walk_of(double products, double inflation) {
    const double distinct = 2 * sqrt(products);
    return fmax(distinct, fmin(distinct * sqrt(inflation), products));
}

// The error that a legal kernel may have made in the pre-activation: section 3 without the output's rounding.
FUMI_DEVICE double accumulation_bound(const BoundNumbers& bound, const GemmProblem& problem,
                                      const Factors& factors, const Reference& reference, bool complex,
                                      double inflation = 1) {
    // A complex element has 2 K products a part, and two parts; multiplying by a complex alpha rounds twice
    // more.
    const double products = factors.product ? static_cast<double>(complex ? 2 * problem.k : problem.k) : 0.0;
    const double walk = walk_of(products, inflation);
    const double spread = bound.u_acc * (walk + bound.beta_t * products + (complex ? 4 : 2));
    const double scaling = 2 * bound.u_acc * factors.scales;
    const double addends = (problem.bias != nullptr ? 3 : 2) * bound.u_acc;
    const double b =
        (spread + scaling + bound.input_error) * reference.product_g + addends * reference.addend_g;
    return (complex ? 1.4142135623730951 * b : b) + (products + 1) * bound.underflow * (1 + reference.alpha) +
           bound.absolute;
}

// The output of one element: D, or the auxiliary pre-activation.
struct Output {
    WideComplex reference;
    Complex value;
    DataType type;
    double bound;       // of the error before the output is rounded
    double gain;        // how much that grows with the bound of the pre-activation
    double g;           // G, carried through the activation and scale_d
    bool may_mask_nan;  // max(NaN, 0) may be 0
};

FUMI_DEVICE double clamped(double x, double low, double high) {
    return x < low ? low : (x > high ? high : x);
}

FUMI_DEVICE double output_rounding(const BoundNumbers& bound, const Output& out) {
    if (is_integer(out.type)) return bound.exact != 0 ? 0.0 : 0.5;
    // The spacing is taken at |R| + B: the kernel rounds its own sum, which may lie in the next binade.
    const Format format = format_of(out.type);
    const double re = half_ulp(format, fmin(fabs(out.reference.re.hi) + out.bound, format.largest));
    if (out.type != DataType::c32 && out.type != DataType::c64) return re * (1 + 1e-6);
    const double im = half_ulp(format, fmin(fabs(out.reference.im.hi) + out.bound, format.largest));
    return sqrt(re * re + im * im) * (1 + 1e-6);
}

// Where the type cannot hold the reference: integers and fp8 saturate, so the largest number is what is
// expected.
FUMI_DEVICE void saturate(Output& out) {
    Wide& re = out.reference.re;
    if (out.type == DataType::i8) {
        re = {clamped(re.hi, -128.0, 127.0), re.hi > -128.0 && re.hi < 127.0 ? re.lo : 0.0};
    } else if (out.type == DataType::e4m3 || out.type == DataType::e5m2) {
        const double largest = format_of(out.type).largest;
        if (fabs(re.hi) > largest) re = {re.hi < 0 ? -largest : largest, 0.0};
    }
}

FUMI_DEVICE void note_worst(ErrorStats& stats, double ratio, double bound_in_u, std::int64_t index,
                            const Output& out) {
    if (!is_worse(ratio, index, stats)) return;
    stats.max_ratio = ratio;
    stats.bound_at_max = bound_in_u;
    stats.worst_index = index;
    stats.worst_value = out.value.re;
    stats.worst_reference = out.reference.re.hi;
}

// Elements that are not finite on either side. True where the element is settled and must not be compared.
FUMI_DEVICE_CALL bool settle_nonfinite(ErrorStats& stats, const BoundNumbers& bound, const Output& out,
                                       double raw_g, std::int64_t index) {
    const bool reference_finite = is_finite(out.reference.re.hi) && is_finite(out.reference.im.hi);
    const bool value_finite = is_finite(out.value);
    // int32 sums wrap or saturate past their range: K > 131071 of the largest int8 numbers.
    if (out.type == DataType::i32 && fabs(out.reference.re.hi) > 2147483647.0) {
        ++stats.nonfinite_reference;
        return true;
    }
    if (reference_finite && value_finite) return false;
    if (!value_finite) ++stats.nonfinite;
    bool expected = !reference_finite && !value_finite;
    if (!reference_finite && value_finite) {
        expected = out.may_mask_nan || is_integer(out.type) || format_of(out.type).saturates;
    } else if (reference_finite && !value_finite) {
        // Infinity is right where the result or a partial sum leaves the range; fp8 without saturation gives
        // NaN there.
        const double size = fmax(fabs(out.reference.re.hi), fabs(out.reference.im.hi));
        expected = size + out.bound >= format_of(out.type).overflow || raw_g >= bound.accumulator_max;
    }
    if (expected) {
        ++stats.nonfinite_reference;
        return true;
    }
    ++stats.nonfinite_unexpected;
    note_worst(stats, INFINITY, 0.0, index, out);
    return true;
}

// The error of a finite output, and B.
struct Gap {
    double e, b;
};
FUMI_DEVICE Gap gap_of(const BoundNumbers& bound, const Output& out) {
    const double e_re = (out.value.re - out.reference.re.hi) - out.reference.re.lo;
    const double e_im = (out.value.im - out.reference.im.hi) - out.reference.im.lo;
    return {modulus(e_re, e_im), out.bound + output_rounding(bound, out)};
}

// Compares one finite output.
FUMI_DEVICE_CALL void compare(ErrorStats& stats, const BoundNumbers& bound, const Output& out,
                              std::int64_t index, bool aux) {
    const auto [e, b] = gap_of(bound, out);
    const double ug = bound.u * out.g;
    const double ratio = e == 0 ? 0.0 : (b > 0 ? e / b : INFINITY);
    note_worst(stats, ratio, ug > 0 ? b / ug : 0.0, index, out);
    if (ratio > 1) {
        ++stats.mismatches;
        if (aux) ++stats.aux_mismatches;
    }
    if (aux) return;
    ++stats.elements;
    stats.max_abs_err = fmax(stats.max_abs_err, e);
    if (ug > 0) stats.max_eta = fmax(stats.max_eta, e / ug);
    const double r = modulus(out.reference.re.hi, out.reference.im.hi);
    stats.sum_g += out.g;
    stats.sum_abs_r += r;
    if (r > 0) {
        const double relative = e / r;
        stats.max_rel_err = fmax(stats.max_rel_err, relative);
        stats.sum_rel_err2 += relative * relative;
        ++stats.rel_elements;
        stats.max_kappa = fmax(stats.max_kappa, out.g / r);
    }
}

// A residual this many times what a legal kernel explains is rare where products are distinct (verdict.cpp).
inline constexpr double kUnlikelyResidual = 12;

// Section 5: e / sqrt(Q) against z / sqrt(Q) and s / sqrt(Q), all as if alpha were 1, and the variance that a
// legal kernel explains.
template <class Repeats>
FUMI_DEVICE void count_bits(ErrorStats& stats, const BoundNumbers& bound, const GemmProblem& problem,
                            const ElementSums& sums, const Reference& reference, const Output& out,
                            double scale_d, const Repeats& repeats) {
    const double q = sums.q, alpha = reference.alpha * fabs(scale_d);
    const bool usable = q > 0 && is_finite(q) && alpha > 0 && is_finite(1 / alpha) && is_finite(sums.z) &&
                        reference.addend_g <= 8 * reference.alpha * sqrt(q);
    if (!usable) return;
    const Complex a = {reference.alpha_value.re * scale_d, reference.alpha_value.im * scale_d};
    const double e_re = (out.value.re - out.reference.re.hi) - out.reference.re.lo;
    const double e_im = (out.value.im - out.reference.im.hi) - out.reference.im.lo;
    const double x_re = (e_re * a.re + e_im * a.im) / (alpha * alpha);
    const double x_im = (e_im * a.re - e_re * a.im) / (alpha * alpha);
    const double k = static_cast<double>(problem.k);
    const double s2 = sums.s.re.hi * sums.s.re.hi + sums.s.im.hi * sums.s.im.hi;
    const double z2 = sums.z.re * sums.z.re + sums.z.im * sums.z.im;
    stats.see += (x_re * x_re + x_im * x_im) / q;
    stats.sez += (x_re * sums.z.re + x_im * sums.z.im) / q;
    stats.szz += z2 / q;
    stats.ses += (x_re * sums.s.re.hi + x_im * sums.s.im.hi) / q;
    stats.szs += (sums.z.re * sums.s.re.hi + sums.z.im * sums.s.im.hi) / q;
    stats.sss += s2 / q;
    // 0.4247 u |x| is the rms of rounding x. Sum of s_k^2 is at least z^2 / K, and about K (s^2 / 3 + Q / 2).
    const double walk = (fmax(z2 / k, k * s2 / 3) + k * q / 2) * bound.u_acc * bound.u_acc;
    const double r = modulus(out.reference.re.hi, out.reference.im.hi) + reference.addend_g * fabs(scale_d);
    const double u_out = power_of_two(-format_of(out.type).bits);
    const double rounding = (u_out * r / alpha) * (u_out * r / alpha);
    double floor = 0.18037 * (walk + rounding) / q;
    const bool rounds_to_nearest = bound.beta_t == 0 && bound.input_error == 0;
    if (rounds_to_nearest && (x_re * x_re + x_im * x_im) / q > kUnlikelyResidual * floor)
        floor = 0.18037 * (walk * repeats() + rounding) / q;
    stats.sum_floor += floor;
    ++stats.bits_elements;
}

FUMI_DEVICE double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

// The output D of one element out of its pre-activation.
FUMI_DEVICE_CALL Output activated(const GemmProblem& problem, const BoundNumbers& bound,
                                  const Factors& factors, const Reference& reference, double accumulation) {
    Output out;
    out.reference = reference.value;
    out.type = problem.d.type;
    out.bound = accumulation;
    out.gain = 1;
    out.g = reference.product_g + reference.addend_g;
    out.may_mask_nan = false;
    if (problem.activation == Activation::relu) {
        out.may_mask_nan = !(out.reference.re.hi > 0);
        if (out.reference.re.hi < 0) out.reference.re = {0.0, 0.0};
    } else if (problem.activation == Activation::gelu_tanh) {
        // |gelu'| <= 1.129
        const double x = out.reference.re.hi;
        out.reference.re = {x < -1e30 ? 0.0 : (x > 1e30 ? x : gelu_tanh(x)), 0.0};
        out.gain = 1.13;
        out.bound = out.gain * accumulation + bound.activation_error * fabs(x);
        out.may_mask_nan = !(x > 0);
    }
    if (problem.scale_d.kind != ScaleKind::none) {
        const Wide scale = {factors.scale_d, 0.0};
        out.reference = {multiply(out.reference.re, scale), multiply(out.reference.im, scale)};
        out.bound *= fabs(factors.scale_d);
        out.gain *= fabs(factors.scale_d);
        out.g *= fabs(factors.scale_d);
    }
    return out;
}

// The products of one element of D; product k of any element is that without alpha.
struct ElementProducts {
    const Memory& memory;
    const GemmProblem& problem;
    const Position& at;
    FUMI_DEVICE_CALL Complex operator()(std::int64_t k) const {
        const Complex a = read_matrix(memory, problem.a, at.row, k, at.batch);
        const Complex b = read_matrix(memory, problem.b, k, at.column, at.batch);
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
};

// What is only asked for elements that look wrong: by how much the variance of their legal error is larger
// than that of an ordinary sum.
template <class Products>
struct SecondLook {
    std::int64_t k;
    int bits;  // of the accumulator
    double g;  // |A| |B|
    const Products& products;
    double repeats = 0, replay = 0;  // 0: not asked yet

    FUMI_DEVICE double from_repeats() {
        if (repeats == 0) repeats = multiplicity(k, sum_spacing(bits, g), products);
        return repeats;
    }
    // A legal chain that strays as far on these very products. Twice, as another order may stray further.
    FUMI_DEVICE double from_replay() {
        if (replay == 0) {
            const double walk = 2 * replayed_error(k, bits, products) / (power_of_two(-bits) * g);
            replay = fmax(1.0, walk * walk / (4 * static_cast<double>(k)));
        }
        return replay;
    }
};

// Widens the bound of an output over it, where no more than a legal kernel may err on such data. `allowed`:
// the bound of the pre-activation at an inflation.
template <class Products, class Allowed>
FUMI_DEVICE void widen(const ErrorStats& stats, const BoundNumbers& bound, SecondLook<Products>& look,
                       const Allowed& allowed, Output& out) {
    const double strict = out.bound;
    const Gap gap = gap_of(bound, out);
    if (!(gap.e > gap.b) || bound.exact != 0 || !is_finite(look.g)) return;
    const auto within = [&](double inflation) {
        out.bound = strict + out.gain * (allowed(inflation) - allowed(1));
        return gap.e <= gap_of(bound, out).b;
    };
    if (!within(INFINITY)) {  // not with all errors in one direction
        out.bound = strict;
        return;
    }
    if (within(look.from_repeats())) return;
    // The replay is dear: not where a fault has been found.
    if (stats.mismatches == 0) within(fmax(look.repeats, look.from_replay()));
}

// An error within B that 8 standard deviations of what its sum rounds to nearest do not reach, and that no
// order of summation excuses.
template <class Products>
FUMI_DEVICE_CALL void judge_unlikely(ErrorStats& stats, const GemmCheckParams& params,
                                     const ElementSums& sums, const Reference& reference, const Output& out,
                                     std::int64_t index, SecondLook<Products>& look) {
    const BoundNumbers& bound = params.bound;
    const auto [e, b] = gap_of(bound, out);
    if (e > b || !(sums.q > 0) || !(reference.alpha > 0)) return;
    const double k = static_cast<double>(params.problem.k), s = sums.s.re.hi, z = sums.z.re;
    const double u2 = bound.u_acc * bound.u_acc, a2 = reference.alpha * reference.alpha;
    // As in count_bits. Products may be rounded before they are added, and alpha's, beta's and the bias's
    // terms are.
    const double walk = 0.18037 * u2 * a2 * (fmax(z * z / k, k * s * s / 3) + k * sums.q / 2);
    const double terms = fabs(out.reference.re.hi) + reference.addend_g;
    const double rest = u2 * (a2 * sums.q + terms * terms);
    const double flushed = (k + 1) * bound.underflow * (1 + reference.alpha);
    const double beyond = (e - flushed) * (e - flushed) / (kUnlikelySigmas * kUnlikelySigmas);
    if (e <= flushed || beyond <= walk + rest) return;
    if (stats.excused >= kMostExcused || stats.unlikely_ratio > 1 || stats.mismatches > 0) return;
    const double repeats = look.from_repeats();
    double worst = walk * repeats;
    if (beyond > worst + rest) {
        for_each_order(params.problem.k, [&](const SumOrder& order) {
            const OrderNoise noise = noise_of(order, params.problem.k, bound.accumulator_bits, look.products);
            const double strayed = 2 * noise.strayed / kUnlikelySigmas;
            worst = fmax(worst, a2 * fmax(noise.variance * repeats, strayed * strayed));
            return beyond <= worst + rest;
        });
    }
    if (beyond <= worst + rest) {
        ++stats.excused;
        return;
    }
    stats.unlikely_ratio = e / (kUnlikelySigmas * sqrt(worst + rest) + flushed);
    stats.unlikely_eta = e / (bound.u * out.g);
    stats.unlikely_value = out.value.re;
    stats.unlikely_reference = out.reference.re.hi;
    stats.unlikely_share = e * e / (a2 * sums.q);
    stats.unlikely_index = index;
}

template <class Products>
FUMI_DEVICE_CALL void judge_element(ErrorStats& stats, const Memory& memory, const GemmCheckParams& params,
                                    const Factors& factors, const ElementSums& sums, const Position& at,
                                    bool complex, const Products& products) {
    const GemmProblem& problem = params.problem;
    const BoundNumbers& bound = params.bound;
    const std::int64_t index = at.row + problem.m * (at.column + problem.n * at.batch);
    const Reference reference = reference_of(memory, problem, factors, sums, at);
    const double accumulation = accumulation_bound(bound, problem, factors, reference, complex);
    const double raw_g = fmax(factors.product ? sums.g : 0.0, reference.product_g + reference.addend_g);
    SecondLook<Products> look{factors.product ? problem.k : 0, bound.accumulator_bits, sums.g, products};
    const auto allowed = [&](double inflation) {
        return accumulation_bound(bound, problem, factors, reference, complex, inflation);
    };

    Output out = activated(problem, bound, factors, reference, accumulation);
    out.value = read_matrix(memory, problem.d, at.row, at.column, at.batch);
    if (!settle_nonfinite(stats, bound, out, raw_g, index)) {
        const Output unsaturated = out;
        saturate(out);
        widen(stats, bound, look, allowed, out);
        compare(stats, bound, out, index, false);
        const bool linear = problem.activation == Activation::none ||
                            (problem.activation == Activation::relu && reference.value.re.hi > accumulation);
        if (linear && factors.product && out.reference.re.hi == unsaturated.reference.re.hi) {
            count_bits(stats, bound, problem, sums, reference, out, factors.scale_d,
                       [&] { return look.from_repeats(); });
            if (params.unlikely != 0) judge_unlikely(stats, params, sums, reference, out, index, look);
        }
    }
    if (problem.aux.type == DataType::none) return;
    Output aux;
    aux.reference = reference.value;
    aux.value = read_matrix(memory, problem.aux, at.row, at.column, at.batch);
    aux.type = problem.aux.type;
    aux.bound = accumulation;
    aux.gain = 1;
    aux.g = reference.product_g + reference.addend_g;
    aux.may_mask_nan = false;
    if (settle_nonfinite(stats, bound, aux, raw_g, index)) return;
    widen(stats, bound, look, allowed, aux);
    compare(stats, bound, aux, index, true);
}

}  // namespace fumi::FUMI_TARGET
