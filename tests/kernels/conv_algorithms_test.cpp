// Convolutions by Winograd's transforms and by FFT, emulated in fp32: within the bounds of their algorithms,
// which are wider than that of a direct sum, and named.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "tests/kernels/conv_support.h"

namespace fumi::test {
namespace {

// ------------------------------------------------------------------------------------------ Winograd F(m, 3)
// y = A^T [ (G g) o (B^T d) ] in each dimension (Lavin and Gray, CVPR 2016), all in fp32.
struct Transform {
    int outputs;
    std::vector<std::vector<float>> at, g, bt;
};
const Transform kF2 = {2,
                       {{1, 1, 1, 0}, {0, 1, -1, -1}},
                       {{1, 0, 0}, {0.5F, 0.5F, 0.5F}, {0.5F, -0.5F, 0.5F}, {0, 0, 1}},
                       {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}}};
const Transform kF4 = {4,
                       {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}},
                       {{1.F / 4, 0, 0},
                        {-1.F / 6, -1.F / 6, -1.F / 6},
                        {-1.F / 6, 1.F / 6, -1.F / 6},
                        {1.F / 24, 1.F / 12, 1.F / 6},
                        {1.F / 24, -1.F / 12, 1.F / 6},
                        {0, 0, 1}},
                       {{4, 0, -5, 0, 1, 0},
                        {0, -4, -4, 1, 1, 0},
                        {0, 4, -4, -1, 1, 0},
                        {0, -2, -1, 2, 1, 0},
                        {0, 2, -1, -2, 1, 0},
                        {0, 4, 0, -5, 0, 1}}};

using Matrix = std::vector<std::vector<float>>;

Matrix multiply(const Matrix& a, const Matrix& b) {
    Matrix c(a.size(), std::vector<float>(b[0].size(), 0.F));
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < b[0].size(); ++j)
            for (std::size_t k = 0; k < b.size(); ++k) c[i][j] += a[i][k] * b[k][j];
    return c;
}
Matrix transposed(const Matrix& a) {
    Matrix t(a[0].size(), std::vector<float>(a.size()));
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < t.size(); ++j) t[j][i] = a[i][j];
    return t;
}
// m x m^T
Matrix both_sides(const Matrix& m, const Matrix& x) {
    return multiply(multiply(m, x), transposed(m));
}
void add_products(Matrix& sum, const Matrix& a, const Matrix& b) {
    for (std::size_t i = 0; i < sum.size(); ++i)
        for (std::size_t j = 0; j < sum.size(); ++j) sum[i][j] = std::fmaf(a[i][j], b[i][j], sum[i][j]);
}
Matrix zeros(std::size_t size) {
    return {size, std::vector<float>(size, 0.F)};
}

// size x size elements of a plane from (row, column) on, 0 outside.
Matrix patch(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t row, std::int64_t column,
             int size) {
    Matrix d = zeros(static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j)
            if (row + i >= 0 && row + i < t.view.size[2] && column + j >= 0 && column + j < t.view.size[3])
                d[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
                    static_cast<float>(t.get({n, c, row + i, column + j}));
    return d;
}
Matrix turned(const Matrix& filter) {
    return {{filter[2][2], filter[2][1], filter[2][0]},
            {filter[1][2], filter[1][1], filter[1][0]},
            {filter[0][2], filter[0][1], filter[0][0]}};
}

// Calls f(n, row, column) for the first element of every m x m tile of the outputs.
void for_each_tile(const TensorView& outputs, int m,
                   const std::function<void(std::int64_t n, std::int64_t row, std::int64_t column)>& f) {
    for (std::int64_t n = 0; n < outputs.size[0]; ++n)
        for (std::int64_t row = 0; row < outputs.size[2]; row += m)
            for (std::int64_t column = 0; column < outputs.size[3]; column += m) f(n, row, column);
}
// m x m^T of a patch of every channel.
std::vector<Matrix> transformed(const Matrix& m, const Tensor& of, std::int64_t n, std::int64_t row,
                                std::int64_t column, int size) {
    std::vector<Matrix> all;
    for (std::int64_t c = 0; c < of.view.size[1]; ++c)
        all.push_back(both_sides(m, patch(of, n, c, row, column, size)));
    return all;
}
void write(Tensor& to, std::int64_t n, std::int64_t c, std::int64_t row, std::int64_t column,
           const Matrix& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        for (std::size_t j = 0; j < values.size(); ++j) {
            const std::int64_t h = row + static_cast<std::int64_t>(i),
                               w = column + static_cast<std::int64_t>(j);
            if (h < to.view.size[2] && w < to.view.size[3])
                to.set({n, c, h, w}, static_cast<double>(values[i][j]));
        }
    }
}

// Forward, or backward data with filters turned: 3 x 3, stride 1, padding 1.
void winograd(Conv& conv, const Transform& f) {
    const bool forward = conv.p.direction == ConvDirection::forward;
    Tensor &to = conv.output(), &from = forward ? conv.x : conv.y;
    const std::int64_t outputs = to.view.size[1], inputs = from.view.size[1];
    const int m = f.outputs, tile = m + 2;
    std::vector<Matrix> filters;
    for (std::int64_t k = 0; k < outputs; ++k)
        for (std::int64_t c = 0; c < inputs; ++c)
            filters.push_back(both_sides(
                f.g, forward ? patch(conv.w, k, c, 0, 0, 3) : turned(patch(conv.w, c, k, 0, 0, 3))));
    for_each_tile(to.view, m, [&](std::int64_t n, std::int64_t row, std::int64_t column) {
        const std::vector<Matrix> d = transformed(f.bt, from, n, row - 1, column - 1, tile);
        for (std::int64_t k = 0; k < outputs; ++k) {
            Matrix sum = zeros(static_cast<std::size_t>(tile));
            for (std::size_t c = 0; c < d.size(); ++c)
                add_products(sum, filters[static_cast<std::size_t>(k) * d.size() + c], d[c]);
            write(to, n, k, row, column, both_sides(f.at, sum));
        }
    });
}

// The filter's gradient by the transposed algorithm: G^T [ (A dy) o (B^T x) ].
void winograd_filter(Conv& conv, const Transform& f) {
    const std::int64_t outputs = conv.w.view.size[0], inputs = conv.w.view.size[1];
    const int m = f.outputs, tile = m + 2;
    const Matrix a = transposed(f.at), gt = transposed(f.g);
    std::vector<Matrix> sums(static_cast<std::size_t>(outputs * inputs),
                             zeros(static_cast<std::size_t>(tile)));
    for_each_tile(conv.y.view, m, [&](std::int64_t n, std::int64_t row, std::int64_t column) {
        const std::vector<Matrix> dy = transformed(a, conv.y, n, row, column, m),
                                  d = transformed(f.bt, conv.x, n, row - 1, column - 1, tile);
        for (std::size_t k = 0; k < dy.size(); ++k)
            for (std::size_t c = 0; c < d.size(); ++c) add_products(sums[k * d.size() + c], dy[k], d[c]);
    });
    for (std::int64_t k = 0; k < outputs; ++k)
        for (std::int64_t c = 0; c < inputs; ++c)
            write(conv.w, k, c, 0, 0, both_sides(gt, sums[static_cast<std::size_t>(k * inputs + c)]));
}

// ------------------------------------------------------------------------------------------------------- FFT
using Complex32 = std::complex<float>;
constexpr std::size_t kPlane = 16;  // positions and taps of the cases together, as a power of two

void fft(Complex32* x, std::size_t stride, bool inverse) {
    for (std::size_t i = 1, j = 0; i < kPlane; ++i) {
        std::size_t bit = kPlane / 2;
        for (; (j & bit) != 0; bit /= 2) j ^= bit;
        j ^= bit;
        if (i < j) std::swap(x[i * stride], x[j * stride]);
    }
    for (std::size_t size = 2; size <= kPlane; size *= 2) {
        for (std::size_t i = 0; i < size / 2; ++i) {
            const double angle =
                (inverse ? 2 : -2) * std::numbers::pi * static_cast<double>(i) / static_cast<double>(size);
            const Complex32 root(static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle)));
            for (std::size_t at = i; at < kPlane; at += size) {
                const Complex32 a = x[at * stride], b = x[(at + size / 2) * stride] * root;
                x[at * stride] = a + b;
                x[(at + size / 2) * stride] = a - b;
            }
        }
    }
}
struct Spectrum {
    std::vector<Complex32> of = std::vector<Complex32>(kPlane * kPlane);
    void transform(bool inverse) {
        for (std::size_t i = 0; i < kPlane; ++i) fft(&of[i * kPlane], 1, inverse);
        for (std::size_t j = 0; j < kPlane; ++j) fft(&of[j], kPlane, inverse);
    }
};
Spectrum spectrum(const Tensor& t, std::int64_t n, std::int64_t c) {
    Spectrum s;
    for (std::int64_t i = 0; i < t.view.size[2]; ++i)
        for (std::int64_t j = 0; j < t.view.size[3]; ++j)
            s.of[static_cast<std::size_t>(i) * kPlane + static_cast<std::size_t>(j)] =
                static_cast<float>(t.get({n, c, i, j}));
    s.transform(false);
    return s;
}

std::vector<Spectrum> spectra(const Tensor& t) {
    std::vector<Spectrum> all;
    for (std::int64_t n = 0; n < t.view.size[0]; ++n)
        for (std::int64_t c = 0; c < t.view.size[1]; ++c) all.push_back(spectrum(t, n, c));
    return all;
}

// Every output plane is a sum of correlations (backward data: convolutions) of planes, 3 x 3 with padding 1.
void by_fft(Conv& conv) {
    const ConvDirection direction = conv.p.direction;
    const bool forward = direction == ConvDirection::forward,
               data = direction == ConvDirection::backward_data;
    Tensor& to = conv.output();
    const Tensor &a_from = data ? conv.y : conv.x,
                 &b_from = direction == ConvDirection::backward_filter ? conv.y : conv.w;
    const std::vector<Spectrum> first = spectra(a_from), second = spectra(b_from);
    const auto of = [](const std::vector<Spectrum>& all, const Tensor& t, std::int64_t n,
                       std::int64_t c) -> const Spectrum& {
        return all[static_cast<std::size_t>(n * t.view.size[1] + c)];
    };
    const std::int64_t terms = forward ? conv.p.x.size[1] : (data ? conv.p.y.size[1] : conv.p.y.size[0]);
    for (std::int64_t a = 0; a < to.view.size[0]; ++a) {
        for (std::int64_t b = 0; b < to.view.size[1]; ++b) {
            Spectrum sum;
            for (std::int64_t t = 0; t < terms; ++t) {
                const Spectrum& one = forward || data ? of(first, a_from, a, t) : of(first, a_from, t, b);
                const Spectrum& two = forward ? of(second, b_from, b, t)
                                              : (data ? of(second, b_from, t, b) : of(second, b_from, t, a));
                for (std::size_t i = 0; i < sum.of.size(); ++i)
                    sum.of[i] += one.of[i] * (data ? two.of[i] : std::conj(two.of[i]));
            }
            sum.transform(true);
            for (std::int64_t i = 0; i < to.view.size[2]; ++i)
                for (std::int64_t j = 0; j < to.view.size[3]; ++j) {
                    const std::int64_t move = data ? 1 : -1;
                    const auto row = static_cast<std::size_t>(i + move) % kPlane,
                               column = static_cast<std::size_t>(j + move) % kPlane;
                    to.set({a, b, i, j},
                           static_cast<double>(sum.of[row * kPlane + column].real() / (kPlane * kPlane)));
                }
        }
    }
}

// ------------------------------------------------------------------------------------------------------
// tests
enum class By { f2, f4, fft };
void compute(Conv& conv, By by) {
    const Transform& f = by == By::f2 ? kF2 : kF4;
    if (by == By::fft) {
        by_fft(conv);
    } else if (conv.p.direction == ConvDirection::backward_filter) {
        winograd_filter(conv, f);
    } else {
        winograd(conv, f);
    }
}

DnnContract contract_by(ConvAlgorithm algorithm, int outputs) {
    ConvFacts facts;
    facts.ieee = true;
    facts.algorithm = algorithm;
    facts.winograd_outputs = outputs;
    return contract_for(facts);
}

struct Kind {
    const char* name;
    By by;
    ConvAlgorithm algorithm;
    int outputs;
    const char* says;
};
const Kind kKinds[] = {{"F(2, 3)", By::f2, ConvAlgorithm::winograd, 2, "Winograd F(2, 3)"},
                       {"F(4, 3)", By::f4, ConvAlgorithm::winograd, 4, "Winograd F(4, 3)"},
                       {"FFT", By::fft, ConvAlgorithm::fft, 0, "FFT"}};

// The largest error in units of the algorithm's bound. Errors are made 4096 times as large: the bound of a
// direct sum is tried first, and what it explains is not asked of the algorithm.
double largest_ratio(Conv& conv, const DnnContract& contract) {
    constexpr double larger = 4096;
    const std::vector<Conv::Terms> all = conv.terms();
    for (std::int64_t i = 0; i < conv.output().count(); ++i) {
        const Conv::Terms& t = all[static_cast<std::size_t>(i)];
        double exact = 0;
        for (std::size_t k = 0; k < t.a.size(); ++k) exact += t.a[k] * t.b[k];
        conv.output().put(i, exact + larger * (conv.output()[i] - exact));
    }
    return run_dnn(conv.p, contract).max_ratio / larger;
}

TEST(ConvAlgorithms, AreWithinTheirOwnBound) {
    std::mt19937_64 g(6);
    for (const Kind& kind : kKinds) {
        const DnnContract own = contract_by(kind.algorithm, kind.outputs),
                          direct = contract_by(ConvAlgorithm::direct, 0),
                          unknown = contract_by(ConvAlgorithm::unknown, 4);
        double worst = 0;
        int flagged = 0;
        for (const std::int64_t channels : {1, 6}) {
            for (const Distribution d : kDistributions) {
                for (const ConvDirection direction : kDirections) {
                    Conv conv({.in = channels, .out = channels, .size = {9, 11}}, direction, DataType::f32,
                              draws(d, g));
                    compute(conv, kind.by);
                    const Assessment a = assess(run_dnn(conv.p, own), own, conv.p);
                    ASSERT_EQ(a.verdict, Judgement::pass) << kind.name << " " << name(d) << ": " << a.reason;
                    ASSERT_NE(a.reason.find(kind.says), std::string::npos) << a.reason;
                    // Where the algorithm is not known, none of them is a fault; a direct sum is no such
                    // thing.
                    const Assessment open = assess(run_dnn(conv.p, unknown), unknown, conv.p);
                    ASSERT_EQ(open.verdict, Judgement::pass) << open.reason;
                    ASSERT_NE(open.reason.find("algorithm not known"), std::string::npos) << open.reason;
                    flagged +=
                        assess(run_dnn(conv.p, direct), direct, conv.p).verdict != Judgement::pass ? 1 : 0;
                    worst = std::max(worst, largest_ratio(conv, own));
                }
            }
        }
        Largest(kind.name).note(worst);
        EXPECT_LT(worst, 0.5) << kind.name;
        EXPECT_GT(flagged, 0) << kind.name;
    }
}

TEST(ConvAlgorithms, FaultsFail) {
    std::mt19937_64 g(7);
    for (const Kind& kind : kKinds) {
        for (const ConvDirection direction : kDirections) {
            Conv conv({.in = 12, .out = 12, .size = {9, 11}}, direction, DataType::f32,
                      draws(Distribution::normal, g));
            compute(conv, kind.by);
            conv.output().put(5, conv.output()[5] + 0.25);
            const DnnContract own = contract_by(kind.algorithm, kind.outputs);
            EXPECT_EQ(assess(run_dnn(conv.p, own), own, conv.p).verdict, Judgement::fail) << kind.name;
        }
    }
}

}  // namespace
}  // namespace fumi::test
