#include "tests/kernels/support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "kernels/host_bodies.h"

namespace fumi::test {
namespace {

std::map<std::string, SoftcudaKernelBody>& bodies() {
    static std::map<std::string, SoftcudaKernelBody> all;
    return all;
}

int note_body(const char* name, SoftcudaKernelBody body, const uint32_t*, uint32_t) {
    return bodies().emplace(name, body).second ? 0 : -1;
}

}  // namespace

SoftcudaKernelBody body_of(const char* name) {
    static const bool registered = register_host_bodies(note_body);
    return registered ? bodies().at(name) : nullptr;
}

namespace {

DataType part_of(DataType type) {
    if (type == DataType::c64) return DataType::f64;
    if (type == DataType::c16) return DataType::f16;
    return type == DataType::c32 ? DataType::f32 : type;
}

double decode_small(unsigned raw, int exponent_bits, int mantissa_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(raw >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const int mantissa = static_cast<int>(raw) & ((1 << mantissa_bits) - 1);
    const double sign = (raw >> (exponent_bits + mantissa_bits)) != 0 ? -1 : 1;
    const bool top = exponent == (1 << exponent_bits) - 1;
    if (top && exponent_bits == 5) return mantissa != 0 ? NAN : sign * INFINITY;
    if (top && mantissa == 7) return NAN;
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

// The nearest of the 256 numbers; even mantissa at a tie, as neighbours differ in the last bit.
std::uint8_t encode_fp8(double value, int exponent_bits, int mantissa_bits) {
    if (std::isnan(value)) return 0x7f;
    const double largest = exponent_bits == 4 ? 448 : 57344;
    const double wanted = std::clamp(value, -largest, largest);
    unsigned best = 0;
    double distance = INFINITY;
    for (unsigned raw = 0; raw < 256; ++raw) {
        const double d = std::fabs(decode_small(raw, exponent_bits, mantissa_bits) - wanted);
        if (d < distance || (d == distance && raw % 2 == 0 && best % 2 == 1)) {
            best = raw;
            distance = d;
        }
    }
    return static_cast<std::uint8_t>(best);
}

std::uint16_t encode_fp16(double value) {
    const unsigned sign = std::signbit(value) ? 0x8000U : 0U;
    const double size = std::fabs(value);
    unsigned raw = 0;
    if (std::isnan(value)) {
        raw = 0x7e00;
    } else if (size >= 65520) {
        raw = 0x7c00;
    } else if (size > 0) {
        const int exponent = std::max(std::ilogb(size), -14);
        // A mantissa that rounds up to 2048 carries into the exponent by itself.
        raw = static_cast<unsigned>((exponent + 14) * 1024 +
                                    static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent))));
    }
    return static_cast<std::uint16_t>(sign | raw);
}

template <class T>
void put(void* at, T value) {
    std::memcpy(at, &value, sizeof value);
}
template <class T>
T get(const void* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

const std::uint8_t* element_at(const MatrixView& view, std::int64_t row, std::int64_t col,
                               std::int64_t batch) {
    const bool pointers = view.batch_pointers != nullptr;
    const void* base = pointers ? view.batch_pointers[batch] : view.data;
    const std::int64_t index =
        row * view.row_stride + col * view.col_stride + (pointers ? 0 : batch * view.batch_stride);
    return static_cast<const std::uint8_t*>(base) + index * element_bytes(view.type);
}

std::complex<double> scalar(const ScalarValue& s) {
    if (s.device == nullptr) return {s.re, s.im};
    const auto part = part_of(s.type);
    const auto* at = static_cast<const std::uint8_t*>(s.device);
    return {decode(part, at), is_complex(s.type) ? decode(part, at + element_bytes(part)) : 0.0};
}

double scale(const Scale& s, std::int64_t index) {
    if (s.kind == ScaleKind::none) return 1;
    return s.device[s.kind == ScaleKind::outer ? index : 0];
}

}  // namespace

double decode(DataType type, const void* at) {
    switch (type) {
        case DataType::f64:
            return get<double>(at);
        case DataType::f16:
            return decode_small(get<std::uint16_t>(at), 5, 10);
        case DataType::bf16:
            return get<float>(std::vector<std::uint16_t>{0, get<std::uint16_t>(at)}.data());
        case DataType::e4m3:
            return decode_small(get<std::uint8_t>(at), 4, 3);
        case DataType::e5m2:
            return decode_small(get<std::uint8_t>(at), 5, 2);
        case DataType::i8:
            return get<std::int8_t>(at);
        case DataType::i32:
            return get<std::int32_t>(at);
        default:
            return get<float>(at);
    }
}

double round_to(double value, int bits) {
    if (value == 0 || !std::isfinite(value)) return value;
    int exponent = 0;
    const double fraction = std::frexp(value, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
}

double truncate_to(double value, int bits) {
    if (value == 0 || !std::isfinite(value)) return value;
    int exponent = 0;
    const double fraction = std::frexp(value, &exponent);
    return std::ldexp(std::trunc(std::ldexp(fraction, bits)), exponent - bits);
}

void encode(DataType type, double value, void* at) {
    switch (type) {
        case DataType::f64:
            return put(at, value);
        case DataType::f16:
            return put(at, encode_fp16(value));
        case DataType::bf16: {
            std::uint32_t raw =
                get<std::uint32_t>(std::vector<float>{static_cast<float>(round_to(value, 8))}.data());
            if (std::isnan(value)) raw = 0x7fc00000;
            return put(at, static_cast<std::uint16_t>(raw >> 16));
        }
        case DataType::e4m3:
            return put(at, encode_fp8(value, 4, 3));
        case DataType::e5m2:
            return put(at, encode_fp8(value, 5, 2));
        case DataType::i8:
            return put(at, static_cast<std::int8_t>(std::clamp(std::nearbyint(value), -128.0, 127.0)));
        case DataType::i32:
            return put(at, static_cast<std::int32_t>(std::nearbyint(value)));
        default:
            return put(at, static_cast<float>(value));
    }
}

std::complex<double> read(const MatrixView& view, std::int64_t row, std::int64_t col, std::int64_t batch) {
    const std::uint8_t* at = element_at(view, row, col, batch);
    const DataType part = part_of(view.type);
    if (!is_complex(view.type)) return decode(part, at);
    const double im = decode(part, at + element_bytes(part));
    return {decode(part, at), view.conjugate ? -im : im};
}

void write(const MatrixView& view, std::int64_t row, std::int64_t col, std::int64_t batch,
           std::complex<double> value) {
    auto* at = const_cast<std::uint8_t*>(element_at(view, row, col, batch));
    const DataType part = part_of(view.type);
    encode(part, value.real(), at);
    if (is_complex(view.type)) encode(part, value.imag(), at + element_bytes(part));
}

Workload::Workload(const Shape& shape, DataType a, DataType b, DataType c, DataType d) {
    problem.m = shape.m;
    problem.n = shape.n;
    problem.k = shape.k;
    problem.batch = shape.batch;
    problem.a.type = a;
    problem.b.type = b;
    problem.c.type = c;
    problem.d.type = d;
    problem.beta.re = 0;
    for (MatrixView* view : {&problem.a, &problem.b, &problem.c, &problem.d})
        lay_out(*view, Layout::columns, 0, false);
}

void* Workload::bytes(std::size_t size) {
    memory_.emplace_back(size / 8 + 1);
    return memory_.back().data();
}

void Workload::lay_out(MatrixView& view, Layout layout, int padding, bool pointers) {
    const std::int64_t rows = &view == &problem.b ? problem.k : problem.m;
    const std::int64_t columns = &view == &problem.a ? problem.k : problem.n;
    view.row_stride = layout == Layout::columns ? 1 : columns + padding;
    view.col_stride = layout == Layout::columns ? rows + padding : 1;
    view.batch_stride =
        (layout == Layout::columns ? view.col_stride * columns : view.row_stride * rows) + padding;
    const auto size = static_cast<std::size_t>(view.batch_stride * element_bytes(view.type));
    auto* data = static_cast<std::uint8_t*>(bytes(size * static_cast<std::size_t>(problem.batch)));
    view.data = data;
    if (!pointers) return;
    auto* list = static_cast<const void**>(bytes(sizeof(void*) * static_cast<std::size_t>(problem.batch)));
    // Backwards, so that a batch stride taken instead of the pointers is found.
    for (std::int64_t i = 0; i < problem.batch; ++i) {
        list[i] = data + static_cast<std::size_t>(problem.batch - 1 - i) * size;
    }
    view.batch_pointers = list;
    view.data = nullptr;
}

void Workload::fill(const std::function<double()>& draw) {
    const auto fill_one = [&](const MatrixView& view, std::int64_t rows, std::int64_t columns) {
        for (std::int64_t batch = 0; batch < problem.batch; ++batch) {
            for (std::int64_t col = 0; col < columns; ++col) {
                for (std::int64_t row = 0; row < rows; ++row) {
                    const double re = draw();
                    write(view, row, col, batch, {re, is_complex(view.type) ? draw() : 0});
                }
            }
        }
    };
    fill_one(problem.a, problem.m, problem.k);
    fill_one(problem.b, problem.k, problem.n);
    fill_one(problem.c, problem.m, problem.n);
}

NaiveElement naive(const GemmProblem& p, std::int64_t row, std::int64_t col, std::int64_t batch,
                   bool activate) {
    NaiveElement sum;
    const std::complex<double> alpha = scalar(p.alpha), beta = scalar(p.beta);
    const double ab_scale = scale(p.scale_a, row) * scale(p.scale_b, col);
    Quad re = 0, im = 0;
    for (std::int64_t k = 0; k < p.k && alpha != 0.0; ++k) {
        const auto a = read(p.a, row, k, batch), b = read(p.b, k, col, batch);
        re += Quad(a.real()) * b.real() - Quad(a.imag()) * b.imag();
        im += Quad(a.real()) * b.imag() + Quad(a.imag()) * b.real();
        sum.g += std::abs(alpha) * ab_scale * std::abs(a) * std::abs(b);
    }
    const Quad s = Quad(scale(p.scale_a, row)) * scale(p.scale_b, col);
    sum.re = s * (re * alpha.real() - im * alpha.imag());
    sum.im = s * (re * alpha.imag() + im * alpha.real());
    if (beta != 0.0) {
        const auto c = read(p.c, row, col, batch);
        const Quad c_re = Quad(c.real()) * scale(p.scale_c, 0), c_im = Quad(c.imag()) * scale(p.scale_c, 0);
        sum.re += c_re * beta.real() - c_im * beta.imag();
        sum.im += c_re * beta.imag() + c_im * beta.real();
        sum.g += std::abs(beta) * std::abs(c) * scale(p.scale_c, 0);
    }
    if (p.bias != nullptr) {
        MatrixView bias{p.bias, nullptr, 1, 0, p.bias_batch_stride, p.bias_type, false};
        const auto value = read(bias, row, 0, batch);
        sum.re += value.real();
        sum.im += value.imag();
        sum.g += std::abs(value);
    }
    if (!activate) return sum;
    if (p.activation == Activation::relu && sum.re < 0) sum.re = 0;
    if (p.activation == Activation::gelu_tanh) {
        const auto x = static_cast<double>(sum.re);
        sum.re = x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * std::pow(x, 3))));
    }
    const double scale_d = scale(p.scale_d, 0);
    sum.re *= scale_d;
    sum.im *= scale_d;
    sum.g *= scale_d;
    return sum;
}

void Workload::compute_exactly() {
    for (std::int64_t batch = 0; batch < problem.batch; ++batch) {
        for (std::int64_t col = 0; col < problem.n; ++col) {
            for (std::int64_t row = 0; row < problem.m; ++row) {
                const NaiveElement r = naive(problem, row, col, batch);
                write(problem.d, row, col, batch, {static_cast<double>(r.re), static_cast<double>(r.im)});
                if (problem.aux.type == DataType::none) continue;
                const NaiveElement pre = naive(problem, row, col, batch, false);
                write(problem.aux, row, col, batch,
                      {static_cast<double>(pre.re), static_cast<double>(pre.im)});
            }
        }
    }
}

ErrorStats naive_stats(const GemmProblem& p, const BoundNumbers& bound) {
    ErrorStats stats;
    for (std::int64_t i = 0; i < p.m * p.n * p.batch; ++i) {
        const std::int64_t row = i % p.m, col = i / p.m % p.n, batch = i / p.m / p.n;
        const NaiveElement r = naive(p, row, col, batch);
        const auto d = read(p.d, row, col, batch);
        const double e = std::abs(
            std::complex<double>(static_cast<double>(d.real() - r.re), static_cast<double>(d.imag() - r.im)));
        const double size =
            std::abs(std::complex<double>(static_cast<double>(r.re), static_cast<double>(r.im)));
        ++stats.elements;
        stats.max_abs_err = std::max(stats.max_abs_err, e);
        if (r.g > 0) stats.max_eta = std::max(stats.max_eta, e / (bound.u * r.g));
        stats.sum_g += r.g;
        stats.sum_abs_r += size;
        if (size <= 0) continue;
        ++stats.rel_elements;
        stats.max_rel_err = std::max(stats.max_rel_err, e / size);
        stats.sum_rel_err2 += e / size * (e / size);
        stats.max_kappa = std::max(stats.max_kappa, r.g / size);
    }
    return stats;
}

void run_blocks(const GemmCheckPlan& plan, const GemmCheckParams& params) {
    GemmCheckParams copy = params;
    void* args[] = {&copy};
    for (unsigned i = 0; i < plan.blocks; ++i) {
        SoftcudaBlock block{{plan.blocks, 1, 1}, {kCheckThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
        body_of(plan.kernel)(&block);
    }
}

ErrorStats run_checksum(const GemmProblem& problem, const Contract& contract, const ChecksumChoice& choice) {
    const ChecksumPlan plan = plan_checksum(problem, choice, std::size_t{32} << 20, std::size_t{1} << 20);
    std::vector<double> sums(plan.sums_bytes / sizeof(double));
    std::vector<ErrorStats> partials(plan.row_blocks);
    ChecksumParams params = plan.params;
    params.bound = contract.bound;
    params.reduction_error = contract.reduction_error;
    params.sums = sums.data();
    params.partials = partials.data();
    const auto launch = [&](const char* kernel, unsigned blocks) {
        void* args[] = {&params};
        for (unsigned i = 0; i < blocks; ++i) {
            SoftcudaBlock block{{blocks, 1, 1}, {kCheckThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
            body_of(kernel)(&block);
        }
    };
    launch(kernel_name::checksum_columns, plan.column_blocks);
    launch(kernel_name::checksum_rows, plan.row_blocks);
    ErrorStats all;
    for (const ErrorStats& partial : partials) merge_stats(all, partial);
    return all;
}

PrecisionStats run_precision(const GemmProblem& problem, const Contract& contract, std::uint64_t seed) {
    std::vector<PrecisionEntry> entries(kPrecisionEntries);
    PrecisionSlot slot;
    PrecisionParams params = make_precision_params(problem, contract, seed, entries.data(), &slot, 1);
    void* args[] = {&params};
    for (unsigned i = 0; i < kPrecisionEntries; ++i) {
        SoftcudaBlock block{
            {kPrecisionEntries, 1, 1}, {kPrecisionThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
        body_of(kPrecisionKernel)(&block);
    }
    SoftcudaBlock block{{1, 1, 1}, {kPrecisionThreads, 1, 1}, {0, 0, 0}, args, nullptr, 0, 0, 0};
    body_of(kPrecisionMergeKernel)(&block);
    PrecisionStats stats;
    return read_precision(slot, stats, 1) ? stats : PrecisionStats{};
}

void run_merge(const GemmCheckPlan& plan, const std::vector<ErrorStats>& partials, ResultSlot& slot,
               std::uint64_t sequence, MergeMode mode) {
    MergeParams params = make_merge_params(plan, partials.data(), &slot, sequence, mode);
    void* args[] = {&params};
    SoftcudaBlock block{{1, 1, 1}, {kMergeThreads, 1, 1}, {0, 0, 0}, args, nullptr, 0, 0, 0};
    body_of(kMergeKernel)(&block);
}

ErrorStats run_check(const GemmProblem& problem, const Contract& contract, const Coverage& coverage,
                     std::size_t ceiling) {
    const GemmCheckPlan plan = plan_gemm_check(problem, coverage, ceiling);
    if (plan.kernel == nullptr) return {};
    std::vector<ErrorStats> partials(plan.blocks);
    run_blocks(plan, make_check_params(problem, contract, coverage, partials.data()));
    ResultSlot slot;
    run_merge(plan, partials, slot, 1, MergeMode::once);
    return slot.stats;
}

ErrorStats run_check(const GemmProblem& problem, const Contract& contract) {
    return run_check(problem, contract, full_coverage(problem));
}

const char* name(Distribution distribution) {
    switch (distribution) {
        case Distribution::normal:
            return "normal";
        case Distribution::positive:
            return "uniform positive";
        case Distribution::uniform:
            return "uniform +-1";
        case Distribution::heavy:
            return "log-normal, heavy tail";
        case Distribution::cancelling:
            return "sparse and cancelling";
    }
    return "";
}

std::function<double()> draws(Distribution distribution, std::mt19937_64& g) {
    using Uniform = std::uniform_real_distribution<double>;
    switch (distribution) {
        case Distribution::positive:
            return [&g] { return Uniform(0, 1)(g); };
        case Distribution::uniform:
            return [&g] { return Uniform(-1, 1)(g); };
        case Distribution::heavy:
            return [&g] {
                return (g() % 2 != 0 ? 1 : -1) * std::exp(2 * std::normal_distribution<double>()(g));
            };
        case Distribution::cancelling: {
            // Runs of equal size and both signs, and zeros: sums that grow and come back.
            auto state = std::make_shared<std::pair<int, double>>(0, 1.0);
            return [&g, state] {
                if (state->first-- <= 0)
                    *state = {static_cast<int>(g() % 16), (g() % 2 != 0 ? 1 : -1) * Uniform(0.9, 1.1)(g)};
                return g() % 4 == 0 ? 0.0 : state->second;
            };
        }
        default:
            return [&g] { return std::normal_distribution<double>()(g); };
    }
}

}  // namespace fumi::test
