#include "mapping/parallel.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

#include <numeric>
#include <vector>

namespace fumi::mapping {

void in_parallel(std::int64_t count, c10::function_ref<void(std::int64_t, std::int64_t)> function) {
    if (count <= 1 || at::get_num_threads() == 1 || at::in_parallel_region()) {
        function(0, count);
        return;
    }
    // The loop of element-wise operations is compiled in libtorch_cpu.so. Here its elements are numbers of
    // parts.
    std::vector<std::int64_t> parts(static_cast<std::size_t>(count));
    std::iota(parts.begin(), parts.end(), 0);
    auto loop = at::TensorIteratorConfig()
                    .add_owned_const_input(at::from_blob(parts.data(), {count}, at::kLong))
                    .build();
    loop.for_each(
        [&](char** data, const std::int64_t* /*strides*/, std::int64_t size, std::int64_t /*rows: 1*/) {
            const std::int64_t first = *reinterpret_cast<const std::int64_t*>(data[0]);
            function(first, first + size);
        },
        /*grain_size=*/1);
}

}  // namespace fumi::mapping
