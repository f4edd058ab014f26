// A part of an operation that is an operation of its own: some elements of one that is elementwise, some rows
// and columns of a matrix product, one image of a convolution's batch. Every element of it is one of the
// whole result.
#pragma once
#include <cstdint>
#include <memory>

#include "mapping/api_table.h"
#include "mapping/operation_judge.h"
#include "mapping/operation_rerun.h"

namespace fumi::mapping {

class Sample {
  public:
    // Before the operation runs. elements: about as many. nullptr where it has no such part, or where the
    // part is not much smaller than the whole.
    static std::unique_ptr<Sample> of(const Operation& row, const c10::OperatorHandle& handle,
                                      c10::ArrayRef<const c10::IValue> arguments, std::int64_t elements,
                                      std::uint64_t seed);

    // When it has run: the part, with its results.
    RunningOperation part(const c10::OperatorHandle& handle, const std::vector<c10::IValue>& results);

    // Where an element of the part's result lies in that of the whole.
    std::int64_t place(std::int64_t element) const;

  private:
    enum class Kind : std::uint8_t { elements, product, image };

    bool elementwise(std::int64_t elements, std::uint64_t seed);
    bool product(std::int64_t elements, std::uint64_t seed, bool transposed);
    bool convolution(std::uint64_t seed);

    Kind kind_ = Kind::elements;
    Arguments arguments_;
    std::vector<std::int64_t> shape_;  // of the whole result
    Places places_;                    // elements; of a product its rows
    Places columns_;
    bool rows_kept_ = false;
    std::int64_t image_ = 0, image_size_ = 0;
};

}  // namespace fumi::mapping
