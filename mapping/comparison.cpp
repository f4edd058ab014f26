// Two functions on the same inputs (mapping/compare.h): what has come in of one call, and the C interface
// over it.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>

#include "mapping/comparison_judge.h"
#include "mapping/comparison_quiet.h"
#include "mapping/comparisons.h"
#include "mapping/intern.h"
#include "mapping/operation_check.h"
#include "mapping/operation_rerun.h"
#include "mapping/python_stack.h"
#include "mapping/torch_version.h"

using namespace fumi::mapping;

namespace {

std::atomic<const FumiComparisonRecorder*> recorder{nullptr};

// A comparison is under way on this thread: the functions may call each other.
thread_local bool comparing = false;

std::int64_t now_ns(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// In a program that FuMi was asked to watch and that has not started it (no CUDA, no `operations: on`):
// starts it. Whether comparisons are made.
bool reach_hook() noexcept {
    const char* const path = std::getenv("CUDA_INJECTION64_PATH");
    if (path == nullptr || !std::string_view(path).ends_with("libfumi_cupti.so")) {
        return true;
    }
    void* const hook = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const auto start =
        hook != nullptr ? reinterpret_cast<int (*)()>(dlsym(hook, "fumi_start_for_comparisons")) : nullptr;
    return start == nullptr || start() != 0;
}

bool switched_off() noexcept {
    const char* const mode = std::getenv("FUMI_MODE");
    return mode != nullptr && std::string_view(mode) == "off";
}

c10::IValue value_of(const FumiArgument& argument) {
    switch (argument.kind) {
        case FUMI_ARGUMENT_TENSOR:
            return tensor_of(*argument.tensor);
        case FUMI_ARGUMENT_BOOL:
            return argument.integer != 0;
        case FUMI_ARGUMENT_INT:
            return argument.integer;
        case FUMI_ARGUMENT_DOUBLE:
            return argument.number;
        case FUMI_ARGUMENT_INTS:
            return std::vector<std::int64_t>(argument.integers, argument.integers + argument.count);
        case FUMI_ARGUMENT_STRING:
            return std::string(argument.text);
        default:
            return {};
    }
}

// Of what was told of shapes and types, as those of an operation.
std::string listed(const std::vector<GivenArgument>& arguments, const std::vector<at::Tensor>& results,
                   std::string (*word)(const at::Tensor&), const char* arrow, const char* comma) {
    std::string before, after;
    const auto add = [&](std::string* text, const at::Tensor& tensor) {
        *text += (text->empty() ? "" : comma) + word(tensor);
    };
    for (const GivenArgument& argument : arguments) {
        each_tensor(argument.value, [&](const at::Tensor& tensor) { add(&before, tensor); });
    }
    for (const at::Tensor& tensor : results) {
        add(&after, tensor);
    }
    return before + (before.empty() && *arrow == ',' ? "" : arrow) + after;
}

const char* word_of(std::int32_t verdict) noexcept {
    constexpr const char* words[] = {"", "pass", "warn", "fail"};
    return words[verdict];
}

}  // namespace

struct FumiComparison {
    FumiComparison(const char* name, bool uses_cuda)
        : api(api_of_name(name)), cuda(uses_cuda), begin_state(uses_cuda), start_ns(now_ns(CLOCK_REALTIME)) {}

    std::string api;
    bool cuda;
    RandomState begin_state;
    std::int64_t start_ns;
    Origin where;
    const FumiComparisonRecorder* to = nullptr;
    std::unique_ptr<Quiet> quiet;
    ComparedOutputs outputs;
    std::vector<GivenArgument> arguments;
    std::string failure;  // of what was told
    std::string shape, dtypes;
    std::vector<Judged> judged;
    std::vector<FumiMeasure> measures;
    FumiComparisonResult result{};

    std::int64_t scratch() const { return to != nullptr ? to->scratch_bytes : std::int64_t{1} << 40; }
    void judge(bool known);
    void tell();
};

void FumiComparison::judge(bool known) {
    const Quiet silent(begin_state, cuda);
    if (to != nullptr) {
        to->enter();
    }
    try {
        judged = judge_comparison(api, arguments, outputs, known, scratch());
    } catch (const std::exception& error) {
        failure = std::string("the comparison failed: ") + error.what();
        failure.resize(std::min(failure.find('\n'), failure.size()));
    }
    if (to != nullptr) {
        to->leave();
    }
}

void FumiComparison::tell() {
    shape = listed(arguments, outputs.of[FUMI_OUTPUT_FIRST], sizes_text, " -> ", " ");
    dtypes = listed(arguments, outputs.of[FUMI_OUTPUT_FIRST], type_text, ",", ",");
    const Judged* worst = nullptr;
    for (const Judged& one : judged) {
        measures.push_back(measure_of(one));
        worst = worst == nullptr || one.verdict > worst->verdict ? &one : worst;
    }
    result.name = api.c_str();
    result.location = where.location;
    result.module = where.module;
    result.shape = shape.c_str();
    result.dtypes = dtypes.c_str();
    result.not_checked = failure.c_str();
    result.verdict = worst != nullptr ? word_of(worst->verdict) : "";
    result.reason = worst != nullptr ? worst->reason.c_str() : "";
    result.count = static_cast<std::int64_t>(measures.size());
    result.measures = measures.data();
}

#define FUMI_EXPORT extern "C" __attribute__((visibility("default")))

FUMI_EXPORT void fumi_torch_record_comparisons(const FumiComparisonRecorder* to) {
    recorder.store(to, std::memory_order_release);
}

FUMI_EXPORT FumiComparison* fumi_comparison_begin(uint32_t abi, const char* name, int32_t cuda) try {
    if (abi != FUMI_COMPARE_ABI || comparing || switched_off()) {
        return nullptr;
    }
    static const bool asked_for = reach_hook();
    if (!asked_for) {
        return nullptr;
    }
    python_start();
    auto made = std::make_unique<FumiComparison>(name, cuda != 0);
    made->to = recorder.load(std::memory_order_acquire);
    if (made->to != nullptr && made->to->wanted(made->api.c_str()) == 0) {
        return nullptr;
    }
    python_where(&made->where, false);
    comparing = true;
    return made.release();
} catch (const std::exception&) {  // no memory, or a graph is being captured
    return nullptr;
}

FUMI_EXPORT const char* fumi_comparison_refusal(FumiComparison* comparison, int64_t bytes) {
    if (const char* const why_not = of_another_torch()) {
        return why_not;
    }
    return bytes > comparison->scratch() ? "its copies need more than limits.scratch" : "";
}

FUMI_EXPORT void fumi_comparison_argument(FumiComparison* comparison, const FumiArgument* argument) try {
    comparison->arguments.push_back({argument->name != nullptr ? argument->name : "", value_of(*argument)});
} catch (const std::exception& error) {
    comparison->failure = std::string("an argument cannot be read: ") + error.what();
}

FUMI_EXPORT void fumi_comparison_enter(FumiComparison* comparison) try {
    comparison->quiet = std::make_unique<Quiet>(comparison->begin_state, comparison->cuda);
    if (comparison->to != nullptr) {
        comparison->to->enter();
    }
} catch (const std::exception& error) {
    comparison->failure = std::string("the random generators: ") + error.what();
}

FUMI_EXPORT void fumi_comparison_leave(FumiComparison* comparison) {
    if (comparison->quiet == nullptr) {
        return;
    }
    if (comparison->to != nullptr) {
        comparison->to->leave();
    }
    comparison->quiet.reset();
}

FUMI_EXPORT void fumi_comparison_output(FumiComparison* comparison, int32_t of,
                                        const FumiTensor* tensor) try {
    comparison->outputs.of.at(static_cast<std::size_t>(of)).push_back(tensor_of(*tensor));
} catch (const std::exception& error) {
    comparison->failure = std::string("a result cannot be read: ") + error.what();
}

FUMI_EXPORT const FumiComparisonResult* fumi_comparison_finish(FumiComparison* comparison, int32_t known,
                                                               const char* failure) {
    const std::int64_t begin = now_ns(CLOCK_MONOTONIC);
    try {
        if (failure != nullptr) {
            comparison->failure = failure;
        }
        if (comparison->failure.empty()) {
            comparison->judge(known != 0);
        }
        comparison->tell();
    } catch (const std::exception&) {
        comparison->result.not_checked = "out of memory";
        return &comparison->result;
    }
    if (comparison->to != nullptr) {
        comparison->to->record(&comparison->result, comparison->start_ns, now_ns(CLOCK_MONOTONIC) - begin);
    }
    return &comparison->result;
}

FUMI_EXPORT void fumi_comparison_free(FumiComparison* comparison) {
    if (comparison != nullptr) {
        fumi_comparison_leave(comparison);
        comparing = false;
        delete comparison;
    }
}
