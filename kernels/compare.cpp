#include "kernels/compare.h"

#include <algorithm>

namespace fumi {

namespace {

// What a complex type is made of.
DataType part_of(DataType type) noexcept {
    switch (type) {
        case DataType::c16:
            return DataType::f16;
        case DataType::c32:
            return DataType::f32;
        case DataType::c64:
            return DataType::f64;
        default:
            return type;
    }
}

}  // namespace

std::int64_t count_of(const Strided& view) noexcept {
    std::int64_t count = 1;
    for (const std::int64_t size : view.size) count *= size;
    return count;
}

Strided strided(const MatrixView& view, std::int64_t rows, std::int64_t columns,
                std::int64_t batch) noexcept {
    const int parts = is_complex(view.type) ? 2 : 1;
    Strided result;
    result.data = view.data;
    result.type = part_of(view.type);
    result.size[0] = parts;
    result.stride[0] = 1;
    const std::int64_t sizes[] = {rows, columns, batch};
    const std::int64_t strides[] = {view.row_stride, view.col_stride, view.batch_stride};
    for (int d = 0; d < 3; ++d) {
        result.size[d + 1] = sizes[d];
        result.stride[d + 1] = strides[d] * parts;
    }
    return result;
}

unsigned compare_blocks(std::int64_t elements, std::size_t scratch_bytes) noexcept {
    constexpr std::int64_t elements_a_block = 16 * kCheckThreads, most = 1024;
    const std::int64_t wanted = std::clamp<std::int64_t>(elements / elements_a_block, 1, most);
    const auto fitting = static_cast<std::int64_t>(scratch_bytes / sizeof(ErrorStats));
    return static_cast<unsigned>(std::max<std::int64_t>(1, std::min(wanted, fitting)));
}

}  // namespace fumi
