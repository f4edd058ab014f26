// Operations that draw random numbers: run again from the state that their generators had.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace fumi::mapping {

// Static: as far as tags and arguments say.
bool draws_random_numbers(const c10::OperatorHandle& handle, std::span<const c10::IValue> arguments);

// The states of the generators that an operation with these arguments may draw from: the one it is given, or
// the CPU's and its device's own.
class Generators {
  public:
    explicit Generators(std::span<const c10::IValue> arguments);
    void restore() const;

  private:
    void add(at::Generator generator);
    std::vector<std::pair<at::Generator, at::Tensor>> states_;
};

// While one of these lives, each run() of the thread (operation_rerun.h) begins with the draws of `first`; at
// the end the generators stand where they stood when it was made. first == nullptr: nothing is drawn.
class SameDraws {
  public:
    SameDraws(const Generators* first, std::span<const c10::IValue> arguments);
    ~SameDraws();
    SameDraws(const SameDraws&) = delete;
    SameDraws& operator=(const SameDraws&) = delete;
    static void begin_run();

  private:
    std::unique_ptr<const Generators> after_;
};

// What the operation gives for the draws that its result shows, where a kernel draws other numbers in fp64
// than in its own type: dropout keeps the elements that are not 0 (where their number can come of p), rrelu
// has slopes from lower to upper. arguments: raised. Undefined where a result does not show them.
at::Tensor with_draws_of(const at::Tensor& result, const c10::OperatorHandle& handle,
                         const std::vector<c10::IValue>& arguments);

}  // namespace fumi::mapping
