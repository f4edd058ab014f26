// What a check costs on the host, by shape, type and coverage, and next to it the GEMM itself as a plain
// blocked loop.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/host_bodies.h"

namespace fumi {
namespace {

SoftcudaKernelBody body_of(const char* name) {
    static std::map<std::string, SoftcudaKernelBody> bodies;
    static const bool registered =
        register_host_bodies([](const char* n, SoftcudaKernelBody b, const uint32_t*, uint32_t) {
            bodies[n] = b;
            return 0;
        });
    return registered ? bodies.at(name) : nullptr;
}

template <class T>
struct Matrices {
    std::int64_t m, n, k;
    std::vector<T> a, b, d;
    Matrices(std::int64_t rows, std::int64_t columns, std::int64_t depth)
        : m(rows), n(columns), k(depth), a(rows * depth), b(depth * columns), d(rows * columns) {
        std::mt19937 generator(1);
        std::normal_distribution<double> normal;
        for (T& x : a) x = static_cast<T>(normal(generator));
        for (T& x : b) x = static_cast<T>(normal(generator));
        multiply();
    }
    void multiply() {
        std::fill(d.begin(), d.end(), T{});
        for (std::int64_t j = 0; j < n; ++j) {
            for (std::int64_t l = 0; l < k; ++l) {
                const T x = b[l + j * k];
                for (std::int64_t i = 0; i < m; ++i) d[i + j * m] += a[i + l * m] * x;
            }
        }
    }
    GemmProblem problem(DataType type) const {
        GemmProblem p;
        p.m = m;
        p.n = n;
        p.k = k;
        p.a = {a.data(), nullptr, 1, m, 0, type, false};
        p.b = {b.data(), nullptr, 1, k, 0, type, false};
        p.d = {d.data(), nullptr, 1, m, 0, type, false};
        p.beta.re = 0;
        return p;
    }
};

template <class T>
void check(benchmark::State& state, DataType type, bool sampled) {
    const Matrices<T> matrices(state.range(0), state.range(1), state.range(2));
    const GemmProblem problem = matrices.problem(type);
    CallFacts facts;
    facts.a = facts.b = facts.output = type;
    const Contract contract = contract_for(facts);
    const Coverage coverage = sampled ? sampled_coverage(problem, 64, 64, 1, 1) : full_coverage(problem);
    const GemmCheckPlan plan = plan_gemm_check(problem, coverage, 1 << 20);
    std::vector<ErrorStats> partials(plan.blocks);
    GemmCheckParams params = make_check_params(problem, contract, coverage, partials.data());
    void* args[] = {&params};
    for (auto _ : state) {
        for (unsigned i = 0; i < plan.blocks; ++i) {
            SoftcudaBlock block{
                {plan.blocks, 1, 1}, {kCheckThreads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
            body_of(plan.kernel)(&block);
        }
    }
    const double products =
        static_cast<double>(elements_covered(problem, coverage)) * static_cast<double>(problem.k);
    state.counters["products/s"] =
        benchmark::Counter(products * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

template <class T>
void gemm(benchmark::State& state) {
    Matrices<T> matrices(state.range(0), state.range(1), state.range(2));
    for (auto _ : state) {
        matrices.multiply();
        benchmark::DoNotOptimize(matrices.d.data());
    }
}

void shapes(benchmark::internal::Benchmark* b) {
    b->Args({256, 256, 256})
        ->Args({1024, 256, 256})
        ->Args({64, 64, 4096})
        ->Args({1024, 1, 1024})
        ->Args({1, 1, 65536});
    b->Unit(benchmark::kMillisecond);
}
void fp32_gemm(benchmark::State& state) {
    gemm<float>(state);
}
void fp32_full(benchmark::State& state) {
    check<float>(state, DataType::f32, false);
}
void fp32_sampled(benchmark::State& state) {
    check<float>(state, DataType::f32, true);
}
void fp64_gemm(benchmark::State& state) {
    gemm<double>(state);
}
void fp64_full(benchmark::State& state) {
    check<double>(state, DataType::f64, false);
}
BENCHMARK(fp32_gemm)->Apply(shapes);
BENCHMARK(fp32_full)->Apply(shapes);
BENCHMARK(fp32_sampled)->Apply(shapes);
BENCHMARK(fp64_gemm)->Apply(shapes);
BENCHMARK(fp64_full)->Apply(shapes);

}  // namespace
}  // namespace fumi
