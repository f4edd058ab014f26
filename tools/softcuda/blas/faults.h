// Planted faults: the ground truth for detection. A YAML file (SOFTCUDA_FAULTS) says which library calls go
// wrong and how; nothing here knows which library it is, so that cuBLAS and cuDNN share it:
//
//     if (auto fault = faults::plan("cublasSgemm_v2", {.m = m, .n = n, .k = k})) ...       at call time, in
//     call order
//
// A plan's input and sum faults are asked for by whoever computes (input_rounding, lost_k, split_sum...), its
// output faults change finished results (apply_to_output). Every plan is logged once for each execution
// (SOFTCUDA_FAULT_LOG).
#pragma once
#include <library_types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace softcuda::faults {

enum class Kind : std::uint8_t {
    round_inputs_bf16,  // the inputs lose all but 8 significant bits
    round_inputs_tf32,  // all but 11
    fp16_accumulate,    // every partial sum of 16 products is rounded to fp16
    one_element,  // args {size}: one result is off by this share of itself, default 1e-3, at least 2 units in
                  // the last place
    bit_flip,     // args {bit}: one bit of one result, default the lowest of the exponent
    drop_k,       // args {k}: the products of one k are left out, default one that matters
    zero_tile,    // args {rows, cols}: a tile is zero, default 128 x 128 or the matrix
    nan,          // one result is NaN
    negate_row,   // one row of results has the wrong sign
    drop_bias_row,     // one row does not get its bias
    stale_output,      // the results are never written
    swap_columns,      // two columns change places
    nondeterministic,  // args {parts}: the sum is split at random at each run, its parts are added in bf16
};
const char* name_of(Kind kind) noexcept;
std::optional<Kind> kind_named(const std::string& name) noexcept;

struct Shape {
    std::int64_t m = 1, n = 1, k = 1, batch = 1;
};

struct Plan {
    Kind kind{};
    std::string function;
    std::string operation;  // of functions that stand for several: convolution_forward, attention_backward...
    Shape shape;
    std::uint64_t seed = 0;
    std::uint64_t matching_ordinal = 0;  // among the calls that this fault's selection matches, from 1
    std::uint64_t function_ordinal = 0;  // among all calls of the function, from 1
    std::optional<double> size;
    std::optional<std::int64_t> bit, k, rows, cols, parts;
};

// The fault that the file plants in this call, if any. Counts the call: once for each library call, in call
// order.
std::shared_ptr<const Plan> plan(const char* function, const Shape& shape,
                                 const char* operation = "") noexcept;

// True where SOFTCUDA_FAULTS names a file that could be read. A bad file is said on stderr and plants
// nothing.
bool active() noexcept;

// Finished results, in memory that the caller may touch.
struct View {
    void* data = nullptr;
    cudaDataType type = CUDA_R_32F;
    std::int64_t rows = 0, cols = 0;
    std::int64_t row_stride = 1, col_stride = 1;  // in elements
};

struct Where {  // what was changed, for the log; -1: does not apply
    std::int64_t batch = -1, row = -1, col = -1, rows = -1, cols = -1, k = -1;
    double before = 0, after = 0;
};

bool is_output_fault(Kind kind) noexcept;

// The elements of all views in one dense copy, and back again.
std::vector<unsigned char> save(std::span<const View> views);
void restore(std::span<const View> views, const std::vector<unsigned char>& saved) noexcept;

// Changes one of the views (one for each entry of a batch) as the plan says, where the change shows. Empty:
// it would show nowhere.
std::optional<Where> apply_to_output(const Plan& plan, std::span<const View> views);

// Writes the plan to the log: planted at `where`, or not, with the reason.
void log_planted(const Plan& plan, const Where& where) noexcept;
void log_skipped(const Plan& plan, const char* reason) noexcept;

// A number sequence of the plan's seed, and of `run` for faults that differ from run to run.
class Random {
  public:
    explicit Random(const Plan& plan, std::uint64_t run = 0) noexcept;
    std::uint64_t next() noexcept;
    std::int64_t below(std::int64_t limit) noexcept;  // uniform in [0, limit)

  private:
    std::uint64_t state_;
};

}  // namespace softcuda::faults
