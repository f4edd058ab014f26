// A C++ program that trains with LibTorch and has no Python: prints what is wrong, exits 1 on anything.
#include <ATen/CPUFunctions.h>
#include <dlfcn.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "mapping/origin.h"

namespace {

fumi_torch_origin_t ask = nullptr;
std::vector<FumiOrigin> answers;
int failures = 0;

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
    FumiOrigin origin{};
    if (ask != nullptr && ask(&origin) == 1) {
        answers.push_back(origin);
    }
    return at::cpu::mm(a, b);
}

void expect(bool holds, const char* what) {
    if (!holds) {
        std::printf("FAILED: %s\n", what);
        ++failures;
    }
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, library) {
    library.impl("mm", mm);
}

int main(int argc, char** argv) {
    void* handle = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (handle == nullptr) {
        std::printf("cannot load libfumi_torch.so: %s\n", argc == 2 ? dlerror() : "no path given");
        return 1;
    }
    const auto start = reinterpret_cast<fumi_torch_start_t>(dlsym(handle, "fumi_torch_start"));
    ask = reinterpret_cast<fumi_torch_origin_t>(dlsym(handle, "fumi_torch_origin"));
    const char* error = nullptr;
    expect(start(FUMI_ORIGIN_ABI + 1, nullptr, &error) == -1 && error != nullptr,
           "a wrong ABI is refused in words");
    expect(start(FUMI_ORIGIN_ABI, "/tables", &error) == -1 && error != nullptr,
           "a table is refused in words");
    expect(start(FUMI_ORIGIN_ABI, nullptr, &error) == 0 && error == nullptr, "it starts");
    expect(start(FUMI_ORIGIN_ABI, nullptr, &error) == 0, "it starts twice");
    FumiOrigin idle{"x", "x", "x", "x", 9};
    expect(ask(&idle) == 0 && *idle.api == '\0' && *idle.op == '\0' && *idle.location == '\0' &&
               *idle.module == '\0' && idle.phase == FUMI_PHASE_NONE,
           "outside any op everything is empty");

    const at::Tensor x = torch::randn({3, 4});
    const at::Tensor weight = torch::randn({5, 4}, torch::requires_grad());
    at::linear(x, weight).sum().backward();
    expect(answers.size() == 2, "one product forward and one backward, seen once each");
    for (const FumiOrigin& origin : answers) {
        std::printf("api %s op %s location '%s' module '%s' phase %d\n", origin.api, origin.op,
                    origin.location, origin.module, static_cast<int>(origin.phase));
        expect(std::strcmp(origin.api, "torch.nn.functional.linear") == 0, "api is linear");
        expect(std::strcmp(origin.op, "aten::mm") == 0, "op is mm");
        expect(*origin.location == '\0' && *origin.module == '\0', "no Python, no location");
    }
    if (answers.size() == 2) {
        expect(answers[0].phase == FUMI_PHASE_FORWARD && answers[1].phase == FUMI_PHASE_BACKWARD,
               "the phases");
    }
    return failures == 0 ? 0 : 1;
}
