// A result of an operation beside that of its rerun, as arrays that operation_judge.h reads; on all of
// torch's threads.
#pragma once
#include <ATen/core/Tensor.h>

#include "mapping/operation_bounds.h"
#include "mapping/operation_judge.h"

namespace fumi::mapping {

class Compared {
  public:
    // Tensors of one shape. unit: u of the arithmetic. What is found is added to *outcome.
    Compared(const at::Tensor& result, const at::Tensor& expected, const NumberFormat& format, double unit,
             bool exact, Outcome* outcome);

    void in_full(const Allowance& allowed);
    // Returns the elements that this part of the bound does not cover, which are not counted yet.
    Places cheaply(const CheapBound& bound);
    void at(const Places& places, const Allowance& allowed);

  private:
    void bound_by(const Allowance& allowed);

    Outcome* outcome_;
    at::Tensor value_, reference_, allowed_, magnitude_;
    bool complex_;  // two numbers an element: a bound of the modulus holds for either
    Comparison arrays_;
};

}  // namespace fumi::mapping
