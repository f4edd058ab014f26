#include "tools/softcuda/dnn/execute.h"

#include <algorithm>

#include "tools/softcuda/blas/names.h"
#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/handle.h"
#include "tools/softcuda/dnn/run.h"

namespace softcuda::dnn {
namespace {

// The tensors that the program gets: written by one operation, read by no other. Attention's statistics are
// left out: a fault in them is none in the results.
std::vector<int> results_of(const Graph& graph) {
    std::vector<bool> read(graph.tensors.size(), false);
    std::vector<int> results;
    for (const Operation& operation : graph.operations)
        for (const int tensor : uses_of(operation).reads)
            if (tensor >= 0) read[static_cast<std::size_t>(tensor)] = true;
    const bool attention = graph.name.rfind("attention", 0) == 0;
    for (const Operation& operation : graph.operations)
        for (const int index : uses_of(operation).writes) {
            if (index < 0 || read[static_cast<std::size_t>(index)]) continue;
            const Tensor& tensor = graph.tensors[static_cast<std::size_t>(index)];
            if (tensor.is_virtual || (attention && tensor.size.back() == 1)) continue;
            results.push_back(index);
        }
    return results;
}

// A result as matrices: its rows are channels (filters, of a filter gradient; queries, of attention), its
// columns all the rest that lies in one progression.
void add_views(const Tensor& tensor, std::size_t rows, void* data, std::vector<faults::View>& views) {
    std::vector<std::size_t> others;
    for (std::size_t d = 0; d < tensor.size.size(); ++d)
        if (d != rows && tensor.size[d] != 1) others.push_back(d);
    std::sort(others.begin(), others.end(),
              [&](std::size_t p, std::size_t q) { return tensor.stride[p] > tensor.stride[q]; });
    faults::View view;
    view.type = cuda_type(tensor.type);
    view.rows = tensor.size[rows];
    view.row_stride = tensor.stride[rows];
    view.cols = 1;
    while (!others.empty()) {
        const std::size_t d = others.back();
        // Images are matrices of their own.
        if (view.cols != 1 && (tensor.stride[d] != view.col_stride * view.cols || (d == 0 && rows == 1)))
            break;
        if (view.cols == 1) view.col_stride = tensor.stride[d];
        view.cols *= tensor.size[d];
        others.pop_back();
    }
    std::vector<std::int64_t> size, stride;
    for (const std::size_t d : others) {
        size.push_back(tensor.size[d]);
        stride.push_back(tensor.stride[d]);
    }
    size.push_back(1);
    stride.push_back(0);
    each_run(size, stride, [&](std::int64_t offset, std::int64_t) {
        view.data = static_cast<char*>(data) + offset * element_size(tensor.type);
        views.push_back(view);
    });
}

std::vector<faults::View> views_of(const Call& call) {
    const Graph& graph = *call.graph;
    const bool filters = graph.name == "convolution_backward_filter";
    const bool channels = graph.name.rfind("convolution", 0) == 0;
    std::vector<faults::View> views;
    for (const int index : results_of(graph)) {
        const auto at = static_cast<std::size_t>(index);
        const Tensor& tensor = graph.tensors[at];
        if (!is_floating(tensor.type) || tensor.size.size() < 2) continue;
        const std::size_t rows = filters ? 0 : channels ? 1 : tensor.size.size() - 2;
        add_views(tensor, rows, host_view(call.pointers[at]), views);
    }
    return views;
}

void run(const Call& call, Sabotage* sabotage = nullptr, bool whole = false) {
    if (call.graph->in_double)
        Run<double>(call, sabotage, whole).all();
    else
        Run<float>(call, sabotage, whole).all();
}

void run_faulty(const Call& call) {
    const faults::Plan& plan = *call.fault;
    const auto views = views_of(call);
    const auto before = faults::save(views);
    if (faults::is_output_fault(plan.kind)) {
        run(call);
        return blas::plant_in_results(plan, views);
    }
    // Without the fault, but in the same order as with it: what differs then is the fault.
    run(call, nullptr, true);
    const auto right = faults::save(views);
    faults::restore(views, before);
    Sabotage sabotage;
    sabotage.plan = &plan;
    if (plan.kind != faults::Kind::stale_output) run(call, &sabotage, true);
    const bool bias = plan.kind == faults::Kind::drop_bias_row && !sabotage.decided;
    if (bias || sabotage.obstacle != nullptr) {
        faults::restore(views, right);
        return faults::log_skipped(plan, bias ? "the call has no bias" : sabotage.obstacle);
    }
    if (faults::save(views) == right) return faults::log_skipped(plan, "the results come out the same");
    faults::log_planted(plan, sabotage.where);
}

// The sizes of the matrix product that the graph's main operation is.
faults::Shape shape_of(const Graph& graph) {
    faults::Shape shape;
    const auto size = [&](int tensor) -> const std::vector<std::int64_t>& {
        return graph.tensors[static_cast<std::size_t>(tensor)].size;
    };
    const auto product = [](const std::vector<std::int64_t>& all, std::size_t first) {
        std::int64_t result = 1;
        for (std::size_t d = first; d < all.size(); ++d) result *= all[d];
        return result;
    };
    for (const Operation& operation : graph.operations) {
        if (const auto* op = std::get_if<Convolution>(&operation)) {
            const std::int64_t taps = product(size(op->w), 2), images = size(op->x)[0], groups = op->groups;
            const std::int64_t channels = size(op->w)[1], filters = size(op->w)[0] / groups;
            if (op->direction == Direction::forward)
                return {images * product(size(op->y), 2), filters, channels * taps, groups};
            if (op->direction == Direction::backward_data)
                return {images * product(size(op->x), 2), channels, filters * taps, groups};
            return {channels * taps, filters, images * product(size(op->y), 2), groups};
        }
        if (const auto* op = std::get_if<Attention>(&operation))
            return {size(op->q)[2], size(op->v)[3], size(op->k)[2], size(op->q)[0] * size(op->q)[1]};
        if (const auto* op = std::get_if<Matmul>(&operation)) {
            const auto& c = size(op->c);
            shape = {c[c.size() - 2], c.back(), size(op->a).back(), 1};
            for (std::size_t d = 0; d + 2 < c.size(); ++d) shape.batch *= c[d];
        }
    }
    return shape;
}

cudnnStatus_t read_pack(const Descriptor& pack, Call& call) {
    const auto uids = pack.values<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack.values<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    if (uids.size() != pointers.size())
        return failed(CUDNN_STATUS_BAD_PARAM, "the variant pack has not one pointer for each id");
    for (const Tensor& tensor : call.graph->tensors) {
        void* pointer = nullptr;
        std::array<unsigned char, 8> value{};
        if (!tensor.is_virtual) {
            const auto found = std::find(uids.begin(), uids.end(), tensor.uid);
            if (found != uids.end()) pointer = pointers[static_cast<std::size_t>(found - uids.begin())];
            if (pointer == nullptr && tensor.count() != 0)
                return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER,
                              "the variant pack has no pointer for tensor " + std::to_string(tensor.uid));
            if (tensor.by_value && pointer != nullptr)
                std::memcpy(value.data(), pointer,
                            static_cast<std::size_t>(std::min<std::int64_t>(8, element_size(tensor.type))));
        }
        call.pointers.push_back(pointer);
        call.host_values.push_back(value);
    }
    const auto workspace = pack.value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, nullptr);
    if (call.engine.workspace > 0 && workspace == nullptr)
        return failed(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the plan needs a workspace");
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace

cudnnStatus_t execute(cudnnHandle_t handle, std::shared_ptr<const Graph> graph, const Engine& engine,
                      const Descriptor& pack) {
    auto call = std::make_shared<Call>();
    call->graph = std::move(graph);
    call->engine = engine;
    if (const auto status = read_pack(pack, *call); status != CUDNN_STATUS_SUCCESS) return status;
    return enqueue(handle, std::move(call), "cudnnBackendExecute");
}

cudnnStatus_t enqueue(cudnnHandle_t handle, std::shared_ptr<Call> call, const char* function) {
    call->fault = faults::plan(function, shape_of(*call->graph), call->graph->name.c_str());
    const char* name = blas::intern(kernel_name(*call->graph, call->engine));
    if (settings().compute_null) return status_of(softcuda::launch(handle->stream, name, [] {}));
    return status_of(
        softcuda::launch(handle->stream, name, [call = std::shared_ptr<const Call>(std::move(call))] {
            call->fault == nullptr ? run(*call) : run_faulty(*call);
        }));
}

}  // namespace softcuda::dnn
