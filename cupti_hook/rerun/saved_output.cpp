#include "cupti_hook/rerun/saved_output.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/contract.h"

namespace fumi::rerun {

Extent extent_of(const MatrixView& view, std::int64_t rows, std::int64_t columns,
                 std::int64_t batch) noexcept {
    if (view.data == nullptr || rows <= 0 || columns <= 0 || batch <= 0) return {};
    std::int64_t low = 0, high = 0;
    for (const std::int64_t reach :
         {(rows - 1) * view.row_stride, (columns - 1) * view.col_stride, (batch - 1) * view.batch_stride}) {
        low += std::min<std::int64_t>(reach, 0);
        high += std::max<std::int64_t>(reach, 0);
    }
    const auto base = reinterpret_cast<std::intptr_t>(view.data);
    const std::int64_t element = element_bytes(view.type);
    return {base + low * element, base + (high + 1) * element};
}

SavePlan plan_save(const MatrixView& c, std::int64_t m, std::int64_t n, std::int64_t batch) noexcept {
    SavePlan plan;
    if (c.batch_pointers != nullptr) {
        plan.reason = "C behind an array of pointers is overwritten by the call";
        return plan;
    }
    const auto element = static_cast<std::size_t>(element_bytes(c.type));
    const std::size_t dense = element * static_cast<std::size_t>(m * n * batch);
    plan.source = extent_of(c, m, n, batch);
    plan.view = c;
    const auto span = static_cast<std::size_t>(plan.source.end - plan.source.begin);
    // One copy of all that lies between the first and the last element, unless most of that is somebody
    // else's.
    if (span <= 2 * dense) {
        plan.form = SavePlan::Form::span;
        plan.bytes = span;
        plan.data_offset = reinterpret_cast<std::intptr_t>(c.data) - plan.source.begin;
        return plan;
    }
    const bool vector = n == 1, by_columns = c.row_stride == 1 && c.col_stride > 0;
    const bool by_rows = c.col_stride == 1 && c.row_stride > 0;
    if (batch != 1 || (!vector && !by_columns && !by_rows)) {
        plan.reason = "C is overwritten by the call, and too scattered to be saved";
        return plan;
    }
    plan.form = SavePlan::Form::rows_of_bytes;
    plan.bytes = dense;
    const auto set = [&](std::int64_t width, std::int64_t height, std::int64_t pitch) {
        plan.width = element * static_cast<std::size_t>(width);
        plan.height = static_cast<std::size_t>(height);
        plan.pitch = element * static_cast<std::size_t>(pitch);
    };
    if (vector) {  // which may run backwards, as BLAS has it
        set(1, m, std::abs(c.row_stride));
        plan.view.row_stride = c.row_stride < 0 ? -1 : 1;
        plan.data_offset = c.row_stride < 0 ? static_cast<std::int64_t>(element) * (m - 1) : 0;
    } else if (by_columns) {
        set(m, n, c.col_stride);
        plan.view.col_stride = m;
    } else {
        set(n, m, c.row_stride);
        plan.view.row_stride = n;
    }
    return plan;
}

namespace {

// Between C (its lowest byte at `spread`, its rows a pitch apart) and the copy, where they lie without gaps.
CUresult copy_rows(const libraries::DriverApi& driver, const SavePlan& plan, CUdeviceptr spread,
                   CUdeviceptr dense, bool out, CUstream stream) noexcept {
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = out ? dense : spread;
    copy.srcPitch = out ? plan.width : plan.pitch;
    copy.dstDevice = out ? spread : dense;
    copy.dstPitch = out ? plan.pitch : plan.width;
    copy.WidthInBytes = plan.width;
    copy.Height = plan.height;
    return driver.memcpy_2d_async(&copy, stream);
}

}  // namespace

CUresult save(const libraries::DriverApi& driver, SavePlan& plan, CUdeviceptr scratch,
              CUstream stream) noexcept {
    plan.copy = scratch;
    plan.view.data = reinterpret_cast<const void*>(scratch + static_cast<CUdeviceptr>(plan.data_offset));
    const auto source = static_cast<CUdeviceptr>(plan.source.begin);
    if (plan.form == SavePlan::Form::span)
        return driver.memcpy_dtod_async(scratch, source, plan.bytes, stream);
    return copy_rows(driver, plan, source, scratch, false, stream);
}

CUresult restore(const libraries::DriverApi& driver, const SavePlan& plan, CUdeviceptr to,
                 CUstream stream) noexcept {
    if (plan.form == SavePlan::Form::span) return driver.memcpy_dtod_async(to, plan.copy, plan.bytes, stream);
    return copy_rows(driver, plan, to, plan.copy, true, stream);
}

}  // namespace fumi::rerun
