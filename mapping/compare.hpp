// The C++ part of compare.h: fumi::compare.
#ifndef FUMI_COMPARE_HPP
#define FUMI_COMPARE_HPP
#include <ATen/ATen.h>
#include <dlfcn.h>

#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "compare.h"

namespace fumi {

// As struct FumiMeasure.
struct Measure {
    std::string what, verdict, reason;
    std::int64_t elements = 0, mismatches = 0, nonfinite = 0;
    double max_abs_err = 0, max_rel_err = 0, rms_rel_err = 0, eta = 0, bound = 0, kappa = 0;
};

// As struct FumiComparisonResult.
struct Comparison {
    std::string name, shape, dtypes, verdict, reason, not_checked;
    std::vector<Measure> measures;

    // Of the first function against the second; 0 where nothing was compared.
    double max_rel_err() const { return measures.empty() ? 0 : measures[0].max_rel_err; }

    std::string text() const {
        std::ostringstream out;
        out << name << "  " << shape << "  " << dtypes;
        if (!not_checked.empty()) out << "\n  not compared: " << not_checked;
        for (const Measure& m : measures)
            out << "\n  " << (m.verdict.empty() ? "no bound" : m.verdict) << "  " << m.what
                << ": largest error " << m.max_abs_err << ", relative " << m.max_rel_err << ", rms "
                << m.rms_rel_err << ", eta " << m.eta << " u, bound " << m.bound << " u\n            "
                << m.reason;
        return out.str();
    }
};

// `out` is what the first function returned.
template <class Result>
struct Compared {
    Result out;
    Comparison comparison;
};

namespace compare_detail {

struct Library {
    decltype(&fumi_comparison_begin) begin = nullptr;
    decltype(&fumi_comparison_refusal) refusal = nullptr;
    decltype(&fumi_comparison_argument) argument = nullptr;
    decltype(&fumi_comparison_enter) enter = nullptr;
    decltype(&fumi_comparison_leave) leave = nullptr;
    decltype(&fumi_comparison_output) output = nullptr;
    decltype(&fumi_comparison_finish) finish = nullptr;
    decltype(&fumi_comparison_free) free = nullptr;
};

inline void* open_library() {
    const std::string name = "libfumi_torch.so";
    if (void* const there = dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD)) return there;
    std::string beside_hook =
        std::getenv("CUDA_INJECTION64_PATH") != nullptr ? std::getenv("CUDA_INJECTION64_PATH") : "";
    const auto slash = beside_hook.rfind("/libfumi_cupti.so");
    if (slash != std::string::npos)
        if (void* const found = dlopen((beside_hook.substr(0, slash + 1) + name).c_str(), RTLD_NOW))
            return found;
    if (const char* const directory = std::getenv("FUMI_LIB_DIR"))
        if (void* const found = dlopen((std::string(directory) + "/" + name).c_str(), RTLD_NOW)) return found;
    return dlopen(name.c_str(), RTLD_NOW);
}

// nullptr where libfumi_torch.so is not found.
inline const Library* library() {
    static const Library* const found = []() -> const Library* {
        void* const handle = open_library();
        static Library functions;
        const auto find = [&](auto& function, const char* name) {
            function = reinterpret_cast<std::decay_t<decltype(function)>>(
                handle != nullptr ? dlsym(handle, name) : nullptr);
            return function != nullptr;
        };
        const bool all = find(functions.begin, "fumi_comparison_begin") &&
                         find(functions.refusal, "fumi_comparison_refusal") &&
                         find(functions.argument, "fumi_comparison_argument") &&
                         find(functions.enter, "fumi_comparison_enter") &&
                         find(functions.leave, "fumi_comparison_leave") &&
                         find(functions.output, "fumi_comparison_output") &&
                         find(functions.finish, "fumi_comparison_finish") &&
                         find(functions.free, "fumi_comparison_free");
        return all ? &functions : nullptr;
    }();
    return found;
}

// A FumiTensor and what it points to.
struct Told {
    explicit Told(const at::Tensor& given) : tensor(given.detach()) {
        if (tensor.layout() != at::kStrided) tensor = tensor.to_dense();
        tensor = tensor.resolve_conj().resolve_neg();
        dtype = std::string(c10::toString(tensor.scalar_type()));
        for (const auto& [name, type] : c10::getStringToDtypeMap())
            if (type == tensor.scalar_type()) dtype = name;
        device = tensor.device().str();
        c.data = tensor.data_ptr();
        c.sizes = tensor.sizes().data();
        c.strides = tensor.strides().data();
        c.dimensions = tensor.dim();
        c.dtype = dtype.c_str();
        c.device = device.c_str();
    }
    at::Tensor tensor;
    std::string dtype, device;
    FumiTensor c{};
};

template <class Visit>
void each_tensor(const at::Tensor& value, const Visit& visit) {
    if (value.defined()) visit(value);
}
template <class Visit>
void each_tensor(const std::optional<at::Tensor>& value, const Visit& visit) {
    if (value.has_value()) each_tensor(*value, visit);
}
template <class Visit>
void each_tensor(const std::vector<at::Tensor>& value, const Visit& visit) {
    for (const at::Tensor& tensor : value) each_tensor(tensor, visit);
}
template <class Visit, class... Parts>
void each_tensor(const std::tuple<Parts...>& value, const Visit& visit) {
    std::apply([&](const auto&... part) { (each_tensor(part, visit), ...); }, value);
}
template <class Other, class Visit>
void each_tensor(const Other&, const Visit&) {}

inline at::Tensor copied(const at::Tensor& value) {
    return value.defined() ? value.detach().clone() : value;
}
inline std::optional<at::Tensor> copied(const std::optional<at::Tensor>& value) {
    return value.has_value() ? std::optional(copied(*value)) : value;
}
inline std::vector<at::Tensor> copied(const std::vector<at::Tensor>& value) {
    std::vector<at::Tensor> result;
    for (const at::Tensor& tensor : value) result.push_back(copied(tensor));
    return result;
}
template <class Other>
Other copied(const Other& value) {
    return value;
}

// One comparison in the library.
class Call {
  public:
    Call(const char* name, bool cuda) : library_(library()) {
        if (library_ != nullptr) call_ = library_->begin(FUMI_COMPARE_ABI, name, cuda ? 1 : 0);
    }
    ~Call() {
        if (call_ != nullptr) library_->free(call_);
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    explicit operator bool() const { return call_ != nullptr; }

    std::string refusal(std::int64_t bytes) const { return library_->refusal(call_, bytes); }

    template <class Value>
    void argument(const Value& value) {
        FumiArgument told{};
        if constexpr (std::is_convertible_v<Value, at::Tensor>) {
            tell_tensor(value, &told);
        } else if constexpr (std::is_same_v<Value, std::optional<at::Tensor>>) {
            tell_tensor(value.value_or(at::Tensor()), &told);
        } else if constexpr (std::is_same_v<Value, bool>) {
            told.kind = FUMI_ARGUMENT_BOOL;
            told.integer = value ? 1 : 0;
        } else if constexpr (std::is_integral_v<Value>) {
            told.kind = FUMI_ARGUMENT_INT;
            told.integer = static_cast<std::int64_t>(value);
        } else if constexpr (std::is_floating_point_v<Value>) {
            told.kind = FUMI_ARGUMENT_DOUBLE;
            told.number = static_cast<double>(value);
        } else if constexpr (std::is_same_v<Value, std::vector<std::int64_t>>) {
            told.kind = FUMI_ARGUMENT_INTS;
            told.integers = value.data();
            told.count = static_cast<std::int64_t>(value.size());
        } else if constexpr (std::is_same_v<Value, std::string>) {
            told.kind = FUMI_ARGUMENT_STRING;
            told.text = value.c_str();
        } else if constexpr (!std::is_same_v<Value, std::nullopt_t>) {
            known_ = false;  // no schema of torch takes it
            return;
        }
        library_->argument(call_, &told);
    }
    template <class Value>
    void outputs(std::int32_t of, const Value& value) {
        each_tensor(value, [&](const at::Tensor& tensor) {
            kept_.push_back(std::make_unique<Told>(tensor));
            library_->output(call_, of, &kept_.back()->c);
        });
    }
    template <class Run>
    std::string run(const Run& function) {
        library_->enter(call_);
        std::string failure;
        try {
            outputs(FUMI_OUTPUT_SECOND, function());
        } catch (const std::exception& error) {
            failure = std::string("the second function: ") + error.what();
        } catch (...) {
            failure = "the second function threw";
        }
        library_->leave(call_);
        return failure.substr(0, failure.find('\n'));
    }
    Comparison finish(bool untouched, const std::string& failure) {
        const FumiComparisonResult& told = *library_->finish(call_, known_ && untouched ? 1 : 0,
                                                             failure.empty() ? nullptr : failure.c_str());
        Comparison result{told.name,   told.shape,       told.dtypes, told.verdict,
                          told.reason, told.not_checked, {}};
        for (std::int64_t i = 0; i < told.count; ++i) {
            const FumiMeasure& m = told.measures[i];
            result.measures.push_back({m.what, m.verdict, m.reason, m.elements, m.mismatches, m.nonfinite,
                                       m.max_abs_err, m.max_rel_err, m.rms_rel_err, m.eta, m.bound, m.kappa});
        }
        return result;
    }

  private:
    void tell_tensor(const at::Tensor& tensor, FumiArgument* told) {
        if (!tensor.defined()) return;  // None
        kept_.push_back(std::make_unique<Told>(tensor));
        told->kind = FUMI_ARGUMENT_TENSOR;
        told->tensor = &kept_.back()->c;
    }
    const Library* library_;
    FumiComparison* call_ = nullptr;
    bool known_ = true;
    std::vector<std::unique_ptr<Told>> kept_;
};

}  // namespace compare_detail

// Calls first(arguments...), which is the program's call, and second on copies of the arguments. Tensors may
// stand in arguments as such, in std::optional and in std::vector; results may be tensors, and vectors and
// tuples of them. What first throws is the caller's, what second throws is not.
template <class First, class Second, class... Arguments>
auto compare(const char* name, First&& first, Second&& second, Arguments&&... arguments)
    -> Compared<std::decay_t<std::invoke_result_t<First&, Arguments&...>>> {
    namespace detail = compare_detail;
    bool cuda = false;
    std::int64_t bytes = 0;
    const auto look = [&](const at::Tensor& tensor) {
        cuda = cuda || tensor.is_cuda();
        bytes += tensor.numel() * static_cast<std::int64_t>(tensor.element_size());
    };
    (detail::each_tensor(arguments, look), ...);
    detail::Call call(name, cuda);
    if (!call) {
        Comparison none{name, "", "", "", "", "", {}};
        none.not_checked = detail::library() == nullptr
                               ? "libfumi_torch.so is not found: run under fumi run, or set FUMI_LIB_DIR"
                               : "inside another comparison, or left out by the configuration";
        return {first(arguments...), none};
    }
    std::string failure = call.refusal(bytes);
    using Copies = std::tuple<std::decay_t<decltype(detail::copied(arguments))>...>;
    std::optional<Copies> copies;
    if (failure.empty()) {
        copies.emplace(detail::copied(arguments)...);
        std::apply([&](const auto&... copy) { (call.argument(copy), ...); }, *copies);
    }
    auto out = first(arguments...);
    std::uint64_t written = 0;
    if (failure.empty()) {
        call.outputs(FUMI_OUTPUT_FIRST, out);
        failure = call.run([&] { return std::apply(second, *copies); });
        // A copy is at version 0 until somebody writes it.
        const auto version = [&](const at::Tensor& tensor) {
            written += tensor.is_inference() ? 0 : static_cast<std::uint64_t>(tensor._version());
        };
        std::apply([&](const auto&... copy) { (detail::each_tensor(copy, version), ...); }, *copies);
    }
    return {std::move(out), call.finish(written == 0, failure)};
}

}  // namespace fumi
#endif
