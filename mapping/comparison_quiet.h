// A run that is FuMi's own on a thread of the program: it sees the random numbers that the program's run saw,
// and leaves generators, autograd and observers as they were.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

namespace fumi::mapping {

// The states of the CPU's default generator, and of CUDA's.
class RandomState {
  public:
    explicit RandomState(bool cuda);
    void restore() const;

  private:
    struct Saved {
        at::Generator generator;
        at::Tensor state;
    };
    std::vector<Saved> all_;
};

class Quiet {
  public:
    // The generators are set to `begin`, and put back in the end.
    Quiet(const RandomState& begin, bool cuda);
    ~Quiet();
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

  private:
    struct Guards;
    RandomState after_;
    std::unique_ptr<Guards> guards_;
};

}  // namespace fumi::mapping
