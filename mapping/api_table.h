// The compiled tables: which torch API an aten op is, and what an fp64 rerun may differ by.
#pragma once
#include <cstdint>
#include <span>

namespace fumi::mapping {

// How the rounding errors of an operation are bounded (docs/numerics.md section 11). The word of a row's
// `bound`.
enum class Bound : std::uint8_t {
    unwatched,    // no `bound` in the row: not rerun
    none,         // rerun, the error is measured and not judged
    exact,        // rounds nothing: selection, copies, comparisons
    elementwise,  // p u (|y| + sum |x dy/dx|), the derivatives measured
    gated,        // the same with |x| beside |y|: x (1 + f(x)) where f(x) comes near -1
    product,      // a sum of products: p u (2 sqrt(K) + 4) f(|x|, |w|, ...)
    positive,     // of a sum of positive terms: p u (2 sqrt(K) + 8) |y|
    spread,       // std: u (2 sqrt(K) + 8) (|y| + max |x|)
    softmax,
    log_softmax,
    logsumexp,
    layer_norm,
    group_norm,
    batch_norm,
    instance_norm,
    loss,  // an elementwise loss, none | mean | sum
    cross_entropy,
    multi_margin,
    multilabel_margin,
    triplet_margin,
    cosine_embedding,
    ctc,
    logits_entropy,
    poisson,
    soft_margin,
    cholesky,  // of A - L L^T
    covariance,
    matrix_exponential,
    matrix_power,
    attention,
    incomplete_gamma,
    running_logsumexp,
    quantised,  // half a quantum, and what comes before the rounding
};

struct Operation {
    const char* op;   // aten::add
    const char* api;  // torch.add
    Bound bound;
    double factor;  // p of the bound
    bool own;       // fp16 and bf16 are rounded to their own type in between, and not only at the end
    bool library;   // the row is of an op that may reach a math library
};

// nullptr where no table has `op` (no overload). About 10 ns.
const Operation* operation_of(const char* op) noexcept;

// All rows, sorted by op.
std::span<const Operation> operations() noexcept;

// The torch API of `op` ("aten::addmm" -> "torch.addmm"), or nullptr where no table has it. Rows of
// operations that reach no library are left out until name_all_operations().
const char* api_of(const char* op) noexcept;
const char* api_of(const Operation* row) noexcept;
void name_all_operations() noexcept;

// The name of an API that is Python code of torch made of several ops ("torch.nn.functional.softmin"), or
// nullptr.
const char* python_api(const char* name) noexcept;

}  // namespace fumi::mapping
