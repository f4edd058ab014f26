// gpu_kernels, the checks of cuDNN calls: every kernel on the device and by its host body. Outputs are random
// numbers: wrong ones, whose statistics must come out alike.
#include <cstring>
#include <memory>
#include <stdexcept>

#include "tests/kernels/conv_support.h"
#include "tests/kernels/gpu_kernels.h"

namespace fumi::test {
namespace {

using nlohmann::json;

// What one problem is made of, so that it can be copied to the device.
class Arena {
  public:
    explicit Arena(std::uint64_t seed) : generator_(seed) {}
    Tensor& tensor(DataType type, const std::vector<std::int64_t>& sizes,
                   Format format = Format::channels_first) {
        tensors_.push_back(std::make_unique<Tensor>(type, sizes, format));
        tensors_.back()->fill(draws(Distribution::normal, generator_));
        return *tensors_.back();
    }
    template <class T>
    const T* numbers(const std::vector<T>& values) {
        auto& words = words_.emplace_back(
            std::make_unique<std::vector<std::uint64_t>>(values.size() * sizeof(T) / 8 + 1));
        std::memcpy(words->data(), values.data(), values.size() * sizeof(T));
        return reinterpret_cast<const T*>(words->data());
    }
    std::vector<HostBytes> memory() const {
        std::vector<HostBytes> all;
        for (const auto& t : tensors_) all.push_back(t->bytes());
        for (const auto& w : words_) all.push_back({w->data(), w->size() * 8});
        return all;
    }

  private:
    std::mt19937_64 generator_;
    std::vector<std::unique_ptr<Tensor>> tensors_;
    std::vector<std::unique_ptr<std::vector<std::uint64_t>>> words_;
};

class Comparison {
  public:
    explicit Comparison(Driver& driver) : driver_(driver) {}

    // In full and sampled. exact: no function of a math library is in it.
    template <class Problem>
    void add(const std::string& name, const std::vector<HostBytes>& memory, const Problem& problem,
             const DnnContract& contract, bool exact, std::int64_t samples = 40) {
        for (const bool sampled : {false, true}) {
            const DnnCoverage coverage{sampled ? 1 : 0, samples, 3};
            const ErrorStats host = run_dnn(problem, contract, coverage);
            const ErrorStats device = run_on_device(driver_, memory, problem, contract, coverage);
            driver_.release();
            json found = differences(device, host, !exact);
            results.push_back({{"case", name},
                               {"sampled", sampled},
                               {"elements", host.elements},
                               {"mismatches", host.mismatches},
                               {"ok", found.empty() && host.elements > 0},
                               {"differences", std::move(found)}});
        }
    }
    std::vector<json> results;

  private:
    template <class Problem>
    static ErrorStats run_on_device(Driver& driver, const std::vector<HostBytes>& memory, Problem problem,
                                    const DnnContract& contract, const DnnCoverage& coverage) {
        copy_to_device(driver, memory, &problem, sizeof problem);
        CheckTarget target;
        target.scratch_ceiling = std::size_t{64} << 20;
        target.sequence = 7;
        const std::size_t bytes = plan_check(problem, contract, coverage, target).scratch_bytes;
        target.scratch = reinterpret_cast<void*>(driver.allocate(bytes));
        target.slot = static_cast<ResultSlot*>(driver.allocate_pinned(sizeof(ResultSlot)));
        CheckPlan plan = plan_check(problem, contract, coverage, target);
        if (*plan.reason != '\0') throw std::runtime_error(plan.reason);
        for (int i = 0; i < plan.count; ++i) {
            CheckLaunch& launch = plan.launches[i];
            driver.launch(launch.kernel, launch.blocks, launch.threads, launch.params);
        }
        driver.synchronize();
        if (target.slot->sequence != 7) throw std::runtime_error("the result never reached its slot");
        return target.slot->stats;
    }
    Driver& driver_;
};

void convolutions(Comparison& all) {
    const ConvCase cases[] = {{.n = 3, .in = 40, .out = 37, .size = {5, 4}, .tail = true},
                              {.groups = 2,
                               .in = 3,
                               .out = 4,
                               .stride = {2, 1},
                               .dilation = {1, 2},
                               .format = Format::channels_last},
                              {.spatial = 3,
                               .size = {4, 5, 3},
                               .kernel = {2, 3, 1},
                               .stride = {1, 2, 1},
                               .padding = {0, 1, 0},
                               .dilation = {1, 1, 1}}};
    std::mt19937_64 g(1);
    for (const ConvCase& c : cases) {
        for (const ConvDirection direction : kDirections) {
            for (const DataType type : {DataType::f32, DataType::f64, DataType::bf16}) {
                const Conv conv(c, direction, type, draws(Distribution::normal, g));
                const std::string name =
                    std::string("convolution ") + type_name(type) + " " + std::to_string(c.spatial) + "d";
                all.add(name, conv.memory(), conv.p, contract_of(type), true);
            }
        }
    }
    // Few elements and many products each: K in slices over several blocks.
    const std::pair<ConvDirection, ConvCase> sliced[] = {
        {ConvDirection::forward, {.n = 1, .in = 300, .out = 6, .size = {4, 3}}},
        {ConvDirection::backward_data, {.n = 1, .in = 6, .out = 300, .size = {4, 3}}},
        {ConvDirection::backward_filter,
         {.n = 40, .in = 3, .out = 4, .size = {8, 8}, .format = Format::channels_last}}};
    for (const auto& [direction, c] : sliced)
        for (const DataType type : {DataType::f32, DataType::f64, DataType::bf16}) {
            const Conv conv(c, direction, type, draws(Distribution::normal, g));
            all.add(std::string("convolution in slices ") + type_name(type), conv.memory(), conv.p,
                    contract_of(type), true);
        }
    const Conv conv({}, ConvDirection::forward, DataType::f32, draws(Distribution::normal, g));
    for (const ConvAlgorithm algorithm :
         {ConvAlgorithm::winograd, ConvAlgorithm::fft, ConvAlgorithm::unknown})
        all.add("convolution, other algorithms", conv.memory(), conv.p,
                contract_of(DataType::f32, true, algorithm), false);
}

void batch_norms(Comparison& all) {
    for (const NormDirection direction :
         {NormDirection::forward_training, NormDirection::forward_inference, NormDirection::backward}) {
        Arena arena(2);
        BatchNormProblem p;
        p.direction = direction;
        for (TensorView* view : {&p.x, &p.y, &p.dy, &p.dx})
            *view = arena.tensor(DataType::f32, {4, 5, 3, 7}).view;
        const auto vector = [&] { return arena.numbers(std::vector<float>{0.5F, 1, 1.5F, 2, 2.5F}); };
        p.scale = vector();
        p.bias = vector();
        if (direction == NormDirection::forward_inference) {
            p.mean = vector();
            p.variance = vector();
        } else {
            p.saved_mean = vector();
            p.saved_inv_std = vector();
            p.dscale = vector();
            p.dbias = vector();
            p.running_mean = vector();
            p.running_variance = vector();
            p.running_mean_before = vector();
            p.running_variance_before = vector();
        }
        all.add("batch norm", arena.memory(), p, plain_contract(DataType::f32), true, 200);
    }
}

void softmaxes_and_pools(Comparison& all) {
    for (const int backward : {0, 1}) {
        for (const SoftmaxKind kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
            Arena arena(3);
            SoftmaxProblem p;
            p.kind = kind;
            p.backward = backward;
            for (TensorView* view : {&p.x, &p.y, &p.dy, &p.dx})
                *view = arena.tensor(DataType::f16, {3, 40, 5}).view;
            all.add("softmax", arena.memory(), p, plain_contract(DataType::f16), false, 200);
        }
        for (const PoolKind kind : {PoolKind::max, PoolKind::average_exclude_padding}) {
            Arena arena(4);
            PoolProblem p;
            p.kind = kind;
            p.backward = backward;
            p.window[0] = 3;
            p.window[1] = 2;
            p.stride[0] = p.stride[1] = 2;
            p.padding[0] = 1;
            for (TensorView* view : {&p.x, &p.dx}) *view = arena.tensor(DataType::f32, {2, 3, 7, 6}).view;
            for (TensorView* view : {&p.y, &p.dy}) *view = arena.tensor(DataType::f32, {2, 3, 4, 3}).view;
            all.add("pooling", arena.memory(), p, plain_contract(DataType::f32), true);
        }
    }
}

void attentions(Comparison& all) {
    for (const AttentionDirection direction : {AttentionDirection::forward, AttentionDirection::backward}) {
        Arena arena(5);
        AttentionProblem p;
        p.direction = direction;
        p.mask = AttentionMask::causal_bottom_right;
        p.scale = 0.25;
        for (TensorView* view : {&p.q, &p.dq}) *view = arena.tensor(DataType::f16, {2, 4, 9, 16}).view;
        for (TensorView* view : {&p.k, &p.dk}) *view = arena.tensor(DataType::f16, {2, 2, 13, 16}).view;
        for (TensorView* view : {&p.v, &p.dv}) *view = arena.tensor(DataType::f16, {2, 2, 13, 8}).view;
        for (TensorView* view : {&p.o, &p.d_o}) *view = arena.tensor(DataType::f16, {2, 4, 9, 8}).view;
        p.stats = arena.tensor(DataType::f32, {2, 4, 9, 1}).view;
        all.add("attention", arena.memory(), p, plain_contract(DataType::f16), false, 200);
    }
}

// y = relu(W x + b), without a way from step to step: gradients are judged only where y is what the network
// computes.
void recurrent_networks(Comparison& all) {
    constexpr std::int64_t steps = 4, batch = 3, inputs = 5, units = 6;
    for (const RnnCell cell : {RnnCell::relu, RnnCell::lstm}) {
        for (const RnnDirection direction :
             {RnnDirection::forward, RnnDirection::backward_data, RnnDirection::backward_weights}) {
            if (cell == RnnCell::lstm && direction != RnnDirection::forward) continue;
            const std::int64_t gates = cell == RnnCell::lstm ? 4 : 1, rows = gates * units;
            Arena arena(6);
            RnnProblem p;
            p.direction = direction;
            p.cell = cell;
            p.steps = steps;
            p.batch = batch;
            p.input = inputs;
            p.hidden = units;
            p.of[0] = {0, rows * inputs, rows * (inputs + units), rows * (inputs + units + 1), -1};
            const std::int64_t used = rows * (inputs + units + 2);
            Tensor& w = arena.tensor(DataType::f32, {used});
            for (std::int64_t i = rows * inputs; i < rows * (inputs + units) && cell == RnnCell::relu; ++i)
                w.put(i, 0);
            p.weights = w.view.data;
            p.dweights = arena.tensor(DataType::f32, {used}).view.data;
            const Tensor& x = arena.tensor(DataType::f32, {steps, batch, inputs});
            Tensor& y = arena.tensor(DataType::f32, {steps, batch, units});
            for (std::int64_t i = 0; i < y.count() && cell == RnnCell::relu; ++i) {
                double sum = w[p.of[0].b_ih + i % units] + w[p.of[0].b_hh + i % units];
                for (std::int64_t k = 0; k < inputs; ++k)
                    sum += w[i % units * inputs + k] * x[i / units * inputs + k];
                y.put(i, std::max(sum, 0.0));
            }
            p.x = x.view.data;
            p.y = y.view.data;
            p.dx = arena.tensor(DataType::f32, {steps, batch, inputs}).view.data;
            p.dy = arena.tensor(DataType::f32, {steps, batch, units}).view.data;
            p.x_step = batch * inputs;
            p.x_batch = inputs;
            p.y_step = batch * units;
            p.y_batch = units;
            all.add("recurrent network", arena.memory(), p, plain_contract(DataType::f32), false);
        }
    }
}

void ctc(Comparison& all) {
    Arena arena(7);
    CtcProblem p;
    p.steps = 5;
    p.batch = 2;
    p.classes = 4;
    p.inputs = arena.tensor(DataType::f32, {5, 2, 4}).view.data;
    p.gradients = arena.tensor(DataType::f32, {5, 2, 4}).view.data;
    p.costs = arena.tensor(DataType::f32, {2}).view.data;
    p.labels = arena.numbers(std::vector<std::int32_t>{2, 2, 1, 3, 1});
    p.label_lengths = arena.numbers(std::vector<std::int32_t>{2, 3});
    p.input_lengths = arena.numbers(std::vector<std::int32_t>{4, 5});
    p.longest_label = 3;
    all.add("CTC", arena.memory(), p, plain_contract(DataType::f32), false);
}

void grid_samples(Comparison& all) {
    for (const int backward : {0, 1}) {
        Arena arena(8);
        GridSampleProblem p;
        p.backward = backward;
        for (TensorView* view : {&p.x, &p.dx}) *view = arena.tensor(DataType::f32, {2, 3, 5, 4}).view;
        for (TensorView* view : {&p.y, &p.dy}) *view = arena.tensor(DataType::f32, {2, 3, 3, 6}).view;
        for (TensorView* view : {&p.grid, &p.dgrid}) *view = arena.tensor(DataType::f32, {2, 3, 6, 2}).view;
        all.add("grid sampling", arena.memory(), p, plain_contract(DataType::f32), true);
    }
}

}  // namespace

std::vector<json> compare_dnn_kernels(Driver& driver) {
    Comparison all(driver);
    convolutions(all);
    batch_norms(all);
    softmaxes_and_pools(all);
    attentions(all);
    recurrent_networks(all);
    ctc(all);
    grid_samples(all);
    return std::move(all.results);
}

}  // namespace fumi::test
