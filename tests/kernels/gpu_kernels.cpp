// gpu_kernels [--time]: every check kernel on the device and by its host body, on the same data. Prints JSON;
// exit status 1 where they differ: counts, maxima and the worst element must be equal bit for bit (the order
// of every sum over k is fixed), sums over elements to 1e-12 (their order is each build's own). --time adds
// how long large checks take.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/kernels/gpu_kernels.h"

#include "kernels/noise.h"

namespace fumi::test {
namespace {

using nlohmann::json;

struct Case {
    const char* name;
    DataType a, b, c, d;
    int compute;
};
constexpr Case kCases[] = {
    {"fp32", DataType::f32, DataType::f32, DataType::f32, DataType::f32, 68},
    {"fp64", DataType::f64, DataType::f64, DataType::f64, DataType::f64, 70},
    {"fp16", DataType::f16, DataType::f16, DataType::f16, DataType::f16, 68},
    {"bf16", DataType::bf16, DataType::bf16, DataType::bf16, DataType::bf16, 68},
    {"bf16 to fp32", DataType::bf16, DataType::bf16, DataType::f32, DataType::f32, 68},
    {"e4m3 to bf16", DataType::e4m3, DataType::e4m3, DataType::bf16, DataType::bf16, 68},
    {"e5m2 x e4m3 to e4m3", DataType::e5m2, DataType::e4m3, DataType::bf16, DataType::e4m3, 68},
    {"int8 to int32", DataType::i8, DataType::i8, DataType::i32, DataType::i32, 72},
    {"complex64", DataType::c32, DataType::c32, DataType::c32, DataType::c32, 68},
    {"complex128", DataType::c64, DataType::c64, DataType::c64, DataType::c64, 70},
};

// Equal bit for bit, but for the bits of a NaN, which IEEE 754 leaves open.
bool same_number(double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
           (std::isnan(a) && std::isnan(b));
}
bool close(double a, double b, double scale) {
    return std::fabs(a - b) <= 1e-12 * std::fabs(scale);
}

}  // namespace

json differences(const ErrorStats& device, const ErrorStats& host, bool transcendental) {
    json all = json::array();
    const auto exact = [&](const char* field, double a, double b) {
        // tanh is each math library's own: results agree to a few units of the last place of the reference.
        const bool same = same_number(a, b) || (transcendental && std::fabs(a - b) <= 1e-6 * std::fabs(b));
        if (!same) all.push_back({{"field", field}, {"device", a}, {"host", b}});
    };
    const auto sum = [&](const char* field, double a, double b, double scale) {
        const bool same =
            close(a, b, scale) || (transcendental && std::fabs(a - b) <= 1e-6 * std::fabs(scale));
        if (!same) all.push_back({{"field", field}, {"device", a}, {"host", b}});
    };
#define COMPARE_COUNT(field) exact(#field, static_cast<double>(device.field), static_cast<double>(host.field))
#define COMPARE_VALUE(field) exact(#field, device.field, host.field)
    COMPARE_COUNT(elements);
    COMPARE_COUNT(nonfinite);
    COMPARE_COUNT(nonfinite_reference);
    COMPARE_COUNT(nonfinite_inputs);
    COMPARE_COUNT(nonfinite_unexpected);
    COMPARE_COUNT(mismatches);
    COMPARE_COUNT(aux_mismatches);
    COMPARE_COUNT(rel_elements);
    COMPARE_COUNT(bits_elements);
    COMPARE_COUNT(launches);
    COMPARE_COUNT(worst_index);
    COMPARE_VALUE(max_abs_err);
    COMPARE_VALUE(max_rel_err);
    COMPARE_VALUE(max_eta);
    COMPARE_VALUE(max_ratio);
    COMPARE_VALUE(bound_at_max);
    COMPARE_VALUE(worst_value);
    COMPARE_VALUE(worst_reference);
    COMPARE_VALUE(max_kappa);
#undef COMPARE_COUNT
#undef COMPARE_VALUE
    sum("sum_rel_err2", device.sum_rel_err2, host.sum_rel_err2, host.sum_rel_err2);
    sum("sum_g", device.sum_g, host.sum_g, host.sum_g);
    sum("sum_abs_r", device.sum_abs_r, host.sum_abs_r, host.sum_abs_r);
    sum("see", device.see, host.see, host.see);
    sum("sez", device.sez, host.sez, std::sqrt(host.see * host.szz));
    sum("szz", device.szz, host.szz, host.szz);
    sum("ses", device.ses, host.ses, std::sqrt(host.see * host.sss));
    sum("szs", device.szs, host.szs, std::sqrt(host.szz * host.sss));
    sum("sss", device.sss, host.sss, host.sss);
    sum("sum_floor", device.sum_floor, host.sum_floor, host.sum_floor);
    return all;
}

namespace {

// Variants: layouts, batches by stride and by pointers, epilogues, planted errors.
Workload build(const Case& one, int variant, std::mt19937_64& g) {
    const bool integers = one.a == DataType::i8, complex = is_complex(one.a);
    Workload w({70, 36, 50 + 16 * variant, 1 + variant % 2}, one.a, one.b, one.c, one.d);
    const auto layout = [&](int bit) { return (variant >> bit) % 2 != 0 ? Layout::rows : Layout::columns; };
    w.lay_out(w.problem.a, layout(0), variant, variant == 3);
    w.lay_out(w.problem.b, layout(1), 0, variant == 3);
    w.lay_out(w.problem.d, layout(0), 1, variant == 3);
    w.problem.a.conjugate = complex && variant == 1;
    w.fill(integers ? [&g] { return static_cast<double>(g() % 255) - 127; } : draws(Distribution::normal, g));
    if (variant >= 1) {
        auto* scalars = static_cast<double*>(w.bytes(4 * sizeof(double)));
        scalars[0] = integers ? 2 : 1.5;
        scalars[2] = integers ? -1 : 0.25;
        const DataType type = complex ? DataType::c64 : DataType::f64;
        w.problem.alpha = {0, 0, scalars, type};
        w.problem.beta = {0, 0, scalars + 2, type};
    }
    if (variant == 2 && !complex && !integers) {
        auto* bias = static_cast<float*>(w.bytes(70 * sizeof(float)));
        for (int i = 0; i < 70; ++i) bias[i] = static_cast<float>(i) / 16;
        w.problem.bias = bias;
        w.problem.bias_type = DataType::f32;
        w.problem.activation = one.a == DataType::f64 ? Activation::relu : Activation::gelu_tanh;
    }
    if (one.a == DataType::e4m3) {
        auto* scales = static_cast<float*>(w.bytes(128 * sizeof(float)));
        for (int i = 0; i < 128; ++i) scales[i] = 0.5F + static_cast<float>(i) / 64;
        w.problem.scale_a =
            w.problem.scale_b = {variant % 2 != 0 ? ScaleKind::outer : ScaleKind::scalar, scales};
    }
    w.compute_exactly();
    write(w.problem.d, 3, 4, 0, 77);
    if (!integers) write(w.problem.d, 5, 6, 0, NAN);
    return w;
}

json compare_case(Driver& driver, const Case& one, int variant, bool sampled) {
    std::mt19937_64 g(static_cast<std::uint64_t>(variant) + 100);
    const Workload w = build(one, variant, g);
    CallFacts facts;
    facts.a = one.a;
    facts.b = one.b;
    facts.output = one.d;
    facts.compute_type = one.compute;
    const Contract contract = contract_for(facts);
    const Coverage coverage = sampled ? sampled_coverage(w.problem, 33, 20, 2, 9) : full_coverage(w.problem);
    const ErrorStats device = run_on_device(driver, on_device(driver, w), contract, coverage);
    const ErrorStats host = run_check(w.problem, contract, coverage);
    driver.release();
    json found = differences(device, host, w.problem.activation == Activation::gelu_tanh);
    return {{"case", one.name},          {"variant", variant},
            {"sampled", sampled},        {"kernel", plan_gemm_check(w.problem, coverage, 4096).kernel},
            {"elements", host.elements}, {"mismatches", host.mismatches},
            {"ok", found.empty()},       {"differences", std::move(found)}};
}

// Noise must be the same on both, bit for bit, so that what a session saw can be drawn again anywhere.
json noise_case(Driver& driver, const Case& one, NoiseKind kind) {
    constexpr std::size_t words = 4096;
    std::vector<std::uint64_t> from(words), to(words);
    std::mt19937_64 g(4);
    for (std::uint64_t& word : from) word = g();
    NoiseChoice choice;
    choice.kind = kind;
    choice.size = 0.25;
    const char* reason = nullptr;
    NoiseParams params = noise_for(choice, one.a, precision_bits(one.a), reason);
    params.from.type = one.a;
    params.from.size[0] = static_cast<std::int64_t>(words * sizeof from[0]) / element_bytes(one.a);
    params.from.stride[0] = 1;
    params.seed = 77;
    if (reason != nullptr) return {{"case", one.name}, {"noise", kind}, {"ok", true}, {"reason", reason}};
    constexpr unsigned blocks = 2;
    const CUdeviceptr source = driver.allocate(words * sizeof from[0]);
    driver.copy_in(source, from.data(), words * sizeof from[0]);
    auto* moved = static_cast<std::uint64_t*>(driver.allocate_pinned(words * sizeof from[0]));
    NoiseParams device = params;
    device.from.data = reinterpret_cast<const void*>(source);
    device.to = moved;
    device.partials = reinterpret_cast<ErrorStats*>(driver.allocate(blocks * sizeof(ErrorStats)));
    driver.launch(kernel_name::add_noise, blocks, kCheckThreads, &device);
    driver.synchronize();
    std::vector<ErrorStats> partials(blocks);
    params.from.data = from.data();
    params.to = to.data();
    params.partials = partials.data();
    void* args[] = {&params};
    for (unsigned i = 0; i < blocks; ++i) {
        SoftcudaBlock block{{blocks, 1, 1}, {kCheckThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
        body_of(kernel_name::add_noise)(&block);
    }
    const bool same = std::memcmp(moved, to.data(), words * sizeof to[0]) == 0;
    const bool moves = std::memcmp(from.data(), to.data(), words * sizeof to[0]) != 0;
    driver.release();
    return {{"case", one.name}, {"noise", kind}, {"ok", same && moves}};
}

json time_case(Driver& driver, const Case& one, std::int64_t size, bool sampled) {
    GemmProblem p;
    p.m = p.n = p.k = size;
    p.beta.re = 0;
    for (MatrixView* view : {&p.a, &p.b, &p.d}) {
        view->type = one.a;
        const auto bytes = static_cast<std::size_t>(size * size * element_bytes(one.a));
        const std::vector<char> zeros(bytes);
        const CUdeviceptr data = driver.allocate(bytes);
        driver.copy_in(data, zeros.data(), bytes);
        view->data = reinterpret_cast<const void*>(data);
        view->row_stride = 1;
        view->col_stride = size;
    }
    p.d.type = one.d;
    const Contract contract = contract_for(CallFacts{});
    const Coverage coverage = sampled ? sampled_coverage(p, 64, 64, 1, 1) : full_coverage(p);
    double best = INFINITY;
    for (int run = 0; run < 3; ++run) {
        const auto start = std::chrono::steady_clock::now();
        run_on_device(driver, p, contract, coverage);
        const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
        best = std::min(best, taken.count());
    }
    driver.release();
    return {{"case", one.name}, {"size", size}, {"sampled", sampled}, {"milliseconds", best}};
}

int run(bool timed) {
    Driver driver;
    json report = {
        {"device", driver.device_name()}, {"software", driver.software()}, {"results", json::array()}};
    bool ok = true;
    for (const Case& one : kCases) {
        for (int variant = 0; variant < 4; ++variant) {
            for (const bool sampled : {false, true}) {
                json result = compare_case(driver, one, variant, sampled);
                ok = ok && result["ok"].get<bool>();
                report["results"].push_back(std::move(result));
            }
        }
    }
    for (json& result : compare_dnn_kernels(driver)) {
        ok = ok && result["ok"].get<bool>();
        report["results"].push_back(std::move(result));
    }
    for (json& result : compare_mode_kernels(driver)) {
        ok = ok && result["ok"].get<bool>();
        report["results"].push_back(std::move(result));
    }
    for (const Case& one : kCases) {
        if (is_complex(one.a)) continue;  // their parts come as real numbers
        for (const NoiseKind kind :
             {NoiseKind::ulp, NoiseKind::relative, NoiseKind::bits, NoiseKind::fixed}) {
            json result = noise_case(driver, one, kind);
            ok = ok && result["ok"].get<bool>();
            report["results"].push_back(std::move(result));
        }
    }
    for (const Case& one : {kCases[0], kCases[1], kCases[3], kCases[8]}) {
        if (!timed) break;
        report["times"].push_back(time_case(driver, one, 2048, false));
        report["times"].push_back(time_case(driver, one, 4096, true));
    }
    report["ok"] = ok;
    std::printf("%s\n", report.dump(1).c_str());
    return ok ? 0 : 1;
}

}  // namespace
}  // namespace fumi::test

int main(int argc, char** argv) {
    try {
        return fumi::test::run(argc > 1 && std::strcmp(argv[1], "--time") == 0);
    } catch (const std::exception& error) {
        static_cast<void>(std::fprintf(stderr, "gpu_kernels: %s\n", error.what()));
        return 2;
    }
}
