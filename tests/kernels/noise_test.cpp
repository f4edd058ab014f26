// add_noise: every kind moves what it should and by how much, and what N noisy results say about the data.
#include "kernels/noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tests/kernels/support.h"

namespace fumi::test {
namespace {

void launch(const char* kernel, unsigned blocks, void* params) {
    void* args[] = {params};
    for (unsigned i = 0; i < blocks; ++i) {
        SoftcudaBlock block{{blocks, 1, 1}, {kCheckThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
        body_of(kernel)(&block);
    }
}

ErrorStats merged(const std::vector<ErrorStats>& partials) {
    ErrorStats all;
    for (const ErrorStats& partial : partials) merge_stats(all, partial);
    return all;
}

Strided row(const void* data, DataType type, std::size_t count) {
    Strided view;
    view.data = data;
    view.type = type;
    view.size[0] = static_cast<std::int64_t>(count);
    view.stride[0] = 1;
    return view;
}

template <class Raw>
struct Moved {
    std::vector<Raw> values;
    ErrorStats sums;
};

template <class Raw>
Moved<Raw> moved(const std::vector<Raw>& from, DataType type, const NoiseChoice& choice, int bits = 0,
                 unsigned blocks = 3) {
    const char* reason = nullptr;
    NoiseParams params = noise_for(choice, type, bits > 0 ? bits : precision_bits(type), reason);
    EXPECT_EQ(reason, nullptr);
    Moved<Raw> result{std::vector<Raw>(from.size()), {}};
    std::vector<ErrorStats> partials(blocks);
    params.from = row(from.data(), type, from.size());
    params.to = result.values.data();
    params.seed = choice.seed;
    params.partials = partials.data();
    launch(kernel_name::add_noise, blocks, &params);
    result.sums = merged(partials);
    return result;
}

template <class Raw>
double value(DataType type, Raw raw) {
    return decode(type, &raw);
}

template <class Raw>
Raw magnitude(Raw raw) {
    return static_cast<Raw>(raw & static_cast<Raw>(static_cast<Raw>(~Raw{0}) >> 1));
}

// All values of the small types, and of the large ones every sign and exponent with a few significands.
template <class Raw>
std::vector<Raw> all_values(int mantissa) {
    std::vector<Raw> values;
    if (sizeof(Raw) <= 2) {
        for (unsigned i = 0; i < 1u << (8 * sizeof(Raw)); ++i) values.push_back(static_cast<Raw>(i));
        return values;
    }
    const int exponents = 1 << (8 * sizeof(Raw) - 1 - static_cast<std::size_t>(mantissa));
    const Raw most = static_cast<Raw>((Raw{1} << mantissa) - 1);
    for (int e = 0; e < exponents; ++e)
        for (const Raw m : {Raw{0}, Raw{1}, static_cast<Raw>(most / 3), static_cast<Raw>(most - 1), most})
            for (const Raw sign : {Raw{0}, static_cast<Raw>(Raw{1} << (8 * sizeof(Raw) - 1))})
                values.push_back(
                    static_cast<Raw>(sign | static_cast<Raw>(static_cast<Raw>(e) << mantissa) | m));
    return values;
}

template <class F>
void for_each_type(F f) {
    f(DataType::e4m3, all_values<std::uint8_t>(3));
    f(DataType::e5m2, all_values<std::uint8_t>(2));
    f(DataType::f16, all_values<std::uint16_t>(10));
    f(DataType::bf16, all_values<std::uint16_t>(7));
    f(DataType::f32, all_values<std::uint32_t>(23));
    f(DataType::f64, all_values<std::uint64_t>(52));
}

TEST(Noise, RelativeNoiseMovesTheSmallestDoublesWithinItsSize) {
    std::vector<double> from;
    for (const double x : {5e-324, 3e-320, 0x1p-1023, 0x1.8p-1022, 0x1p-1021, 0x1.fp1022}) from.push_back(x);
    NoiseChoice choice;
    choice.kind = NoiseKind::relative;
    choice.size = 0.25;
    const auto result = moved(from, DataType::f64, choice);
    for (std::size_t i = 0; i < from.size(); ++i) {
        const double most = std::max(0.25 * from[i], 0x1p-1074);
        EXPECT_NEAR(result.values[i], from[i], most) << "element " << i;
    }
    EXPECT_NE(result.values[3], from[3]);
}

TEST(Noise, OneUlpMovesEachNumberToItsNeighbour) {
    for_each_type([](DataType type, const auto& from) {
        const auto to = moved(from, type, {}).values;
        std::size_t up = 0, numbers = 0;
        for (std::size_t i = 0; i < from.size(); ++i) {
            const double x = value(type, from[i]);
            if (x == 0 || !std::isfinite(x)) {
                EXPECT_EQ(to[i], from[i]) << type_name(type) << " " << x;
                continue;
            }
            const auto before = magnitude(from[i]), after = magnitude(to[i]);
            EXPECT_TRUE(std::isfinite(value(type, to[i]))) << type_name(type) << " " << x;
            EXPECT_TRUE(after == before + 1 || after + 1 == before) << type_name(type) << " " << x;
            EXPECT_EQ(from[i] - before, to[i] - after) << "the sign of " << x;
            ++numbers;
            up += after > before ? 1 : 0;
        }
        EXPECT_NEAR(static_cast<double>(up), 0.5 * static_cast<double>(numbers),
                    4 * std::sqrt(static_cast<double>(numbers)))
            << type_name(type);
    });
}

// A call that may convert its inputs to fewer bits sees noise in those alone.
TEST(Noise, CountsInTheBitsThatTheCallUses) {
    const auto from = all_values<std::uint32_t>(23);
    const auto to = moved(from, DataType::f32, {}, 11).values;
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (to[i] == from[i]) continue;
        const std::int64_t step = static_cast<std::int64_t>(to[i]) - static_cast<std::int64_t>(from[i]);
        EXPECT_EQ(std::abs(step), 1 << 13) << from[i];
    }
    CallFacts facts;
    EXPECT_EQ(noise_bits(DataType::f32, contract_for(facts)), 24);
    facts.tf32_allowed = true;
    EXPECT_EQ(noise_bits(DataType::f32, contract_for(facts)), 10);  // a truncated 11 errs by twice as much
    EXPECT_EQ(noise_bits(DataType::i8, contract_for(facts)), 0);
}

TEST(Noise, BitsFlipsOneOfTheLast) {
    for_each_type([](DataType type, const auto& from) {
        NoiseChoice choice;
        choice.kind = NoiseKind::bits;
        choice.places = 2;
        const auto to = moved(from, type, choice).values;
        std::size_t counts[2] = {};
        for (std::size_t i = 0; i < from.size(); ++i) {
            const double x = value(type, from[i]);
            const std::uint64_t change = from[i] ^ to[i];
            if (x == 0 || !std::isfinite(x)) {
                EXPECT_EQ(change, 0u) << type_name(type) << " " << x;
            } else if (change != 0) {
                EXPECT_TRUE(change == 1 || change == 2) << type_name(type) << " " << x;
                ++counts[change - 1];
            }
            EXPECT_EQ(std::isfinite(x), std::isfinite(value(type, to[i])));
        }
        const auto all = static_cast<double>(from.size());
        EXPECT_NEAR(static_cast<double>(counts[0]), 0.5 * all, 0.1 * all) << type_name(type);
        EXPECT_GT(counts[0] + counts[1], from.size() * 9 / 10) << type_name(type);
    });
}

TEST(Noise, RelativeIsUniformAndRoundedToNearest) {
    for_each_type([](DataType type, const auto& from) {
        NoiseChoice choice;
        choice.kind = NoiseKind::relative;
        choice.size = 0.25;
        const auto to = moved(from, type, choice).values;
        const double smallest = type == DataType::e4m3 ? 0x1p-9 : type == DataType::e5m2 ? 0x1p-16 : 0;
        double squares = 0, count = 0;
        for (std::size_t i = 0; i < from.size(); ++i) {
            const double x = value(type, from[i]), y = value(type, to[i]);
            if (x == 0 || !std::isfinite(x)) {
                EXPECT_EQ(to[i], from[i]);
                continue;
            }
            const double ulp = std::max(smallest, std::ldexp(std::fabs(x), 1 - precision_bits(type)));
            EXPECT_TRUE(std::fabs(y - x) <= 0.25 * std::fabs(x) + ulp || std::fabs(x) < 1e-4)
                << type_name(type) << " " << x << " to " << y;
            if (std::fabs(x) < 1 || std::fabs(x) > 100) continue;
            squares += (y - x) * (y - x) / (x * x);
            ++count;
        }
        const double wanted = 0.25 / std::sqrt(3.0);  // of a uniform number in (-0.25, 0.25)
        EXPECT_NEAR(std::sqrt(squares / count), wanted, (0.1 + 3 / std::sqrt(count)) * wanted)
            << type_name(type);
    });
}

// x + size in the type's own arithmetic, above the square root of size.
TEST(Noise, FixedIsThePythonFuMis) {
    NoiseChoice choice;
    choice.kind = NoiseKind::fixed;
    const std::vector<float> from = {0.2F, 3e-4F, 1.01e-4F, 0.99e-4F, 0.0F, -0.01F, INFINITY, 7.0F};
    std::vector<std::uint32_t> raw(from.size());
    std::memcpy(raw.data(), from.data(), from.size() * sizeof(float));
    const auto to = moved(raw, DataType::f32, choice).values;
    for (std::size_t i = 0; i < from.size(); ++i) {
        const float expected = std::fabs(from[i]) > 1e-4F ? from[i] + 1e-8F : from[i];
        EXPECT_EQ(std::bit_cast<float>(to[i]), expected) << from[i];
    }
    for (const auto& [type, size] :
         {std::pair{DataType::f64, 1e-16}, {DataType::f16, 1e-6}, {DataType::bf16, 1e-4}}) {
        const char* reason = nullptr;
        EXPECT_EQ(noise_for(choice, type, precision_bits(type), reason).size, size);
        EXPECT_EQ(reason, nullptr);
    }
    const char *fp8 = nullptr, *integer = nullptr;
    noise_for(choice, DataType::e4m3, 4, fp8);
    noise_for({}, DataType::i8, 0, integer);
    EXPECT_NE(fp8, nullptr);
    EXPECT_NE(integer, nullptr);
    EXPECT_EQ(noise_samples(NoiseKind::fixed, 5), 1);
}

TEST(Noise, TheSameSeedDrawsTheSameWhateverTheBlocks) {
    std::vector<std::uint32_t> from(5000);
    for (std::size_t i = 0; i < from.size(); ++i)
        from[i] = std::bit_cast<std::uint32_t>(1.0F + 0.001F * static_cast<float>(i));
    const NoiseChoice one{NoiseKind::ulp, 0, 2, 7}, other{NoiseKind::ulp, 0, 2, 8};
    EXPECT_EQ(moved(from, DataType::f32, one, 0, 1).values, moved(from, DataType::f32, one, 0, 9).values);
    EXPECT_NE(moved(from, DataType::f32, one).values, moved(from, DataType::f32, other).values);
}

TEST(Noise, LeavesWhatLiesBetweenTheElements) {
    std::vector<float> from(40, 1.0F), to(40, 9.0F);
    const char* reason = nullptr;
    NoiseParams params = noise_for({}, DataType::f32, 24, reason);
    MatrixView view{from.data(), nullptr, 1, 8, 0, DataType::f32, false};
    params.from = strided(view, 5, 4, 1);
    params.to = to.data();
    ErrorStats partial;
    params.partials = &partial;
    launch(kernel_name::add_noise, 1, &params);
    for (std::size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i] == 9.0F, i % 8 >= 5 || i >= 32) << i;
    params.factor.re = 0;  // alpha = 0: nothing may be read
    params.from.data = nullptr;
    launch(kernel_name::add_noise, 1, &params);
}

// What was moved, and by how much, is summed for each operand apart.
TEST(Noise, MeasuresTheInputs) {
    const std::vector<std::uint32_t> ones(1000, std::bit_cast<std::uint32_t>(1.5F));
    const ErrorStats sums = moved(ones, DataType::f32, {}).sums;
    EXPECT_EQ(sums.sez, 2250.0);
    EXPECT_EQ(sums.see, 1000 * 0x1p-46);
    EXPECT_EQ(sums.szz + sums.ses + sums.szs + sums.sss, 0.0);
}

// --- what N results say

ErrorStats responses(const std::vector<double>& output, const std::vector<std::vector<double>>& samples) {
    const std::int64_t drawn = noise_elements(static_cast<std::int64_t>(output.size()));
    std::vector<double> sums(2 * static_cast<std::size_t>(drawn), NAN);
    std::vector<ErrorStats> partials(2);
    partials[0].see = partials[0].szz = 2e-12;  // each input moved by 1e-6, so both by 1e-6 sqrt 2
    partials[0].sez = partials[0].ses = 2;
    NoiseResponseParams params;
    params.output = row(output.data(), DataType::f64, output.size());
    params.sums = sums.data();
    params.looked_at = drawn;
    params.seed = 5;
    params.samples = static_cast<std::int32_t>(samples.size());
    params.partials = partials.data();
    for (const auto& sample : samples) {
        params.moved = sample.data();
        launch(kernel_name::noise_response, 2, &params);
        ++params.sample;
    }
    return merged(partials);
}

std::vector<std::vector<double>> noisy(const std::vector<double>& output, int samples, double size) {
    std::mt19937_64 g(3);
    std::normal_distribution<double> normal;
    std::vector<std::vector<double>> all;
    for (int i = 0; i < samples; ++i) {
        all.push_back(output);
        for (double& x : all.back()) x += x * size * normal(g);
    }
    return all;
}

TEST(NoiseFindings, AmplificationAndDigits) {
    const std::vector<double> output(3000, 4.0);
    for (const int samples : {3, 5, 10}) {
        for (const double size : {1e-6, 1e-3}) {
            const ErrorStats stats = responses(output, noisy(output, samples, size));
            const NoiseFinding found = assess_noise(stats, NoiseKind::ulp, samples, 24);
            EXPECT_EQ(stats.elements, 3000u);
            EXPECT_NEAR(found.amplification, size / (1e-6 * std::sqrt(2.0)), 0.05 * found.amplification);
            EXPECT_NEAR(found.output_noise, size, 0.05 * size);
            // The mean logarithm of a standard deviation over few samples is a little below that of the truth
            // (3: 0.42 bits).
            const double bits = -std::log2(size) - confidence_bits(samples);
            EXPECT_GT(found.significant_bits, bits - 0.05);
            EXPECT_LT(found.significant_bits, bits + 0.5);
            EXPECT_EQ(found.significant_digits, found.significant_bits * std::log10(2.0));
            EXPECT_EQ(found.verdict, Judgement::pass) << found.reason;
        }
    }
}

// Elements near 0 have huge relative errors: neither the norm nor the mean of the logarithms follows them.
TEST(NoiseFindings, AreRobustAgainstReferencesNearZero) {
    std::vector<double> output(3000, 4.0), tiny = output;
    for (std::size_t i = 0; i < 30; ++i) tiny[i] = i % 2 == 0 ? 1e-30 : 0;
    auto samples = noisy(output, 5, 1e-6);
    const NoiseFinding plain = assess_noise(responses(output, samples), NoiseKind::ulp, 5, 24);
    for (auto& sample : samples)
        for (std::size_t i = 0; i < 30; ++i) sample[i] -= output[i];
    const ErrorStats stats = responses(tiny, samples);
    const NoiseFinding found = assess_noise(stats, NoiseKind::ulp, 5, 24);
    EXPECT_NEAR(found.amplification, plain.amplification, 0.02 * plain.amplification);
    EXPECT_NEAR(found.significant_bits, plain.significant_bits, 0.3);
    EXPECT_EQ(stats.mismatches, 30u);
    EXPECT_GT(stats.max_rel_err, 10);
}

TEST(NoiseFindings, WarnWhereHalfOfTheBitsAreLost) {
    const std::vector<double> output(1000, 4.0);
    const double least = 1e-6 * std::sqrt(2.0) * 4096;
    const auto verdict = [&](double size, int bits) {
        return assess_noise(responses(output, noisy(output, 5, size)), NoiseKind::ulp, 5, bits);
    };
    EXPECT_EQ(verdict(0.9 * least, 24).verdict, Judgement::pass);
    const NoiseFinding over = verdict(1.1 * least, 24);
    EXPECT_EQ(over.verdict, Judgement::warn);
    EXPECT_NE(over.reason.find("ill-conditioned data"), std::string::npos) << over.reason;
    EXPECT_EQ(verdict(1.1 * least, 53).verdict, Judgement::pass);
}

// A fault in the program's own run is no property of the data: the spread is about the mean of the samples.
TEST(NoiseFindings, AreOfTheDataAloneWhereTheProgramsOutputIsWrong) {
    std::vector<double> output(1000, 4.0);
    const auto samples = noisy(output, 5, 1e-6);
    for (std::size_t i = 0; i < 100; ++i) output[i] = i % 2 == 0 ? 0 : 1e5;
    const NoiseFinding found = assess_noise(responses(output, samples), NoiseKind::ulp, 5, 24);
    EXPECT_NEAR(found.output_noise, 1e-6, 5e-8);
    EXPECT_EQ(found.verdict, Judgement::pass);
}

TEST(NoiseFindings, NumbersThatLeaveTheRangeAreSaid) {
    std::vector<double> output(100, 4.0);
    auto samples = noisy(output, 5, 1e-6);
    samples[2][7] = INFINITY;
    output[9] = NAN;
    const ErrorStats stats = responses(output, samples);
    EXPECT_EQ(stats.elements, 98u);
    EXPECT_EQ(stats.nonfinite, 1u);
    EXPECT_EQ(stats.nonfinite_unexpected, 1u);
    const NoiseFinding found = assess_noise(stats, NoiseKind::ulp, 5, 24);
    EXPECT_EQ(found.verdict, Judgement::warn);
    EXPECT_NE(found.reason.find("leave the range"), std::string::npos) << found.reason;
}

TEST(NoiseFindings, NothingMovedIsNoCondition) {
    const NoiseFinding found = assess_noise(ErrorStats{}, NoiseKind::ulp, 5, 24);
    EXPECT_TRUE(std::isnan(found.amplification));
    EXPECT_EQ(found.verdict, Judgement::pass);
}

// One element of each part is looked at: no more than there is room for, and all over the output.
TEST(NoiseFindings, LargeOutputsAreSampledInStrata) {
    const std::size_t count = (std::size_t{1} << 16) * 2 + 77;
    std::vector<double> output(count, 1.0), last = output;
    for (std::size_t i = count / 2; i < count; ++i) last[i] = 1.5;
    const ErrorStats stats = responses(output, {last});
    EXPECT_EQ(stats.elements, std::uint64_t{1} << 16);
    EXPECT_NEAR(static_cast<double>(stats.mismatches), 0x1p15,
                21);  // 77 parts have 3 elements, the others 2
}

TEST(NoiseFindings, ConfidenceIsThePublishedOne) {
    for (const auto& [n, bits] : {std::pair{3, 3.62}, {5, 2.49}, {10, 1.84}, {30, 1.40}})
        EXPECT_EQ(confidence_bits(n), bits);
    for (int n = kLeastNoiseSamples; n < kMostNoiseSamples; ++n)
        EXPECT_GT(confidence_bits(n), confidence_bits(n + 1));
    EXPECT_EQ(confidence_bits(1), 0);
}

}  // namespace
}  // namespace fumi::test
