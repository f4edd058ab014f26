// Saving C before a call that overwrites it: how much memory a copy needs, and the copy.
#pragma once
#include <cstdint>

#include "cupti_hook/libraries/driver_api.h"
#include "kernels/gemm_problem.h"

namespace fumi::rerun {

// A matrix (or batch of them) in memory, from its lowest to its highest byte.
struct Extent {
    std::intptr_t begin = 0, end = 0;
    bool empty() const noexcept { return begin == end; }
    bool overlaps(const Extent& other) const noexcept { return begin < other.end && other.begin < end; }
};
Extent extent_of(const MatrixView& view, std::int64_t rows, std::int64_t columns,
                 std::int64_t batch) noexcept;

struct SavePlan {
    enum class Form { none, span, rows_of_bytes } form = Form::none;
    std::size_t bytes = 0;                         // of scratch
    MatrixView view;                               // of the copy, once `data` is set
    Extent source;                                 // all of C
    CUdeviceptr copy = 0;                          // its lowest byte, once saved
    std::int64_t data_offset = 0;                  // of element (0, 0, 0) in the copy
    std::size_t width = 0, height = 0, pitch = 0;  // rows_of_bytes
    const char* reason = nullptr;                  // why C cannot be saved
};
// For an m x n x batch C.
SavePlan plan_save(const MatrixView& c, std::int64_t m, std::int64_t n, std::int64_t batch) noexcept;

// Enqueues the copy and points plan.view at it.
CUresult save(const libraries::DriverApi& driver, SavePlan& plan, CUdeviceptr scratch,
              CUstream stream) noexcept;

// Enqueues the copy back: of what was saved, to where the lowest byte of C shall lie (with C's own strides).
CUresult restore(const libraries::DriverApi& driver, const SavePlan& plan, CUdeviceptr to,
                 CUstream stream) noexcept;

}  // namespace fumi::rerun
