// An operation run again: its arguments raised to fp64, moved or set, and the run itself below autograd and
// autocast, unseen by profilers and without a word.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <functional>
#include <memory>
#include <vector>

namespace fumi::mapping {

using Arguments = std::vector<c10::IValue>;

class Generators;  // operation_random.h

// What is known of an operation while it is looked at.
struct RunningOperation {
    c10::OperatorHandle handle;
    Arguments arguments;                           // as they were before it ran
    std::vector<c10::IValue> results;              // empty until it has ended
    std::shared_ptr<const Generators> generators;  // as they were before it ran; nullptr: it draws nothing
    bool rows_kept = false;  // rows of a linear that was given a tensor (operation_narrow.h), now a matrix
};

// While one of these lives, the thread's dispatcher calls go below autograd and autocast and are told to no
// observer.
class Unseen {
  public:
    Unseen();
    ~Unseen();
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;

  private:
    struct Guards;
    Guards* guards_;
};

// Applies `change` to each tensor in `value` (a tensor, or a list of them, possibly of optional ones).
c10::IValue with_tensors(const c10::IValue& value,
                         const std::function<at::Tensor(const at::Tensor&)>& change);
template <class Visit>
void each_tensor(const c10::IValue& value, const Visit& visit) {
    if (value.isTensor()) {
        if (value.toTensor().defined()) {
            visit(value.toTensor());
        }
    } else if (value.isList() && value.isTensorList()) {
        for (const c10::IValue& element : value.toListRef()) {
            visit(element.toTensor());
        }
    }
}

// Copies of what the operation will write, and of what shares memory with that; the rest as it is.
Arguments saved(const c10::FunctionSchema& schema, c10::ArrayRef<const c10::IValue> arguments);

// The arguments in fp64 (complex ones in complex128): floating tensors, numbers first rounded to `number`
// (the type that the operation computes them in), dtype=; out= arguments become new tensors. integers:
// integer tensors too.
Arguments raised(const RunningOperation& operation, at::ScalarType number, bool integers);

// One of the changes that bounds need, to arguments that were raised: 1 for every number, |x|, x (1 + step)
// of one argument.
Arguments magnitudes(const c10::FunctionSchema& schema, const Arguments& arguments);
Arguments ones(const c10::FunctionSchema& schema, const Arguments& arguments);
Arguments moved(const Arguments& arguments, std::size_t which, double step);

// Throws what the operation throws. Needs an Unseen.
std::vector<c10::IValue> run(const c10::OperatorHandle& operation, const Arguments& arguments);

// A convolution of a batch, image by image: torch's fp64 kernel makes the columns of all images at once,
// which is more memory than the caches have, and slow.
std::vector<c10::IValue> run_image_by_image(const c10::OperatorHandle& convolution,
                                            const Arguments& arguments);

bool is_floating(const c10::IValue& value);     // a tensor of a floating type
bool is_complex(const c10::IValue& value);      // a tensor of a complex type
bool is_number(const c10::Argument& argument);  // Scalar, or an optional one

}  // namespace fumi::mapping
