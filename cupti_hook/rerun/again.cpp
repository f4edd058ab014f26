#include "cupti_hook/rerun/again.h"

#include "cupti_hook/libraries/cublas_handles.h"
#include "cupti_hook/libraries/cublaslt_again.h"

namespace fumi::rerun {

namespace {

constexpr std::size_t alignment = 256;

std::size_t rounded(std::size_t bytes) noexcept {
    return (bytes + alignment - 1) / alignment * alignment;
}

std::size_t span_of(const Region& region) noexcept {
    return static_cast<std::size_t>(region.extent.end - region.extent.begin);
}

bool is_placed(const Region& region, bool inputs) noexcept {
    return region.written || (inputs && region.read);
}

std::size_t workspace_bytes(const Footprint& footprint) noexcept {
    return rounded(footprint.workspace_bytes);
}

}  // namespace

std::size_t bytes_again(const Footprint& footprint, bool inputs) noexcept {
    std::size_t bytes = workspace_bytes(footprint) + rounded(footprint.descriptor_bytes);
    for (int i = 0; i < footprint.count; ++i)
        if (is_placed(footprint.regions[i], inputs))
            bytes += rounded(span_of(footprint.regions[i]) + alignment);
    return bytes;
}

void place(const Footprint& footprint, CUdeviceptr work, bool inputs, AgainMemory& memory) noexcept {
    memory.workspace = footprint.workspace_bytes > 0 ? work : 0;
    work += workspace_bytes(footprint);
    memory.descriptor_outputs = work;
    work += rounded(footprint.descriptor_bytes);
    for (int i = 0; i < footprint.count; ++i) {
        const Region& region = footprint.regions[i];
        if (!is_placed(region, inputs)) continue;
        const auto begin = static_cast<CUdeviceptr>(region.extent.begin);
        memory.moved[i] = static_cast<std::ptrdiff_t>(work + begin % alignment - begin);
        work += rounded(span_of(region) + alignment);
    }
}

const char* restore_outputs(const libraries::DriverApi& driver, const Entry& entry, const SavePlan& saved,
                            const Footprint& footprint, const AgainMemory& memory) noexcept {
    for (int i = 0; i < footprint.count; ++i) {
        const Region& region = footprint.regions[i];
        if (!region.read || !region.written) continue;
        if (saved.form == SavePlan::Form::none) return "what the call overwrote was not saved";
        if (restore(driver, saved,
                    static_cast<CUdeviceptr>(region.extent.begin) + static_cast<CUdeviceptr>(memory.moved[i]),
                    entry.call.stream) != CUDA_SUCCESS)
            return "what the call overwrote could not be copied";
    }
    return nullptr;
}

const char* issue_again(const libraries::Call& call, const void* context, const Footprint& footprint,
                        const AgainMemory& memory) noexcept {
    libraries::ExchangedPointers pointers;
    for (int i = 0; i < footprint.count; ++i)
        for (const std::int8_t place : footprint.regions[i].places)
            if (place >= 0) pointers.moved[place] = memory.moved[i];
    const libraries::PointerPlaces& places = call.places;
    if (places.workspace >= 0) pointers.instead[places.workspace] = reinterpret_cast<void*>(memory.workspace);
    if (call.library == libraries::Library::cublas) {
        const libraries::TwinHandle twin(static_cast<cublasHandle_t>(call.handle), context,
                                         reinterpret_cast<void*>(memory.workspace));
        if (twin.reason() != nullptr) return twin.reason();
        pointers.instead[places.handle] = twin.get();
        return call.again(pointers) == 0 ? nullptr : "the library refused to run the call again";
    }
    cublasLtMatmulDescOpaque_t descriptor;
    if (footprint.descriptor_bytes > 0) {
        if (!libraries::redirect_descriptor(call, reinterpret_cast<void*>(memory.descriptor_outputs),
                                            descriptor))
            return "the outputs named by the descriptor cannot be moved";
        pointers.instead[places.descriptor] = &descriptor;
    }
    return call.again(pointers) == 0 ? nullptr : "the library refused to run the call again";
}

}  // namespace fumi::rerun
