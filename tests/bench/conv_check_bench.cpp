// What the sampled check of a convolution costs beside the convolution: the 23 shapes of ResNet-50 in three
// directions, fp32, oneDNN and FuMi's host bodies on the same core. Prints, per shape and over the whole
// network, the ratio of times and, for any device, the ratio of the products formed.
//     bench_conv_check [--benchmark_filter=REGEX]        BATCH=32 (the default), SAMPLES=4096
#include <benchmark/benchmark.h>
#include <omp.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/dnn_params.h"
#include "kernels/host_bodies.h"

namespace fumi {
namespace {

using Clock = std::chrono::steady_clock;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

std::int64_t setting(const char* name, std::int64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atoll(text);
}

// A layer of torchvision's resnet50 (stride in the 3 x 3 convolution) on 224 x 224 images, and how often it
// is there.
struct Layer {
    std::int64_t in, out, kernel, stride, size;
    int times;
};
constexpr Layer kLayers[] = {
    {3, 64, 7, 2, 224, 1},     {64, 64, 1, 1, 56, 1},    {256, 64, 1, 1, 56, 2},   {64, 64, 3, 1, 56, 3},
    {64, 256, 1, 1, 56, 4},    {256, 128, 1, 1, 56, 1},  {128, 128, 3, 2, 56, 1},  {128, 512, 1, 1, 28, 4},
    {256, 512, 1, 2, 56, 1},   {512, 128, 1, 1, 28, 3},  {128, 128, 3, 1, 28, 3},  {512, 256, 1, 1, 28, 1},
    {256, 256, 3, 2, 28, 1},   {256, 1024, 1, 1, 14, 6}, {512, 1024, 1, 2, 28, 1}, {1024, 256, 1, 1, 14, 5},
    {256, 256, 3, 1, 14, 5},   {1024, 512, 1, 1, 14, 1}, {512, 512, 3, 2, 14, 1},  {512, 2048, 1, 1, 7, 3},
    {1024, 2048, 1, 2, 14, 1}, {2048, 512, 1, 1, 7, 2},  {512, 512, 3, 1, 7, 2},
};
constexpr const char* kDirections[] = {"forward", "backward data", "backward filter"};

struct Sum {
    double convolution = 0, check = 0, products = 0, checked = 0;  // seconds, and products formed
};
std::map<ConvDirection, Sum> network;

SoftcudaKernelBody body_of(const char* name) {
    static std::map<std::string, SoftcudaKernelBody> bodies;
    static const bool registered =
        register_host_bodies([](const char* n, SoftcudaKernelBody b, const uint32_t*, uint32_t) {
            bodies[n] = b;
            return 0;
        });
    return registered ? bodies.at(name) : nullptr;
}

// The tensors of one layer in PyTorch's layout, and the convolution by oneDNN in the layouts that it likes
// best.
class Convolution {
  public:
    Convolution(const Layer& layer, ConvDirection direction);
    void run() {
        primitive_.execute(stream_, arguments_);
        stream_.wait();
    }
    void fetch() { copy(fast_[to_], plain_[to_]); }  // the result, in PyTorch's layout
    ConvProblem problem() const;
    double products() const { return products_; }

  private:
    void copy(dnnl::memory& from, dnnl::memory& to) {
        dnnl::reorder(from, to).execute(stream_, from, to);
        stream_.wait();
    }
    Layer layer_;
    ConvDirection direction_;
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    Dims size_[3];  // of x, w, y
    dnnl::memory plain_[3], fast_[3];
    int to_;
    double products_;
    dnnl::primitive primitive_;
    std::unordered_map<int, dnnl::memory> arguments_;
};

dnnl::memory::desc any(const Dims& size) {
    return {size, dnnl::memory::data_type::f32, Tag::any};
}

Convolution::Convolution(const Layer& layer, ConvDirection direction) : layer_(layer), direction_(direction) {
    const std::int64_t n = setting("BATCH", 32), pad = layer.kernel / 2;
    const std::int64_t out = (layer.size + 2 * pad - layer.kernel) / layer.stride + 1;
    size_[0] = {n, layer.in, layer.size, layer.size};
    size_[1] = {layer.out, layer.in, layer.kernel, layer.kernel};
    size_[2] = {n, layer.out, out, out};
    products_ = static_cast<double>(n * layer.out * out * out * layer.in * layer.kernel * layer.kernel);
    std::mt19937 generator(1);
    for (int i = 0; i < 3; ++i) {
        plain_[i] = dnnl::memory({size_[i], dnnl::memory::data_type::f32, Tag::nchw}, engine_);
        auto* data = static_cast<float*>(plain_[i].get_data_handle());
        std::uniform_real_distribution<float> draw(-1, 1);
        for (std::size_t at = 0; at < plain_[i].get_desc().get_size() / sizeof(float); ++at)
            data[at] = draw(generator);
    }
    using dnnl::algorithm;
    const Dims strides = {layer.stride, layer.stride}, padding = {pad, pad};
    const auto forward = dnnl::convolution_forward::desc(
        dnnl::prop_kind::forward_training, algorithm::convolution_direct, any(size_[0]), any(size_[1]),
        any(size_[2]), strides, padding, padding);
    const dnnl::convolution_forward::primitive_desc hint(forward, engine_);
    const auto take = [&](const auto& made, int a, int a_name, int b, int b_name, int c, int c_name) {
        to_ = c;
        const int order[] = {a, b, c}, argument[] = {a_name, b_name, c_name};
        const dnnl::memory::desc wanted[] = {made.query_md(dnnl::query::exec_arg_md, a_name),
                                             made.query_md(dnnl::query::exec_arg_md, b_name),
                                             made.query_md(dnnl::query::exec_arg_md, c_name)};
        for (int i = 0; i < 3; ++i) {
            fast_[order[i]] = dnnl::memory(wanted[i], engine_);
            if (order[i] != to_) copy(plain_[order[i]], fast_[order[i]]);
            arguments_[argument[i]] = fast_[order[i]];
        }
        primitive_ = dnnl::primitive(made);
    };
    if (direction == ConvDirection::forward) {
        take(hint, 0, DNNL_ARG_SRC, 1, DNNL_ARG_WEIGHTS, 2, DNNL_ARG_DST);
    } else if (direction == ConvDirection::backward_data) {
        const dnnl::convolution_backward_data::desc d(algorithm::convolution_direct, any(size_[0]),
                                                      any(size_[1]), any(size_[2]), strides, padding,
                                                      padding);
        take(dnnl::convolution_backward_data::primitive_desc(d, engine_, hint), 2, DNNL_ARG_DIFF_DST, 1,
             DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DIFF_SRC);
    } else {
        const dnnl::convolution_backward_weights::desc d(algorithm::convolution_direct, any(size_[0]),
                                                         any(size_[1]), any(size_[2]), strides, padding,
                                                         padding);
        take(dnnl::convolution_backward_weights::primitive_desc(d, engine_, hint), 0, DNNL_ARG_SRC, 2,
             DNNL_ARG_DIFF_DST, 1, DNNL_ARG_DIFF_WEIGHTS);
    }
}

ConvProblem Convolution::problem() const {
    ConvProblem p;
    p.direction = direction_;
    p.stride[0] = p.stride[1] = layer_.stride;
    p.padding[0] = p.padding[1] = layer_.kernel / 2;
    p.beta.re = 0;
    TensorView* views[] = {&p.x, &p.w, &p.y};
    for (int i = 0; i < 3; ++i) {
        TensorView& view = *views[i];
        view.data = plain_[i].get_data_handle();
        view.type = DataType::f32;
        view.rank = 4;
        std::int64_t stride = 1;
        for (int d = 3; d >= 0; --d) {
            view.size[d] = size_[i][static_cast<std::size_t>(d)];
            view.stride[d] = stride;
            stride *= view.size[d];
        }
    }
    return p;
}

double seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
}

// The sampled check as the software device runs it; the statistics are returned.
ErrorStats check(const ConvProblem& problem, const DnnContract& contract, std::int64_t& elements) {
    ResultSlot slot;
    CheckTarget target;
    target.slot = &slot;
    target.sequence = 1;
    const DnnCoverage coverage{1, setting("SAMPLES", 4096), 1};
    const CheckPlan first = plan_check(problem, contract, coverage, target);
    if (*first.reason != '\0') throw std::runtime_error(first.reason);
    elements = first.elements;
    static std::vector<std::uint64_t> scratch;
    scratch.resize(std::max(scratch.size(), first.scratch_bytes / 8 + 1));
    target.scratch = scratch.data();
    CheckPlan plan = plan_check(problem, contract, coverage, target);
    for (int l = 0; l < plan.count; ++l) {
        CheckLaunch& launch = plan.launches[l];
        void* args[] = {launch.params};
        for (unsigned i = 0; i < launch.blocks; ++i) {
            SoftcudaBlock block{
                {launch.blocks, 1, 1}, {launch.threads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
            body_of(launch.kernel)(&block);
        }
    }
    return slot.stats;
}

void measure(benchmark::State& state, const Layer& layer, ConvDirection direction) {
    Convolution convolution(layer, direction);
    convolution.run();
    convolution.fetch();
    const ConvProblem problem = convolution.problem();
    ConvFacts facts;
    facts.algorithm = ConvAlgorithm::direct;
    facts.ieee = true;
    const DnnContract contract = contract_for(facts);
    std::int64_t elements = 0;
    if (const ErrorStats stats = check(problem, contract, elements);
        stats.max_ratio > 1 || stats.elements == 0) {
        state.SkipWithError("the convolution is not within its bound");
        return;
    }
    double ours = INFINITY, theirs = INFINITY;
    for (auto _ : state) {
        auto start = Clock::now();
        convolution.run();
        theirs = std::min(theirs, seconds(start));
        start = Clock::now();
        check(problem, contract, elements);
        ours = std::min(ours, seconds(start));
    }
    const std::int64_t k = direction == ConvDirection::forward ? layer.in * layer.kernel * layer.kernel
                           : direction == ConvDirection::backward_data
                               ? layer.out * layer.kernel * layer.kernel
                               : problem.y.size[0] * problem.y.size[2] * problem.y.size[3];
    const double checked = static_cast<double>(elements * k);
    state.counters["conv_ms"] = theirs * 1e3;
    state.counters["check_ms"] = ours * 1e3;
    state.counters["elements"] = static_cast<double>(elements);
    state.counters["time_percent"] = 100 * ours / theirs;
    state.counters["products_percent"] = 100 * checked / convolution.products();
    Sum& sum = network[direction];
    sum.convolution += layer.times * theirs;
    sum.check += layer.times * ours;
    sum.products += layer.times * convolution.products();
    sum.checked += layer.times * checked;
}

void print_row(const char* name, const Sum& sum) {
    std::printf("%-16s convolutions %7.0f ms   checks %6.1f ms   time %6.2f%%   products %7.4f%%\n", name,
                sum.convolution * 1e3, sum.check * 1e3, 100 * sum.check / sum.convolution,
                100 * sum.checked / sum.products);
}

}  // namespace

int run(int argc, char** argv) {
    omp_set_num_threads(1);
    for (const ConvDirection direction :
         {ConvDirection::forward, ConvDirection::backward_data, ConvDirection::backward_filter}) {
        for (const Layer& layer : kLayers) {
            // No one asks for the gradient of the images.
            if (layer.in == 3 && direction == ConvDirection::backward_data) continue;
            const std::string name = std::string(kDirections[static_cast<int>(direction)]) + " " +
                                     std::to_string(layer.in) + "->" + std::to_string(layer.out) + " k" +
                                     std::to_string(layer.kernel) + " s" + std::to_string(layer.stride) +
                                     " at " + std::to_string(layer.size);
            benchmark::RegisterBenchmark(name.c_str(),
                                         [=](benchmark::State& state) { measure(state, layer, direction); })
                ->Iterations(3)
                ->Unit(benchmark::kMillisecond);
        }
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    std::printf("\nResNet-50, every convolution as often as it is there:\n");
    Sum all;
    for (const auto& [direction, sum] : network) {
        print_row(kDirections[static_cast<int>(direction)], sum);
        all.convolution += sum.convolution;
        all.check += sum.check;
        all.products += sum.products;
        all.checked += sum.checked;
    }
    print_row("all", all);
    return 0;
}

}  // namespace fumi

int main(int argc, char** argv) {
    return fumi::run(argc, argv);
}
