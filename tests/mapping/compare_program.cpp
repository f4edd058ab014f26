// fumi/compare.h in a C++ program: prints what is wrong, exits 1 on anything.
#include "mapping/compare.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <stdexcept>
#include <vector>

namespace {

int failures = 0;

void expect(bool holds, const char* what, const fumi::Comparison& comparison) {
    if (!holds) {
        std::printf("FAILED: %s\n%s\n", what, comparison.text().c_str());
        ++failures;
    }
}

at::Tensor by_hand(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    return bias.has_value() ? x.mm(weight.t()) + *bias : x.mm(weight.t());
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    return at::linear(x, weight, bias);
}

at::Tensor off_by_little(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias) {
    return at::linear(x, weight, bias) * 1.001;
}

void known_function() {
    const at::Tensor x = at::randn({8, 16}), weight = at::randn({4, 16});
    const std::optional<at::Tensor> bias = at::randn({4});
    const auto right = fumi::compare("linear", linear, by_hand, x, weight, bias);
    expect(right.out.equal(at::linear(x, weight, bias)), "the first one's result comes back",
           right.comparison);
    expect(right.comparison.verdict == "pass" && right.comparison.measures.size() == 3, "right is right",
           right.comparison);
    expect(right.comparison.name == "torch.nn.functional.linear", "the name is torch's", right.comparison);
    const auto wrong = fumi::compare("torch.nn.functional.linear", linear, off_by_little, x, weight, bias);
    expect(wrong.comparison.verdict == "fail" && wrong.comparison.measures[1].verdict == "pass" &&
               wrong.comparison.measures[2].verdict == "fail",
           "the second one is the wrong one", wrong.comparison);
}

void undisturbed() {
    const at::Tensor x = at::ones({5});
    const auto twice = [](const at::Tensor& t) { return t * 2; };
    const auto in_place = [](const at::Tensor& t) { return t.mul_(2); };
    const auto written = fumi::compare("doubled", twice, in_place, x);
    expect(x.equal(at::ones({5})) && written.comparison.max_rel_err() == 0, "the second one writes copies",
           written.comparison);
    const auto throwing = [](const at::Tensor& t) -> at::Tensor {
        throw std::runtime_error("broken\nhere");
        return t;
    };
    const auto thrown = fumi::compare("doubled", twice, throwing, x);
    expect(thrown.comparison.not_checked == "the second function: broken", "what it throws is a reason",
           thrown.comparison);
    const auto random = [](const at::Tensor& t) { return at::rand_like(t); };
    at::manual_seed(3);
    const at::Tensor after = (at::rand({5}), at::rand({5}));
    at::manual_seed(3);
    const auto drawn = fumi::compare("draws", random, random, x);
    expect(drawn.comparison.max_rel_err() == 0, "both draw the same numbers", drawn.comparison);
    expect(at::rand({5}).equal(after), "and the generator has moved once", drawn.comparison);
}

void several_results() {
    const auto both = [](const at::Tensor& t) { return std::vector<at::Tensor>{t + 1, t.argsort()}; };
    const auto apart = [](const at::Tensor& t) {
        return std::vector<at::Tensor>{t + 1, t.argsort(-1, true)};
    };
    const auto shorter = [](const at::Tensor& t) { return std::vector<at::Tensor>{t + 1}; };
    const at::Tensor x = at::arange(5, at::kFloat);
    expect(fumi::compare("several", both, both, x).comparison.verdict.empty(), "no bound, no verdict", {});
    const auto indices = fumi::compare("several", both, apart, x);
    expect(indices.comparison.verdict == "fail", "integers must be equal", indices.comparison);
    const auto missing = fumi::compare("several", both, shorter, x);
    expect(missing.comparison.verdict == "fail", "a result is missing", missing.comparison);
}

}  // namespace

int main() {
    known_function();
    undisturbed();
    several_results();
    return failures == 0 ? 0 : 1;
}
