// A small network trained by LibTorch alone, without Python: train_mlp [cpu|cuda] [steps]. Prints each loss
// to the last bit. In the end its own tanh form of GELU is compared with torch's (fumi/compare.h).
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fumi/compare.h"

namespace {

struct Net : torch::nn::Module {
    Net() {
        first = register_module("first", torch::nn::Linear(32, 64));
        norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({64})));
        last = register_module("last", torch::nn::Linear(64, 10));
    }
    torch::Tensor forward(const torch::Tensor& x) { return last(torch::gelu(norm(first(x)))); }

    torch::nn::Linear first{nullptr}, last{nullptr};
    torch::nn::LayerNorm norm{nullptr};
};

torch::Tensor own_gelu(const torch::Tensor& x, const std::string&) {
    const double root = std::sqrt(2 / M_PI);
    return 0.5 * x * (1 + torch::tanh(root * (x + 0.044715 * x * x * x)));
}

torch::Tensor torch_gelu(const torch::Tensor& x, const std::string& approximate) {
    return torch::gelu(x, approximate);
}

void train(const torch::Device& device, int steps) {
    Net net;
    net.to(device);
    torch::optim::Adam optimizer(net.parameters(), torch::optim::AdamOptions(1e-2));
    for (int step = 0; step < steps; ++step) {
        const torch::Tensor x = torch::randn({128, 32}).to(device);
        const torch::Tensor target = (x.sum(1) > 0).to(torch::kLong);
        const torch::Tensor loss = torch::nn::functional::cross_entropy(net.forward(x), target);
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        std::printf("step %d loss %a\n", step, loss.item<double>());
    }
    const auto [out, comparison] =
        fumi::compare("gelu", torch_gelu, own_gelu, torch::randn({128, 64}).to(device), std::string("tanh"));
    static_cast<void>(std::fprintf(stderr, "%s\n", comparison.text().c_str()));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string device = argc > 1 ? argv[1] : "cpu";
    torch::manual_seed(1);
    torch::set_num_threads(1);
    try {
        train(torch::Device(device), argc > 2 ? std::atoi(argv[2]) : 3);
    } catch (const std::exception& error) {
        static_cast<void>(std::fprintf(stderr, "%s\n", error.what()));
        return 1;
    }
    return 0;
}
