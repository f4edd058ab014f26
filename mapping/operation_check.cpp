#include "mapping/operation_check.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "mapping/operation_cheap.h"
#include "mapping/operation_compare.h"
#include "mapping/operation_device.h"
#include "mapping/operation_linear.h"
#include "mapping/operation_quantised.h"
#include "mapping/operation_question.h"
#include "mapping/operation_random.h"
#include "mapping/operations.h"

namespace fumi::mapping {
namespace {

constexpr NumberFormat fp32{"fp32", 24, -126, std::numeric_limits<float>::max()};
constexpr NumberFormat fp16{"fp16", 11, -14, 65504};
constexpr NumberFormat bf16{"bf16", 8, -126, 0x1.FEp127};
constexpr NumberFormat fp64{"fp64", 53, -1022, std::numeric_limits<double>::max()};

}  // namespace

const NumberFormat* format_of(at::ScalarType type) noexcept {
    switch (type) {
        case at::kFloat:
            return &fp32;
        case at::kHalf:
            return &fp16;
        case at::kBFloat16:
            return &bf16;
        case at::kDouble:
            return &fp64;
        default:
            return nullptr;
    }
}

bool is_double(const at::Tensor& tensor) {
    return c10::toRealValueType(tensor.scalar_type()) == at::kDouble && tensor.dim() > 0;
}

bool has_doubles(const Arguments& arguments) {
    bool found = false;
    for (const c10::IValue& value : arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) { found = found || is_double(tensor); });
    }
    return found;
}

int precision_of_operands(const RunningOperation& operation) {
    int narrowest = 24;
    for (const auto* values : {&operation.arguments, &operation.results}) {
        for (const c10::IValue& value : *values) {
            const NumberFormat* const format =
                is_floating(value) ? format_of(value.toTensor().scalar_type()) : nullptr;
            narrowest = std::min(narrowest, format != nullptr ? format->precision : 24);
        }
    }
    return narrowest;
}

namespace {

// The tensors of a result list, in order.
std::vector<at::Tensor> tensors(const std::vector<c10::IValue>& values) {
    std::vector<at::Tensor> all;
    for (const c10::IValue& value : values) {
        each_tensor(value, [&](const at::Tensor& tensor) { all.push_back(tensor); });
    }
    return all;
}

const char* obstacle_of(const at::Tensor& tensor, const c10::OperatorHandle& handle) {
    const bool quantised = handle.schema().name() == "quantized::linear";
    if (tensor.is_quantized() && !quantised) {
        return "quantised operands: torch has no fp64 form of them";
    }
    if (!tensor.is_cpu() && !tensor.is_cuda()) {
        return "operands on a device that is neither the CPU nor CUDA";
    }
    if (is_double(tensor) &&
        (tensor.layout() != at::kStrided || !is_linear(handle, at::isComplexType(tensor.scalar_type())))) {
        return "fp64 operands: torch has no wider type to rerun them in";
    }
    if (tensor.layout() != at::kStrided && tensor.layout() != at::kSparse) {
        return "operands of this layout are not rerun";
    }
    using enum c10::DispatchKey;
    const c10::DispatchKeySet wrapped({Python, PythonTLSSnapshot, FuncTorchBatched, FuncTorchGradWrapper,
                                       Functionalize, BatchedNestedTensor, Batched});
    return tensor.key_set().has_any(wrapped) ? "a tensor subclass or a transform of torch.func" : nullptr;
}

}  // namespace

const char* obstacle(const c10::OperatorHandle& handle, c10::ArrayRef<const c10::IValue> arguments) {
    const char* found = nullptr;
    const auto device = cuda_device(arguments);
    for (const c10::IValue& value : arguments) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            if (found == nullptr) {
                found = obstacle_of(tensor, handle);
            }
            if (found == nullptr && tensor.is_cuda() && tensor.device() != *device) {
                found = "operands on several devices";
            }
        });
    }
    // Kernels of attention on a GPU draw their own numbers, each in its own order.
    const bool fused = device.has_value() && handle.schema().name().find("attention") != std::string::npos;
    return found == nullptr && fused && draws_random_numbers(handle, arguments)
               ? "it draws random numbers, in fp64 others than in its own type"
               : found;
}

namespace {

// What a row says of complex operands. Sums of products, sums and products have their bound (of moduli), what
// rounds nothing stays, |z| rounds; the errors of the rest are measured alone.
Operation for_operands(const Operation& row, const RunningOperation& operation) {
    if (std::none_of(operation.arguments.begin(), operation.arguments.end(), is_complex)) {
        return row;
    }
    static const std::set<std::string_view> bounded{
        "linear",   "matmul",    "mm",    "bmm",    "addmm", "addmm_",   "baddbmm",
        "baddbmm_", "mv",        "addmv", "addmv_", "dot",   "vdot",     "inner",
        "outer",    "sum",       "mean",  "add",    "add_",  "sub",      "sub_",
        "subtract", "subtract_", "rsub",  "mul",    "mul_",  "multiply", "multiply_"};
    const std::string_view op = std::string_view(row.op).substr(6);  // aten::
    Operation own = row;
    if (op == "abs") {
        own.bound = Bound::elementwise;
        own.factor = 4;
    } else if (bounded.contains(op)) {
        own.factor = 2 * row.factor;
    } else if (row.bound != Bound::exact) {
        own.bound = Bound::none;
    }
    return own;
}

class Check {
  public:
    Check(const Operation& row, const RunningOperation& operation, const Sample* sample, Finding* finding)
        : row_(for_operands(row, operation)),
          operation_(operation),
          sample_(sample),
          finding_(finding),
          is_fp64_(has_doubles(operation.arguments)) {}

    void run_all() {
        if (row_.bound == Bound::exact && row_.own && precision() < 24) {
            finding_->not_checked =
                "its choice of elements is computed in fp16 or bf16, in fp64 it is another one";
            return;
        }
        if (row_.bound == Bound::quantised) {
            const Allowance allowed = quantised_linear(operation_);
            in_full({}, {}, allowed);
            finding_->verdict = judge(finding_->outcome, allowed.words, false, &finding_->reason);
            return;
        }
        const std::vector<at::Tensor> results = tensors(operation_.results);
        if (is_fp64_) {
            in_parts(results.at(0));
            return;
        }
        const at::ScalarType type = results.empty() ? at::kFloat : results[0].scalar_type();
        bool any_floating = false;
        for (const c10::IValue& value : operation_.arguments) {
            any_floating = any_floating || is_floating(value) || is_complex(value);
        }
        const bool integers = !any_floating && at::isFloatingType(type);
        const bool narrow_numbers = row_.bound == Bound::exact && at::isFloatingType(type);
        arguments_ = raised(operation_, narrow_numbers ? type : at::kFloat, integers);
        rerun();
        const std::vector<at::Tensor> expected = tensors(reference_);
        if (expected.size() != results.size()) {
            finding_->not_checked = "the rerun has another number of results";
            return;
        }
        if (row_.bound == Bound::exact) {
            exact(results, expected);
        } else {
            bounded(results.at(0), expected.at(0));
        }
    }

  private:
    std::vector<c10::IValue> run_once() const {
        const bool convolution = row_.bound == Bound::product &&
                                 std::strncmp(row_.op, "aten::conv", 10) == 0 &&
                                 std::strncmp(row_.op, "aten::conv_", 11) != 0;
        return convolution ? run_image_by_image(operation_.handle, arguments_)
                           : run(operation_.handle, arguments_);
    }

    // On the same device and stream; where it has no such kernel, on the CPU.
    void rerun() {
        try {
            reference_ = run_once();
        } catch (const c10::Error& error) {
            if (!cuda_device(arguments_).has_value() || !lacks_kernel(error)) {
                throw;
            }
            arguments_ = on_cpu(arguments_);
            reference_ = run_once();
            where_ = "; rerun on the CPU: no fp64 kernel for CUDA";
        }
    }

    bool shapes_agree(const at::Tensor& result, const at::Tensor& expected) {
        if (result.sizes() == expected.sizes()) {
            return true;
        }
        finding_->not_checked = "the rerun has a result of another shape";
        return false;
    }

    void exact(const std::vector<at::Tensor>& results, const std::vector<at::Tensor>& expected) {
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (!shapes_agree(results[i], expected[i])) {
                return;
            }
            compared(results[i], expected[i], true).in_full({});
        }
        compare_plain();
        conclude("", true);
        finding_->reason += where_;
    }

    void in_parts(const at::Tensor& result) {
        arguments_ = raised(operation_, at::kDouble, false);
        const Question question{row_, operation_.handle, arguments_, result, &operation_, 0x1p-53};
        const Doubled doubled = rerun_in_parts(question);
        if (shapes_agree(result, doubled.reference)) {
            compared(result, doubled.reference, false).in_full(doubled.allowed);
            std::string words = doubled.allowed.words;
            look_again(result, doubled.reference, question, doubled.allowed, &words);
            conclude(words, false);
        }
    }

    // Results that are no tensors: the answer of allclose.
    void compare_plain() {
        for (std::size_t i = 0; i < operation_.results.size(); ++i) {
            if (operation_.results[i].isBool()) {
                const double value = operation_.results[i].toBool() ? 1 : 0;
                const double expected = reference_[i].toBool() ? 1 : 0;
                Comparison comparison;
                comparison.value = &value;
                comparison.reference = &expected;
                comparison.format = fp32;
                comparison.exact = true;
                compare(comparison, 0, 1, &finding_->outcome);
            }
        }
    }

    void bounded(const at::Tensor& result, const at::Tensor& expected) {
        if (!shapes_agree(result, expected)) {
            return;
        }
        if (!at::isFloatingType(result.scalar_type()) && !result.is_complex()) {
            compared(result, expected, true).in_full({});
            conclude("", true);
            return;
        }
        if (result.numel() == 0) {
            finding_->reason = "no elements";
            finding_->verdict = FUMI_VERDICT_PASS;
            return;
        }
        Question question{
            row_, operation_.handle, arguments_, dense(expected), &operation_, std::ldexp(1.0, -precision())};
        const Latitude latitude = latitude_of(question);
        std::string words = compare_by_bound(result, question, latitude);
        if (finding_->outcome.mismatches > 0 && operation_.generators != nullptr &&
            !compare_by_shown_draws(result)) {
            return;
        }
        question.places = nullptr;
        if (finding_->outcome.mismatches > 0 && finding_->outcome.unexpected == 0 &&
            latitude.partial_sums > 0 && explained_by_partial_sums(result, question, latitude)) {
            return;
        }
        look_again(result, question.reference, question, {}, &words);
        conclude(words, false);
        finding_->reason += where_;
    }

    // Elements over their bound: the rounding errors of equal products add up. allowed: what was granted, if
    // it is known.
    void look_again(const at::Tensor& result, const at::Tensor& expected, const Question& question,
                    Allowance allowed, std::string* words) {
        if (finding_->outcome.mismatches == 0 || finding_->outcome.unexpected > 0) {
            return;
        }
        const at::Tensor more = share_of_repeats(question);
        if (!more.defined()) {
            return;
        }
        const Outcome strict = finding_->outcome;
        allowed = allowed.allowed.defined() ? allowed : widened(question, latitude_of(question));
        allowed.allowed = allowed.allowed + more * allowed.magnitude;
        finding_->outcome = {};
        compared(result, expected, false).in_full(allowed);
        if (finding_->outcome.mismatches > 0) {
            finding_->outcome = strict;
        } else {
            *words = allowed.words + ", of products that repeat themselves";
        }
    }

    // Returns the words of the bound that was needed.
    std::string compare_by_bound(const at::Tensor& result, Question& question, const Latitude& latitude) {
        Compared both = compared(result, question.reference, false);
        std::string words;
        const bool complex = std::any_of(arguments_.begin(), arguments_.end(), is_complex);
        if (const std::optional<Cheap> cheap = complex ? std::nullopt : cheap_bound(question)) {
            const Places over = both.cheaply(cheap->bound);
            words = cheap->words;
            if (!over.empty()) {
                question.places = &over;
                const Allowance allowed = widened(question, latitude);
                words = allowed.words;
                both.at(over, allowed);
            }
        } else {
            words = in_full(result, question.reference, widened(question, latitude));
        }
        return words;
    }

    bool explained_by_partial_sums(const at::Tensor& result, const Question& question,
                                   const Latitude& latitude) {
        const Outcome strict = finding_->outcome;
        Allowance allowed = widened(question, latitude);
        allowed.allowed = allowed.allowed + allowed.magnitude * latitude.partial_sums;
        finding_->outcome = {};
        compared(result, question.reference, false).in_full(allowed);
        const bool explained = finding_->outcome.mismatches == 0 && finding_->outcome.unexpected == 0;
        if (explained) {
            finding_->verdict = FUMI_VERDICT_WARN;
            finding_->reason =
                "over its bound, but within what split-K with partial sums in the type of the output "
                "explains: "
                "torch.backends.cuda.matmul.allow_*_reduced_precision_reduction allows it" +
                where_;
        } else {
            finding_->outcome = strict;
        }
        return explained;
    }

    // A kernel of a GPU may draw other numbers in fp64 than in its own type; those of the CPU do not.
    bool compare_by_shown_draws(const at::Tensor& result) {
        if (!cuda_device(operation_.arguments).has_value()) {
            return true;
        }
        const at::Tensor expected = with_draws_of(result, operation_.handle, arguments_);
        if (!expected.defined()) {
            finding_->not_checked = "it draws random numbers, in fp64 others than in its own type";
            return false;
        }
        finding_->outcome = {};
        const at::Tensor magnitude = expected.abs();
        compared(result, expected, false).in_full({magnitude * row_.factor, magnitude, ""});
        return true;
    }

    void conclude(const std::string& words, bool exact) {
        if (sample_ != nullptr) {
            finding_->outcome.worst = sample_->place(finding_->outcome.worst);
        }
        finding_->verdict = judge(finding_->outcome, words, exact, &finding_->reason);
    }

    std::string in_full(const at::Tensor& result, const at::Tensor& expected, const Allowance& allowed) {
        if (allowed.value.defined()) {
            compared(allowed.value, allowed.expected, false).in_full(allowed);
        } else {
            compared(result, expected, false).in_full(allowed);
        }
        return allowed.words;
    }

    Compared compared(const at::Tensor& result, const at::Tensor& expected, bool exact) {
        const NumberFormat* const format = format_of(c10::toRealValueType(result.scalar_type()));
        return {result, expected,          format != nullptr ? *format : fp64, std::ldexp(1.0, -precision()),
                exact,  &finding_->outcome};
    }

    // The bits of the arithmetic. A single kernel computes fp16 and bf16 in fp32; what is composed of several
    // rounds between them.
    int precision() const {
        if (is_fp64_) {
            return 53;
        }
        if (row_.bound == Bound::attention) {
            return 24;  // its bound knows of the operands' type
        }
        const bool composed = !row_.library && operation_.handle.hasKernelForDispatchKey(
                                                   c10::DispatchKey::CompositeImplicitAutograd);
        return row_.own || composed ? precision_of_operands(operation_) : 24;
    }

    const Operation row_;
    const RunningOperation& operation_;
    const Sample* sample_;
    Finding* finding_;
    const bool is_fp64_;
    Arguments arguments_;
    std::vector<c10::IValue> reference_;
    std::string where_;
};

std::int64_t bytes_needed(const RunningOperation& operation) {
    std::int64_t elements = 0;
    const auto count = [&](const at::Tensor& tensor) { elements += tensor.numel(); };
    for (const auto* values : {&operation.arguments, &operation.results}) {
        for (const c10::IValue& value : *values) {
            each_tensor(value, count);
        }
    }
    const std::int64_t copies = has_doubles(operation.arguments) ? 10 : 4;  // raised, moved or in parts, the
    return elements * 8 * copies;                                           // reference and its bound
}

}  // namespace

namespace {

// A part of an operation on CPU tensors that draws nothing.
Finding check_part(const Operation& row, const RunningOperation& operation, Sample* sample) noexcept {
    Finding finding;
    try {
        const Unseen unseen;
        Check(row, sample->part(operation.handle, operation.results), sample, &finding).run_all();
    } catch (const std::exception& error) {
        finding.not_checked = std::string("the rerun failed: ") + error.what();
        finding.not_checked.resize(std::min(finding.not_checked.find('\n'), finding.not_checked.size()));
    }
    return finding;
}

}  // namespace

Finding check_operation(const Operation& row, const RunningOperation& operation, Sample* sample,
                        std::int64_t scratch_bytes) noexcept {
    if (sample != nullptr) {
        return check_part(row, operation, sample);
    }
    Finding finding;
    try {
        if (bytes_needed(operation) > scratch_bytes) {
            finding.not_checked = "its copies in fp64 need more than limits.scratch";
            return finding;
        }
        const auto device = cuda_device(operation.arguments);
        if (device.has_value() && !has_caught_up(*device)) {
            finding.not_checked = "the device had not got so far in 30 s";
            return finding;
        }
        const Unseen unseen;
        const SameDraws draws(operation.generators.get(), operation.arguments);
        Check(row, operation, nullptr, &finding).run_all();
    } catch (const c10::OutOfMemoryError&) {
        finding.not_checked = "no memory on the device for the rerun";
    } catch (const c10::Error& error) {
        finding.not_checked = std::string("the rerun failed: ") + error.what_without_backtrace();
    } catch (const std::exception& error) {
        finding.not_checked = std::string("the rerun failed: ") + error.what();
    }
    finding.not_checked.resize(std::min(finding.not_checked.find('\n'), finding.not_checked.size()));
    return finding;
}

}  // namespace fumi::mapping
