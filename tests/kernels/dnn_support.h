// What the tests of the cuDNN checks share: tensors that own their memory, and a way to run a plan with the
// host bodies.
#pragma once
#include <initializer_list>
#include <stdexcept>

#include "kernels/dnn_check.h"
#include "tests/kernels/models.h"
#include "tests/kernels/support.h"

namespace fumi::test {

struct HostBytes {
    const void* data;
    std::size_t bytes;
};

enum class Format { channels_first, channels_last };

class Tensor {
  public:
    Tensor() = default;
    Tensor(DataType type, const std::vector<std::int64_t>& sizes, Format format = Format::channels_first);
    double get(const std::vector<std::int64_t>& at) const;
    void set(const std::vector<std::int64_t>& at, double value);  // rounded to the type
    // Elements in the order of the sizes, the last fastest, whatever the strides are.
    double operator[](std::int64_t index) const;
    void put(std::int64_t index, double value);
    std::int64_t count() const;
    void fill(const std::function<double()>& draw);
    Tensor copy() const;
    HostBytes bytes() const { return {memory_.data(), memory_.size() * sizeof(std::uint64_t)}; }
    TensorView view;

  private:
    std::int64_t offset(std::int64_t index) const;
    std::vector<std::uint64_t> memory_;
};

// Runs all launches of a plan, as the software device would.
void run_launches(const CheckPlan& plan);

template <class Problem>
ErrorStats run_dnn(const Problem& problem, const DnnContract& contract, const DnnCoverage& coverage = {},
                   std::size_t ceiling = std::size_t{64} << 20) {
    ResultSlot slot;
    CheckTarget target;
    target.scratch_ceiling = ceiling;
    target.slot = &slot;
    target.sequence = 7;
    const CheckPlan first = plan_check(problem, contract, coverage, target);
    if (*first.reason != '\0') throw std::runtime_error(first.reason);
    if (first.scratch_bytes > ceiling) throw std::runtime_error("more scratch than the ceiling");
    std::vector<std::uint64_t> scratch(first.scratch_bytes / 8 + 1, 0x7ff8dead7ff8deadULL);
    target.scratch = scratch.data();
    run_launches(plan_check(problem, contract, coverage, target));
    if (slot.sequence != 7) throw std::runtime_error("no result");
    return slot.stats;
}

// The largest error in units of the bound that legal kernels reached: printed, for docs/numerics.md. Below 1,
// and for outputs of 16 bits close to it: a rounded result may be half a unit of its last place off, and is
// in some element.
class Largest {
  public:
    explicit Largest(std::string operation) : operation_(std::move(operation)) {}
    Largest(const Largest&) = delete;
    ~Largest();
    void note(double ratio) { ratio_ = ratio > ratio_ ? ratio : ratio_; }

  private:
    std::string operation_;
    double ratio_ = 0;
};

// Facts of a call whose operands and output have these types.
DnnContract plain_contract(DataType type, bool ieee = true);

}  // namespace fumi::test
