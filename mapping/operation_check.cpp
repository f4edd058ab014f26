#include "mapping/operation_check.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>

#include "mapping/operation_cheap.h"
#include "mapping/operation_compare.h"
#include "mapping/operation_question.h"

namespace fumi::mapping {
namespace {

constexpr NumberFormat fp32{"fp32", 24, -126, std::numeric_limits<float>::max()};
constexpr NumberFormat fp16{"fp16", 11, -14, 65504};
constexpr NumberFormat bf16{"bf16", 8, -126, 0x1.FEp127};
constexpr NumberFormat fp64{"fp64", 53, -1022, std::numeric_limits<double>::max()};

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

// The tensors of a result list, in order.
std::vector<at::Tensor> tensors(const std::vector<c10::IValue>& values) {
    std::vector<at::Tensor> all;
    for (const c10::IValue& value : values) {
        each_tensor(value, [&](const at::Tensor& tensor) { all.push_back(tensor); });
    }
    return all;
}

const char* obstacle_of(const at::Tensor& tensor) {
    if (tensor.is_quantized()) {
        return "quantised operands: torch has no fp64 form of them";
    }
    if (!tensor.is_cpu()) {
        return "only operations on CPU tensors are rerun; library calls of CUDA tensors are checked as such";
    }
    if (at::isComplexType(tensor.scalar_type())) {
        return "complex operands are not rerun yet";
    }
    if (tensor.scalar_type() == at::kDouble && tensor.dim() > 0) {
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

// The default generator of CPU tensors as it stands.
struct RandomState {
    at::mt19937 engine;
    std::optional<float> normal_float;
    std::optional<double> normal_double;
};

}  // namespace

const char* obstacle(const c10::OperatorHandle& handle, c10::ArrayRef<const c10::IValue> arguments) {
    const char* found = nullptr;
    bool random = handle.hasTag(at::Tag::nondeterministic_seeded);
    for (std::size_t i = 0; i < arguments.size() && found == nullptr; ++i) {
        each_tensor(arguments[i], [&](const at::Tensor& tensor) {
            if (found == nullptr) {
                found = obstacle_of(tensor);
            }
        });
        const std::string& name = handle.schema().arguments()[i].name();
        if (name == "training" && arguments[i].isBool() && !arguments[i].toBool()) {
            random = false;  // rrelu
        }
        if (name == "dropout_p" && arguments[i].isDouble()) {
            random = arguments[i].toDouble() != 0;
        }
        if (arguments[i].isGenerator()) {
            random = true;
        }
    }
    return found != nullptr ? found
           : random         ? "it draws random numbers, in fp64 others than in fp32"
                            : nullptr;
}

namespace {

class Check {
  public:
    Check(const Operation& row, const RunningOperation& operation, Finding* finding)
        : row_(row), operation_(operation), finding_(finding) {}

    void run_all() {
        if (row_.bound == Bound::exact && row_.own && precision() < 24) {
            finding_->not_checked =
                "its choice of elements is computed in fp16 or bf16, in fp64 it is another one";
            return;
        }
        const std::vector<at::Tensor> results = tensors(operation_.results);
        const at::ScalarType type = results.empty() ? at::kFloat : results[0].scalar_type();
        bool any_floating = false;
        for (const c10::IValue& value : operation_.arguments) {
            any_floating = any_floating || is_floating(value);
        }
        const bool integers = !any_floating && at::isFloatingType(type);
        const bool narrow_numbers = row_.bound == Bound::exact && at::isFloatingType(type);
        arguments_ = raised(operation_, narrow_numbers ? type : at::kFloat, integers);
        const bool convolution = row_.bound == Bound::product &&
                                 std::strncmp(row_.op, "aten::conv", 10) == 0 &&
                                 std::strncmp(row_.op, "aten::conv_", 11) != 0;
        reference_ = convolution ? run_image_by_image(operation_.handle, arguments_)
                                 : run(operation_.handle, arguments_);
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
        finding_->verdict = judge(finding_->outcome, "", true, &finding_->reason);
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
        if (!at::isFloatingType(result.scalar_type())) {
            compared(result, expected, true).in_full({});
            finding_->verdict = judge(finding_->outcome, "", true, &finding_->reason);
            return;
        }
        Question question{row_, operation_.handle, arguments_, dense(expected)};
        Compared both = compared(result, expected, false);
        std::string words;
        if (const std::optional<Cheap> cheap = cheap_bound(question)) {
            const Places over = both.cheaply(cheap->bound);
            words = cheap->words;
            if (!over.empty()) {
                question.places = &over;
                const Allowance allowed = allowance(question);
                words = allowed.words;
                both.at(over, allowed);
            }
        } else {
            const Allowance allowed = allowance(question);
            words = allowed.words;
            both.in_full(allowed);
        }
        finding_->verdict = judge(finding_->outcome, words, false, &finding_->reason);
    }

    Compared compared(const at::Tensor& result, const at::Tensor& expected, bool exact) {
        const NumberFormat* const format = format_of(result.scalar_type());
        return {result, expected,          format != nullptr ? *format : fp64, std::ldexp(1.0, -precision()),
                exact,  &finding_->outcome};
    }

    // The bits of the arithmetic. A single kernel computes fp16 and bf16 in fp32; what is composed of several
    // rounds between them.
    int precision() const {
        int narrowest = 24;
        for (const auto* values : {&operation_.arguments, &operation_.results}) {
            for (const c10::IValue& value : *values) {
                const NumberFormat* const format =
                    is_floating(value) ? format_of(value.toTensor().scalar_type()) : nullptr;
                narrowest = std::min(narrowest, format != nullptr ? format->precision : 24);
            }
        }
        const bool composed = !row_.library && operation_.handle.hasKernelForDispatchKey(
                                                   c10::DispatchKey::CompositeImplicitAutograd);
        return row_.own || composed ? narrowest : 24;
    }

    const Operation& row_;
    const RunningOperation& operation_;
    Finding* finding_;
    Arguments arguments_;
    std::vector<c10::IValue> reference_;
};

// Puts the generator back where the rerun has drawn from it all the same.
class RandomUntouched {
  public:
    RandomUntouched() : generator_(at::detail::getDefaultCPUGenerator()), state_(read()) {}
    ~RandomUntouched() {
        const std::lock_guard lock(generator_.mutex());
        auto* const cpu = generator_.get<at::CPUGeneratorImpl>();
        cpu->set_engine(state_.engine);
        cpu->set_next_float_normal_sample(state_.normal_float);
        cpu->set_next_double_normal_sample(state_.normal_double);
    }
    RandomUntouched(const RandomUntouched&) = delete;
    RandomUntouched& operator=(const RandomUntouched&) = delete;

  private:
    RandomState read() {
        const std::lock_guard lock(generator_.mutex());
        auto* const cpu = generator_.get<at::CPUGeneratorImpl>();
        return {cpu->engine(), cpu->next_float_normal_sample(), cpu->next_double_normal_sample()};
    }
    at::Generator generator_;
    RandomState state_;
};

std::int64_t bytes_needed(const RunningOperation& operation) {
    std::int64_t elements = 0;
    const auto count = [&](const at::Tensor& tensor) { elements += tensor.numel(); };
    for (const auto* values : {&operation.arguments, &operation.results}) {
        for (const c10::IValue& value : *values) {
            each_tensor(value, count);
        }
    }
    return elements * 8 * 4;  // raised, moved, the reference and its bound
}

}  // namespace

Finding check_operation(const Operation& row, const RunningOperation& operation,
                        std::int64_t scratch_bytes) noexcept {
    Finding finding;
    try {
        if (bytes_needed(operation) > scratch_bytes) {
            finding.not_checked = "its copies in fp64 need more than limits.scratch";
            return finding;
        }
        const Unseen unseen;
        const RandomUntouched random;
        Check(row, operation, &finding).run_all();
    } catch (const c10::Error& error) {
        finding.not_checked = std::string("the rerun failed: ") + error.what_without_backtrace();
    } catch (const std::exception& error) {
        finding.not_checked = std::string("the rerun failed: ") + error.what();
    }
    finding.not_checked.resize(std::min(finding.not_checked.find('\n'), finding.not_checked.size()));
    return finding;
}

namespace {

void add_tensors(const std::vector<c10::IValue>& values,
                 const std::function<std::string(const at::Tensor&)>& word, const char* between,
                 std::string* text) {
    for (const c10::IValue& value : values) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            *text += (text->empty() || text->back() == ' ' ? "" : between) + word(tensor);
        });
    }
}

std::string sizes(const at::Tensor& tensor) {
    std::string text = "[";
    for (const std::int64_t size : tensor.sizes()) {
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    }
    return text + "]";
}

std::string type_name(const at::Tensor& tensor) {
    const NumberFormat* const format = format_of(tensor.scalar_type());
    return format != nullptr ? format->name : c10::toString(tensor.scalar_type());
}

}  // namespace

std::string shape_text(const RunningOperation& operation) {
    std::string text;
    add_tensors(operation.arguments, sizes, " ", &text);
    text += " -> ";
    add_tensors(operation.results, sizes, " ", &text);
    return text;
}

std::string dtypes_text(const RunningOperation& operation) {
    std::string text;
    add_tensors(operation.arguments, type_name, ",", &text);
    add_tensors(operation.results, type_name, ",", &text);
    return text;
}

}  // namespace fumi::mapping
