// Which memory a problem's call reads and which it writes.
#include <algorithm>

#include "cupti_hook/rerun/dnn_problem.h"
#include "kernels/contract.h"

namespace fumi::rerun {

namespace {

class Lister {
  public:
    explicit Lister(Operands& all) noexcept : all_(all) {}

    void input(TensorView& view) noexcept { add(all_.inputs, all_.input_count, &view.data, extent(view)); }
    void output(TensorView& view) noexcept { add(all_.outputs, all_.output_count, &view.data, extent(view)); }
    void input(const void*& data, std::int64_t bytes) noexcept {
        add(all_.inputs, all_.input_count, &data, range(data, bytes));
    }
    void output(const void*& data, std::int64_t bytes) noexcept {
        add(all_.outputs, all_.output_count, &data, range(data, bytes));
    }

  private:
    static Extent range(const void* data, std::int64_t bytes) noexcept {
        const auto begin = reinterpret_cast<std::intptr_t>(data);
        return data == nullptr || bytes <= 0 ? Extent{} : Extent{begin, begin + bytes};
    }
    static Extent extent(const TensorView& view) noexcept {
        if (view.data == nullptr) return {};
        std::int64_t low = 0, high = 0;
        for (std::int32_t i = 0; i < view.rank; ++i) {
            if (view.size[i] <= 0) return {};
            const std::int64_t reach = (view.size[i] - 1) * view.stride[i];
            low += std::min<std::int64_t>(reach, 0);
            high += std::max<std::int64_t>(reach, 0);
        }
        const auto base = reinterpret_cast<std::intptr_t>(view.data);
        const std::int64_t element = element_bytes(view.type);
        return {base + low * element, base + (high + 1) * element};
    }
    static void add(Operand* list, int& count, const void** data, const Extent& extent) noexcept {
        if (!extent.empty() && count < most_operands) list[count++] = {data, extent};
    }

    Operands& all_;
};

void list(Lister& lister, ConvProblem& p) noexcept {
    const bool to_x = p.direction == ConvDirection::backward_data,
               to_w = p.direction == ConvDirection::backward_filter;
    TensorView* const output = to_x ? &p.x : to_w ? &p.w : &p.y;
    for (TensorView* const view : {&p.x, &p.w, &p.y})
        view == output ? lister.output(*view) : lister.input(*view);
    lister.input(p.addend);
    lister.input(p.bias);
}

std::int64_t parameter_bytes(const BatchNormProblem& p) noexcept {
    std::int64_t count = p.x.rank > 1 ? p.x.size[1] : 0;
    if (p.mode == NormMode::per_activation)
        for (std::int32_t i = 2; i < p.x.rank; ++i) count *= p.x.size[i];
    return count * element_bytes(p.parameters);
}

void list(Lister& lister, BatchNormProblem& p) noexcept {
    const std::int64_t bytes = parameter_bytes(p);
    lister.input(p.x);
    for (const void** const data :
         {&p.scale, &p.bias, &p.mean, &p.variance, &p.running_mean_before, &p.running_variance_before})
        lister.input(*data, bytes);
    if (p.direction == NormDirection::backward) {
        lister.input(p.dy);
        lister.input(p.y);
        lister.input(p.saved_mean, bytes);
        lister.input(p.saved_inv_std, bytes);
        lister.output(p.dx);
        lister.output(p.dz);
        lister.output(p.dscale, bytes);
        lister.output(p.dbias, bytes);
        return;
    }
    lister.input(p.z);
    lister.output(p.y);
    for (const void** const data : {&p.saved_mean, &p.saved_inv_std, &p.running_mean, &p.running_variance})
        lister.output(*data, bytes);
}

void list(Lister& lister, AttentionProblem& p) noexcept {
    for (TensorView* const view : {&p.q, &p.k, &p.v, &p.bias}) lister.input(*view);
    if (p.direction == AttentionDirection::forward) {
        lister.output(p.o);
        lister.output(p.stats);
        return;
    }
    for (TensorView* const view : {&p.o, &p.stats, &p.d_o}) lister.input(*view);
    for (TensorView* const view : {&p.dq, &p.dk, &p.dv}) lister.output(*view);
}

// The weights' gradient alone is added to; states may be handed on in place.
void list(Lister& lister, RnnProblem& p, std::int64_t weight_bytes) noexcept {
    const std::int64_t element = element_bytes(p.type);
    const std::int64_t cells = static_cast<std::int64_t>(p.layers) * p.directions * p.batch;
    const std::int64_t h = cells * (p.projection > 0 ? p.projection : p.hidden) * element,
                       c = cells * p.hidden * element;
    lister.input(p.dweights_before, weight_bytes);
    lister.output(p.dweights, weight_bytes);
    for (const void** const data : {&p.hx, &p.dhy}) lister.input(*data, h);
    for (const void** const data : {&p.cx, &p.dcy}) lister.input(*data, c);
    for (const void** const data : {&p.hy, &p.dhx}) lister.output(*data, h);
    for (const void** const data : {&p.cy, &p.dcx}) lister.output(*data, c);
}

void list(Lister& lister, SoftmaxProblem& p) noexcept {
    lister.input(p.x);
    lister.input(p.dy);
    lister.input(p.before);
    p.backward != 0 ? lister.input(p.y) : lister.output(p.y);
    lister.output(p.dx);
}

void list(Lister& lister, PoolProblem& p) noexcept {
    lister.input(p.x);
    lister.input(p.dy);
    lister.input(p.before);
    p.backward != 0 ? lister.input(p.y) : lister.output(p.y);
    lister.output(p.dx);
}

void list(Lister& lister, CtcProblem& p) noexcept {
    const std::int64_t bytes = static_cast<std::int64_t>(p.steps) * p.batch * p.classes * 4;
    lister.input(p.inputs, bytes);
    lister.output(p.gradients, bytes);
}

void list(Lister& lister, GridSampleProblem& p) noexcept {
    for (TensorView* const view : {&p.x, &p.grid, &p.dy}) lister.input(*view);
    for (TensorView* const view : {&p.y, &p.dx, &p.dgrid}) lister.output(*view);
}

}  // namespace

Operands operands_of(DnnProblem& problem, const libraries::DnnCall& call) noexcept {
    Operands all;
    Lister lister(all);
    switch (problem.kind) {
        case DnnKind::convolution:
            list(lister, problem.convolution);
            break;
        case DnnKind::batch_norm:
            list(lister, problem.batch_norm);
            break;
        case DnnKind::attention:
            list(lister, problem.attention);
            break;
        case DnnKind::rnn:
            list(lister, problem.rnn, static_cast<std::int64_t>(call.rnn.weight_bytes));
            break;
        case DnnKind::softmax:
            list(lister, problem.softmax);
            break;
        case DnnKind::pooling:
            list(lister, problem.pooling);
            break;
        case DnnKind::ctc:
            list(lister, problem.ctc);
            break;
        case DnnKind::grid_sample:
            list(lister, problem.grid_sample);
            break;
        case DnnKind::none:
            break;
    }
    return all;
}

}  // namespace fumi::rerun
