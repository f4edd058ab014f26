// cuDNN's spatial transformer. Its descriptor has no Get function, so what is set is kept beside it.
#include <dlfcn.h>

#include <mutex>
#include <unordered_map>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/spatial.h"

// dlsym itself would find this device's function again.
extern "C" void* softcuda_find_real_dlsym() noexcept;

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;

struct Description {
    cudnnDataType_t type;
    std::vector<int> size;
};
struct Table {
    std::mutex mutex;
    std::unordered_map<cudnnSpatialTransformerDescriptor_t, Description> known;
};
Table& table() {
    static auto* const instance = new Table;  // never destroyed: descriptors may outlive static objects
    return *instance;
}

// The real Set. libcudnn.so.9 only passes it on, by a lookup that would find this device's function.
using Set = decltype(cudnnSetSpatialTransformerNdDescriptor);
Set* real_set() noexcept {
    static Set* const function = []() -> Set* {
        void* library = dlopen("libcudnn_ops.so.9", RTLD_LAZY | RTLD_NOLOAD);
        using Dlsym = void*(void*, const char*);
        auto* const lookup = reinterpret_cast<Dlsym*>(softcuda_find_real_dlsym());
        return library == nullptr
                   ? nullptr
                   : reinterpret_cast<Set*>(lookup(library, "cudnnSetSpatialTransformerNdDescriptor"));
    }();
    return function;
}

cudnnStatus_t read_sampler(Sampler& sampler, cudnnSpatialTransformerDescriptor_t descriptor,
                           cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y) noexcept {
    if (descriptor == nullptr || x == nullptr || y == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = read(x, sampler.x)) return status;
    if (const auto status = read(y, sampler.y)) return status;
    if (sampler.x.type != sampler.y.type || sampler.x.rank != sampler.y.rank) return CUDNN_STATUS_BAD_PARAM;
    if (sampler.x.rank != 4 || !is_real(sampler.x.type)) return CUDNN_STATUS_NOT_SUPPORTED;
    const bool fits = sampler.x.size[0] == sampler.y.size[0] && sampler.x.size[1] == sampler.y.size[1];
    return fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

faults::Shape shape_of(const Sampler& sampler) noexcept {
    return {sampler.y.size[1], sampler.y.size[2] * sampler.y.size[3], 4, sampler.y.size[0]};
}

std::string kernel_name(const char* name, cudnnDataType_t type) {
    return std::string(name) + "_" + blas::short_name(number_type(type));
}

std::vector<Kind> plantable(cudnnDataType_t type) {
    if (type == CUDNN_DATA_BFLOAT16) return {};
    if (type == CUDNN_DATA_HALF) return {Kind::round_inputs_bf16};
    return {Kind::round_inputs_bf16, Kind::round_inputs_tf32};
}

// Points of the grid as a matrix: x and y down.
faults::View grid_view(const Sampler& sampler, void* grid) noexcept {
    const std::int64_t points = sampler.y.size[0] * sampler.y.size[2] * sampler.y.size[3];
    return {host_view(grid), number_type(sampler.x.type), 2, points, 1, 2};
}

cudnnStatus_t launch_generator(cudnnHandle_t handle, const char* function,
                               cudnnSpatialTransformerDescriptor_t descriptor, const void* from, void* to,
                               bool backward) {
    if (descriptor == nullptr || from == nullptr || to == nullptr) return CUDNN_STATUS_BAD_PARAM;
    GridGenerator generator;
    {
        const std::lock_guard lock(table().mutex);
        const auto found = table().known.find(descriptor);
        if (found == table().known.end()) return CUDNN_STATUS_BAD_PARAM;
        const Description& known = found->second;
        if (known.size.size() != 4 || !is_real(known.type)) return CUDNN_STATUS_NOT_SUPPORTED;
        generator = {known.type, known.size[0], known.size[2], known.size[3], backward, from, to};
    }
    const std::int64_t points = generator.height * generator.width;
    Call call{function,
              kernel_name(backward ? "generate_grid_bp" : "generate_grid_fp", generator.type),
              {2, points, 3, generator.batch},
              [generator](Deviation& deviation) { run(generator, deviation); }};
    call.results = [generator, points] {
        const std::int64_t cols = generator.backward ? 3 * generator.batch : points * generator.batch;
        return std::vector<faults::View>{
            {host_view(generator.to), number_type(generator.type), 2, cols, 1, 2}};
    };
    call.plants = plantable(generator.type);
    return enqueue(handle, std::move(call));
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;
using softcuda::faults::View;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSetSpatialTransformerNdDescriptor(
    cudnnSpatialTransformerDescriptor_t descriptor, cudnnSamplerType_t sampler, cudnnDataType_t type,
    const int dimensions, const int size[]) {
    return softcuda::dnn::guarded([&] {
        auto* const set = real_set();
        if (set == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
        const cudnnStatus_t status = set(descriptor, sampler, type, dimensions, size);
        if (status != CUDNN_STATUS_SUCCESS) return status;
        const std::lock_guard lock(table().mutex);
        table().known[descriptor] = {type, std::vector<int>(size, size + dimensions)};
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t
cudnnSpatialTfSamplerForward(cudnnHandle_t handle, cudnnSpatialTransformerDescriptor_t descriptor,
                             const void* alpha, const cudnnTensorDescriptor_t x_desc, const void* x,
                             const void* grid, const void* beta, cudnnTensorDescriptor_t y_desc, void* y) {
    return entry(handle, [&] {
        if (alpha == nullptr || beta == nullptr || x == nullptr || grid == nullptr || y == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        Sampler sampler;
        if (const auto status = read_sampler(sampler, descriptor, x_desc, y_desc)) return status;
        sampler.x_data = x;
        sampler.grid = grid;
        sampler.alpha = scaling(alpha, sampler.x.type);
        sampler.beta = scaling(beta, sampler.x.type);
        sampler.y_data = y;
        Call call{"cudnnSpatialTfSamplerForward", kernel_name("bilinear_sampler_fp_4d", sampler.x.type),
                  shape_of(sampler), [sampler](Deviation& deviation) { run(sampler, deviation); }};
        call.results = [sampler] { return views_of(sampler.y, sampler.y_data); };
        call.plants = plantable(sampler.x.type);
        call.plants.push_back(Kind::drop_k);
        return enqueue(handle, std::move(call));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t
cudnnSpatialTfSamplerBackward(cudnnHandle_t handle, cudnnSpatialTransformerDescriptor_t descriptor,
                              const void* alpha, const cudnnTensorDescriptor_t x_desc, const void* x,
                              const void* beta, const cudnnTensorDescriptor_t dx_desc, void* dx,
                              const void* grid_alpha, const cudnnTensorDescriptor_t dy_desc, const void* dy,
                              const void* grid, const void* grid_beta, void* dgrid) {
    return entry(handle, [&] {
        if (alpha == nullptr || beta == nullptr || grid_alpha == nullptr || grid_beta == nullptr ||
            x == nullptr || dx_desc == nullptr || dx == nullptr || dy == nullptr || grid == nullptr ||
            dgrid == nullptr)
            return CUDNN_STATUS_BAD_PARAM;
        SamplerBackward sampler;
        if (const auto status = read_sampler(sampler, descriptor, x_desc, dy_desc)) return status;
        if (const auto status = read(dx_desc, sampler.dx)) return status;
        if (!sampler.dx.same_sizes(sampler.x) || sampler.dx.type != sampler.x.type)
            return CUDNN_STATUS_BAD_PARAM;
        sampler.x_data = x;
        sampler.grid = grid;
        sampler.alpha = scaling(alpha, sampler.x.type);
        sampler.beta = scaling(beta, sampler.x.type);
        sampler.grid_alpha = scaling(grid_alpha, sampler.x.type);
        sampler.grid_beta = scaling(grid_beta, sampler.x.type);
        sampler.dy_data = dy;
        sampler.dx_data = dx;
        sampler.dgrid = dgrid;
        Call call{"cudnnSpatialTfSamplerBackward", kernel_name("bilinear_sampler_bp_4d", sampler.x.type),
                  shape_of(sampler), [sampler](Deviation& deviation) { run(sampler, deviation); }};
        call.results = [sampler] {
            std::vector<View> views = views_of(sampler.dx, sampler.dx_data);
            views.push_back(grid_view(sampler, sampler.dgrid));
            return views;
        };
        call.plants = plantable(sampler.x.type);
        return enqueue(handle, std::move(call));
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t
cudnnSpatialTfGridGeneratorForward(cudnnHandle_t handle, const cudnnSpatialTransformerDescriptor_t descriptor,
                                   const void* theta, void* grid) {
    return entry(handle, [&] {
        return launch_generator(handle, "cudnnSpatialTfGridGeneratorForward", descriptor, theta, grid, false);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnSpatialTfGridGeneratorBackward(
    cudnnHandle_t handle, const cudnnSpatialTransformerDescriptor_t descriptor, const void* dgrid,
    void* dtheta) {
    return entry(handle, [&] {
        return launch_generator(handle, "cudnnSpatialTfGridGeneratorBackward", descriptor, dgrid, dtheta,
                                true);
    });
}
