// Copies and fills as work on a stream, for cudart and the driver API.
#pragma once
#include <cuda_runtime_api.h>
#include <cstddef>

namespace softcuda {

// `height` rows of `width` bytes.
struct Rectangle {
    void* target;
    std::size_t target_pitch;
    const void* source;
    std::size_t source_pitch;
    std::size_t width, height;
};

// cudaMemcpy2DAsync's rules; `wait` makes it cudaMemcpy2D.
cudaError_t copy_on_stream(Rectangle copy, cudaMemcpyKind kind, cudaStream_t stream, bool wait);

// `height` rows of `width` values of `unit` (1, 2 or 4) bytes.
cudaError_t fill_on_stream(void* target, std::size_t pitch, unsigned value, std::size_t unit,
                           std::size_t width, std::size_t height, cudaStream_t stream);

}  // namespace softcuda
