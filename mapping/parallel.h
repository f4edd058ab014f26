// Torch's own threads for loops of this library.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace fumi::mapping {

/// Calls function(first, last) for ranges that make up [0, count), on torch's intra-op threads where it has
/// more than one and this is not one of them. `function` runs no operation. Throws what `function` throws.
///
/// at::parallel_for is a template over OpenMP: compiled here, without -fopenmp, it takes one thread; with it,
/// this library would bring a second OpenMP where torch has another than GCC's.
void in_parallel(std::int64_t count, c10::function_ref<void(std::int64_t, std::int64_t)> function);

}  // namespace fumi::mapping
