// Each kind of fault is planted in the call that is due and in no other, changes what it says it changes and
// nothing else, and is logged. The rules are told apart by the shapes of the calls: m is the kind, n the
// type.
#include "tools/softcuda/blas/faults.h"

#include <cublasLt.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/softcuda/blas/device_array.h"
#include "tests/softcuda/blas/reference.h"
#include "tools/softcuda/blas/faults_file.h"
#include "tools/softcuda/blas/handle.h"

using namespace reference;
using fake::DeviceArray;
namespace faults = softcuda::faults;
using faults::Kind;

namespace {

constexpr int k = 40, first_m = 20;
constexpr int kinds = static_cast<int>(Kind::nondeterministic) + 1;

std::string scratch(const char* name) {
    return "/tmp/softcuda-faults-" + std::to_string(getpid()) + "-" + name;
}

template <class T>
struct Call;
template <>
struct Call<float> {
    static constexpr int n = 30;
    static cublasStatus_t run(cublasHandle_t h, int m, const float* a, const float* b, float* c) {
        const float one = 1, zero = 0;
        return cublasSgemm_v2(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a, m, b, k, &zero, c, m);
    }
};
template <>
struct Call<double> {
    static constexpr int n = 31;
    static cublasStatus_t run(cublasHandle_t h, int m, const double* a, const double* b, double* c) {
        const double one = 1, zero = 0;
        return cublasDgemm_v2(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a, m, b, k, &zero, c, m);
    }
};
template <>
struct Call<BFloat16> {
    static constexpr int n = 32;
    static cublasStatus_t run(cublasHandle_t h, int m, const BFloat16* a, const BFloat16* b, BFloat16* c) {
        const float one = 1, zero = 0;
        return cublasGemmEx(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a, CUDA_R_16BF, m, b, CUDA_R_16BF, k,
                            &zero, c, CUDA_R_16BF, m, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    }
};
template <>
struct Call<std::complex<float>> {
    static constexpr int n = 33;
    using T = std::complex<float>;
    static cublasStatus_t run(cublasHandle_t h, int m, const T* a, const T* b, T* c) {
        const cuComplex one{1, 0}, zero{0, 0};
        return cublasCgemm_v2(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one,
                              reinterpret_cast<const cuComplex*>(a), m, reinterpret_cast<const cuComplex*>(b),
                              k, &zero, reinterpret_cast<cuComplex*>(c), m);
    }
};

// Before main, since the device reads its faults once. The second matching call of each kind and type goes
// wrong.
const bool prepared = [] {
    std::ofstream file(scratch("rules"));
    file << "faults:\n";
    for (int kind = 0; kind < kinds; ++kind)
        for (int n = 30; n <= 33; ++n) {
            file << "  - {function: 'cublas*', kind: " << faults::name_of(static_cast<Kind>(kind))
                 << ", nth: 2, seed: " << n << ", shape: 'm=" << first_m + kind << ", n=" << n << ", k=*'";
            if (static_cast<Kind>(kind) == Kind::zero_tile) file << ", args: {rows: 4, cols: 8}";
            file << "}\n";
        }
    file << "  - {function: cublasLtMatmul, kind: drop_bias_row}\n";
    file << "  - {function: 'cublasS?emv_v2', kind: one_element}\n";
    file << "  - {function: cublasSdot_v2, kind: one_element, args: {size: 0.5}}\n";
    file << "  - {function: cublasStrsm_v2, kind: negate_row}\n";
    file << "  - {function: cublasDgemm_v2, shape: 'm=7', kind: nondeterministic, every: 1}\n";
    setenv("SOFTCUDA_FAULTS", scratch("rules").c_str(), 1);
    setenv("SOFTCUDA_FAULT_LOG", scratch("log").c_str(), 1);
    return true;
}();

// The scratch files go when the program ends.
const struct Removed {
    ~Removed() {
        for (const char* name : {"rules", "log", "bad"}) std::remove(scratch(name).c_str());
    }
} removed;

// What was logged since the last question.
std::vector<nlohmann::json> new_log_lines() {
    static std::size_t seen = 0;
    std::ifstream file(scratch("log"));
    std::vector<nlohmann::json> lines;
    std::string line;
    while (std::getline(file, line)) lines.push_back(nlohmann::json::parse(line));
    std::vector<nlohmann::json> fresh(lines.begin() + static_cast<std::ptrdiff_t>(seen), lines.end());
    seen = lines.size();
    return fresh;
}

template <class T>
bool same_bits(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class T>
class Faulty : public testing::Test {
  protected:
    Faulty() {
        cublasCreate_v2(&handle);
        new_log_lines();
    }
    ~Faulty() override { cublasDestroy_v2(handle); }

    std::vector<T> multiply(int m, const std::vector<T>& a, const std::vector<T>& b) {
        const DeviceArray<T> da(a), db(b), dc(stale(m));
        EXPECT_EQ(Call<T>::run(handle, m, da.get(), db.get(), dc.get()), CUBLAS_STATUS_SUCCESS);
        return dc.values();
    }
    static std::vector<T> stale(int m) { return random_values<T>(m * n, 77); }
    static std::vector<T> operand_a(int m) { return random_values<T>(m * k, 1); }
    static std::vector<T> operand_b() { return random_values<T>(k * n, 2); }

    // Three calls: the second is the faulty one, the others are right. Returns right, wrong and the log line.
    struct Outcome {
        std::vector<T> right, wrong;
        nlohmann::json log;
    };
    Outcome outcome(Kind kind) {
        const int m = first_m + static_cast<int>(kind);
        Outcome result;
        result.right = multiply(m, operand_a(m), operand_b());
        EXPECT_TRUE(new_log_lines().empty());
        result.wrong = multiply(m, operand_a(m), operand_b());
        const auto lines = new_log_lines();
        const auto after = multiply(m, operand_a(m), operand_b());
        EXPECT_TRUE(new_log_lines().empty());
        for (std::size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(same_bits(after[i], result.right[i]));
        EXPECT_EQ(lines.size(), 1u);
        if (lines.size() == 1) result.log = lines[0];
        EXPECT_EQ(result.log.value("kind", ""), faults::name_of(kind));
        EXPECT_EQ(result.log.value("matching_ordinal", 0), 2);
        EXPECT_EQ(result.log.value("m", 0), m);
        return result;
    }
    static std::vector<std::size_t> changed(const Outcome& x) {
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < x.right.size(); ++i)
            if (!same_bits(x.right[i], x.wrong[i])) places.push_back(i);
        return places;
    }
    static long double error_at(const Outcome& x, std::size_t i) {
        return std::abs(value_of(x.wrong[i]) - value_of(x.right[i])) / std::abs(value_of(x.right[i]));
    }

    static constexpr int n = Call<T>::n;
    static constexpr bool is_low = std::is_same_v<T, BFloat16>;
    cublasHandle_t handle = nullptr;
};

using Types = testing::Types<float, double, BFloat16, std::complex<float>>;
TYPED_TEST_SUITE(Faulty, Types);

template <class T, class Round>
std::vector<T> rounded(std::vector<T> values, Round round) {
    for (T& x : values) {
        if constexpr (std::is_same_v<T, std::complex<float>>)
            x = {round(x.real()), round(x.imag())};
        else if constexpr (!std::is_same_v<T, BFloat16>)
            x = static_cast<T>(round(static_cast<float>(x)));
    }
    return values;
}

}  // namespace

TYPED_TEST(Faulty, OneElement) {
    const auto x = this->outcome(Kind::one_element);
    const auto places = this->changed(x);
    ASSERT_EQ(places.size(), 1u);
    const int m = first_m + static_cast<int>(Kind::one_element);
    EXPECT_EQ(places[0], x.log["row"].template get<int>() + x.log["col"].template get<std::size_t>() * m);
    const auto share = static_cast<double>(this->error_at(x, places[0]));
    EXPECT_GE(share, this->is_low ? 2 * 0x1p-8 : 0.5e-3);  // a complex number's larger part alone is moved
    EXPECT_LE(share, this->is_low ? 4 * 0x1p-8 : 1.1e-3);
}

TYPED_TEST(Faulty, BitFlip) {
    const auto x = this->outcome(Kind::bit_flip);
    const auto places = this->changed(x);
    ASSERT_EQ(places.size(), 1u);
    EXPECT_GE(this->error_at(x, places[0]), 0.3L);  // the lowest bit of the exponent: half or double
}

TYPED_TEST(Faulty, Nan) {
    const auto x = this->outcome(Kind::nan);
    const auto places = this->changed(x);
    ASSERT_EQ(places.size(), 1u);
    EXPECT_TRUE(std::isnan(value_of(x.wrong[places[0]]).real()));
}

TYPED_TEST(Faulty, ZeroTile) {
    const auto x = this->outcome(Kind::zero_tile);
    const int m = first_m + static_cast<int>(Kind::zero_tile);
    const int row = x.log["row"], col = x.log["col"], rows = x.log["rows"], cols = x.log["cols"];
    EXPECT_LE(rows, 4);
    EXPECT_LE(cols, 8);
    EXPECT_EQ(row % 4, 0);
    EXPECT_EQ(col % 8, 0);
    for (int j = 0; j < this->n; ++j)
        for (int i = 0; i < m; ++i) {
            const bool inside = i >= row && i < row + rows && j >= col && j < col + cols;
            const auto right = inside ? Value{} : value_of(x.right[i + j * m]);
            ASSERT_EQ(value_of(x.wrong[i + j * m]), right);
        }
}

TYPED_TEST(Faulty, NegateRow) {
    const auto x = this->outcome(Kind::negate_row);
    const int m = first_m + static_cast<int>(Kind::negate_row), row = x.log["row"];
    for (int j = 0; j < this->n; ++j)
        for (int i = 0; i < m; ++i) {
            const Value right = value_of(x.right[i + j * m]);
            ASSERT_EQ(value_of(x.wrong[i + j * m]), i == row ? -right : right);
        }
}

TYPED_TEST(Faulty, SwapColumns) {
    const auto x = this->outcome(Kind::swap_columns);
    const int m = first_m + static_cast<int>(Kind::swap_columns), col = x.log["col"];
    for (int j = 0; j < this->n; ++j)
        for (int i = 0; i < m; ++i) {
            const int from = j == col ? col + 1 : j == col + 1 ? col : j;
            ASSERT_TRUE(same_bits(x.wrong[i + j * m], x.right[i + from * m]));
        }
}

TYPED_TEST(Faulty, StaleOutput) {
    const auto x = this->outcome(Kind::stale_output);
    const auto before = this->stale(first_m + static_cast<int>(Kind::stale_output));
    for (std::size_t i = 0; i < before.size(); ++i) ASSERT_TRUE(same_bits(x.wrong[i], before[i]));
}

TYPED_TEST(Faulty, DropK) {
    const auto x = this->outcome(Kind::drop_k);
    const int m = first_m + static_cast<int>(Kind::drop_k), lost = x.log["lost_k"];
    auto a = this->operand_a(m);
    for (int i = 0; i < m; ++i) a[i + lost * m] = TypeParam{};
    const auto wanted = this->multiply(m, a, this->operand_b());
    for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_TRUE(same_bits(x.wrong[i], wanted[i]));
    EXPECT_GT(this->changed(x).size(), wanted.size() / 2);
}

TYPED_TEST(Faulty, RoundedInputs) {
    for (const Kind kind : {Kind::round_inputs_bf16, Kind::round_inputs_tf32}) {
        const auto x = this->outcome(kind);
        if (this->is_low) {  // nothing to lose: said, and the results are right
            EXPECT_TRUE(x.log.contains("skipped"));
            EXPECT_TRUE(this->changed(x).empty());
            continue;
        }
        const int m = first_m + static_cast<int>(kind);
        const auto round = [&](float v) {
            if (kind == Kind::round_inputs_bf16)
                return softcuda::blas::to_float(softcuda::blas::to_bfloat16(v));
            const auto bits = std::bit_cast<std::uint32_t>(v);
            return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u);
        };
        const auto wanted =
            this->multiply(m, rounded(this->operand_a(m), round), rounded(this->operand_b(), round));
        for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_TRUE(same_bits(x.wrong[i], wanted[i]));
        EXPECT_GT(this->changed(x).size(), wanted.size() / 2);
    }
}

TYPED_TEST(Faulty, LowSums) {
    for (const Kind kind : {Kind::fp16_accumulate, Kind::nondeterministic}) {
        const auto x = this->outcome(kind);
        EXPECT_FALSE(x.log.contains("skipped"));
        long double worst = 0;
        for (const std::size_t i : this->changed(x))
            worst = std::max(worst, std::abs(value_of(x.wrong[i]) - value_of(x.right[i])));
        EXPECT_GT(worst, 5e-4L);
        EXPECT_LT(worst, 0.2L);
    }
}

namespace {

class OtherCalls : public testing::Test {
  protected:
    OtherCalls() {
        cublasCreate_v2(&handle);
        new_log_lines();
    }
    ~OtherCalls() override { cublasDestroy_v2(handle); }
    cublasHandle_t handle = nullptr;
};

}  // namespace

TEST_F(OtherCalls, NondeterministicDiffersFromRunToRun) {
    const auto a = random_values<double>(7 * k, 1), b = random_values<double>(k * 5, 2);
    const double one = 1, zero = 0;
    std::vector<std::vector<double>> results;
    for (int run = 0; run < 3; ++run) {
        const DeviceArray<double> da(a), db(b), dc(std::vector<double>(35));
        cublasDgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, 7, 5, k, &one, da.get(), 7, db.get(), k, &zero,
                       dc.get(), 7);
        results.push_back(dc.values());
    }
    EXPECT_NE(results[0], results[1]);
    EXPECT_NE(results[1], results[2]);
}

TEST_F(OtherCalls, DropBiasRow) {
    const int m = 6, n = 4;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t layout_a, layout_b, layout_d;
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&layout_a, CUDA_R_32F, m, k, m);
    cublasLtMatrixLayoutCreate(&layout_b, CUDA_R_32F, k, n, k);
    cublasLtMatrixLayoutCreate(&layout_d, CUDA_R_32F, m, n, m);
    const DeviceArray<float> a(random_values<float>(m * k, 1)), b(random_values<float>(k * n, 2));
    const auto bias = random_values<float>(m, 3);
    const DeviceArray<float> device_bias(bias), with(std::vector<float>(m * n)),
        without(std::vector<float>(m * n));
    const float one = 1, zero = 0;
    const auto run = [&](const DeviceArray<float>& d, cublasLtEpilogue_t epilogue) {
        void* pointer = device_bias.get();
        cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
        cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer,
                                       sizeof pointer);
        EXPECT_EQ(cublasLtMatmul(reinterpret_cast<cublasLtHandle_t>(handle), operation, &one, a.get(),
                                 layout_a, b.get(), layout_b, &zero, d.get(), layout_d, d.get(), layout_d,
                                 nullptr, nullptr, 0, nullptr),
                  CUBLAS_STATUS_SUCCESS);
    };
    run(without, CUBLASLT_EPILOGUE_DEFAULT);
    auto lines = new_log_lines();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["skipped"], "the call has no bias");
    run(with, CUBLASLT_EPILOGUE_BIAS);
    lines = new_log_lines();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["function_ordinal"], 2);
    const int row = lines[0]["row"];
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i)
            EXPECT_EQ(with.values()[i + j * m], without.values()[i + j * m] + (i == row ? 0 : bias[i]));
    cublasLtMatrixLayoutDestroy(layout_a);
    cublasLtMatrixLayoutDestroy(layout_b);
    cublasLtMatrixLayoutDestroy(layout_d);
    cublasLtMatmulDescDestroy(operation);
}

TEST_F(OtherCalls, GemvDotAndSolve) {
    const DeviceArray<float> a({1, 2, 3, 4}), x({1, 1}), y({0, 0});
    const float one = 1, zero = 0;
    cublasSgemv_v2(handle, CUBLAS_OP_N, 2, 2, &one, a.get(), 2, x.get(), 1, &zero, y.get(), 1);
    EXPECT_NE(y.values(), (std::vector<float>{4, 6}));
    float result = 0;
    cublasSdot_v2(handle, 2, x.get(), 1, x.get(), 1, &result);
    EXPECT_EQ(result, 3.0f);  // 2, half as much again
    const DeviceArray<float> b({1, 2});
    cublasStrsm_v2(handle, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_UNIT, 2, 1,
                   &one, a.get(), 2, b.get(), 2);
    EXPECT_TRUE(b.values() == (std::vector<float>{-1, 0}) || b.values() == (std::vector<float>{1, 0}));
    const auto lines = new_log_lines();
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0]["function"], "cublasSgemv_v2");
    EXPECT_EQ(lines[1]["function"], "cublasSdot_v2");
    EXPECT_EQ(lines[2]["kind"], "negate_row");
}

namespace {

// The message for a file of these contents.
std::string message_for(const std::string& contents) {
    const auto path = scratch("bad");
    std::ofstream(path) << contents;
    try {
        faults::read_rules(path);
    } catch (const std::exception& error) {
        std::string what = error.what();
        return what.substr(what.find(path) == 0 ? path.size() : 0);
    }
    return "";
}

}  // namespace

TEST(FaultFile, ErrorsNameLineAndNearestName) {
    EXPECT_EQ(message_for("faults:\n  - function: cublasSgemm_v2\n    kind: bit_flop\n"),
              ":3:11: unknown kind 'bit_flop'; did you mean 'bit_flip'?");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    evry: 3\n"),
              ":4:5: unknown key 'evry'; did you mean 'every'?");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: drop_k\n    args: {q: 1}\n"),
              ":4:12: unknown argument 'q'; did you mean 'k'?");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    args: {k: 1}\n"),
              ":4:12: nan takes no args");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    nth: zero\n"),
              ":4:10: nth must be a number, not 'zero'");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    nth: 0\n"),
              ":4:10: nth must be at least 1");
    EXPECT_EQ(message_for("faults:\n  - kind: nan\n"), ":2:5: the fault has no function");
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    shape: m=x\n"),
              ":4:12: shape wants m=NUMBER or m=*, not 'm=x'");
    EXPECT_EQ(message_for("fault: []\n"), ":1:1: the file must have a list called faults");
    EXPECT_NE(message_for("faults: [\n").find(":2:"), std::string::npos);
    EXPECT_EQ(message_for("faults:\n  - function: f\n    kind: nan\n    nth: 1\n    every: 2\n"),
              ":5:12: nth and every exclude one another");
    EXPECT_EQ(
        message_for(
            "faults:\n  - {function: 'cublas*', kind: nan, every: 50, shape: 'm=4,batch=2', seed: 9}\n"),
        "");
}

TEST(FaultFile, GlobsMatchWholeNames) {
    using faults::matches_glob;
    EXPECT_TRUE(matches_glob("cublas*gemm*", "cublasSgemm_v2"));
    EXPECT_TRUE(matches_glob("*", ""));
    EXPECT_TRUE(matches_glob("cublas?gemm_v2", "cublasDgemm_v2"));
    EXPECT_TRUE(matches_glob("*Ex", "cublasExGemmEx"));
    EXPECT_FALSE(matches_glob("cublasSgemm", "cublasSgemm_v2"));
    EXPECT_FALSE(matches_glob("*gemv*", "cublasSgemm_v2"));
}
