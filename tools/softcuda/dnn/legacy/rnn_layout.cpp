// What the RNN's descriptors say, and where things lie.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "tools/softcuda/blas/number.h"
#include "tools/softcuda/dnn/legacy/real_function.h"
#include "tools/softcuda/dnn/legacy/rnn.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {
namespace {

blas::Arithmetic arithmetic_of(cudnnDataType_t type, cudnnDataType_t precision,
                               cudnnMathType_t math) noexcept {
    using blas::Arithmetic;
    if (type == CUDNN_DATA_DOUBLE) return Arithmetic::f64;
    if (math == CUDNN_FMA_MATH) return Arithmetic::f32;
    if (type == CUDNN_DATA_FLOAT)
        return math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION ? Arithmetic::tensor_from_f16
                                                             : Arithmetic::tensor_tf32;
    return precision == CUDNN_DATA_HALF ? Arithmetic::tensor_f16 : Arithmetic::tensor_low;
}

cudnnStatus_t read_clip(cudnnRNNDescriptor_t descriptor, Net& net) noexcept {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnRNNGetClip_v9);
    if (net.cell != CUDNN_LSTM || get == nullptr) return CUDNN_STATUS_SUCCESS;
    cudnnRNNClipMode_t mode = CUDNN_RNN_CLIP_NONE;
    const cudnnStatus_t status = get(descriptor, &mode, &net.clip_low, &net.clip_high);
    net.clips = mode == CUDNN_RNN_CLIP_MINMAX;
    return status;
}

struct Bytes {
    std::int64_t used = 0;
    std::int64_t take(std::int64_t bytes) noexcept {
        const std::int64_t place = used;
        used += (bytes + 63) / 64 * 64;
        return place;
    }
};

}  // namespace

cudnnStatus_t read(cudnnRNNDescriptor_t descriptor, Net& net) noexcept {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetRNNDescriptor_v8);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnRNNBiasMode_t bias{};
    cudnnDirectionMode_t direction{};
    cudnnRNNInputMode_t input_mode{};
    cudnnDataType_t precision{};
    cudnnMathType_t math{};
    std::int32_t input = 0, hidden = 0, projection = 0, layers = 0;
    cudnnDropoutDescriptor_t dropout = nullptr;
    std::uint32_t flags = 0;
    if (const auto status =
            get(descriptor, &net.algorithm, &net.cell, &bias, &direction, &input_mode, &net.type, &precision,
                &math, &input, &hidden, &projection, &layers, &dropout, &flags))
        return status;
    net.input = input;
    net.hidden = hidden;
    net.projection = net.cell == CUDNN_LSTM && projection != hidden ? projection : 0;
    net.layers = layers;
    net.directions = direction == CUDNN_BIDIRECTIONAL ? 2 : 1;
    net.input_bias = bias == CUDNN_RNN_DOUBLE_BIAS || bias == CUDNN_RNN_SINGLE_INP_BIAS;
    net.recurrent_bias = bias == CUDNN_RNN_DOUBLE_BIAS || bias == CUDNN_RNN_SINGLE_REC_BIAS;
    net.skip_input = input_mode == CUDNN_SKIP_INPUT;
    net.padded_io = (flags & CUDNN_RNN_PADDED_IO_ENABLED) != 0;
    net.arithmetic = arithmetic_of(net.type, precision, math);
    if (!is_real(net.type)) return CUDNN_STATUS_NOT_SUPPORTED;
    if (net.skip_input && net.input != net.hidden) return CUDNN_STATUS_BAD_PARAM;
    if (dropout != nullptr) net.dropout = find_dropout(dropout).value_or(Dropout{});
    return read_clip(descriptor, net);
}

WeightSpace weight_space(const Net& net) {
    WeightSpace space;
    const auto take = [&space](std::int64_t count) {
        const std::int64_t place = space.elements;
        space.elements += count;
        return place;
    };
    for (int layer = 0; layer < net.layers; ++layer)
        for (int direction = 0; direction < net.directions; ++direction) {
            Weights weights;
            if (layer > 0 || !net.skip_input) weights.w = take(net.rows() * net.input_of(layer));
            weights.r = take(net.rows() * net.output());
            if (net.projection != 0) weights.p = take(net.projection * net.hidden);
            space.of.push_back(weights);
        }
    for (Weights& weights : space.of) {
        if (net.input_bias) weights.bw = take(net.rows());
        if (net.recurrent_bias) weights.br = take(net.rows());
    }
    return space;
}

cudnnStatus_t read(cudnnRNNDataDescriptor_t descriptor, Sequences& sequences) {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetRNNDataDescriptor);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    int steps = 0, batch = 0, width = 0, first_length = 0;
    unsigned char fill[8] = {};
    if (const auto status = get(descriptor, &sequences.type, &sequences.layout, &steps, &batch, &width, 1,
                                &first_length, fill))
        return status;
    sequences.lengths.resize(static_cast<std::size_t>(batch));
    if (const auto status = get(descriptor, &sequences.type, &sequences.layout, &steps, &batch, &width, batch,
                                sequences.lengths.data(), fill))
        return status;
    sequences.steps = steps;
    sequences.batch = batch;
    sequences.width = width;
    blas::visit_type(number_type(sequences.type), [&](auto tag) {
        if constexpr (!blas::is_complex_v<decltype(tag)>) {
            std::memcpy(&tag, fill, sizeof tag);
            sequences.fill = static_cast<double>(blas::load(tag));
        }
    });
    if (sequences.layout != CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED) return CUDNN_STATUS_SUCCESS;
    const bool sorted = std::is_sorted(sequences.lengths.rbegin(), sequences.lengths.rend());
    return sorted ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

Packing pack(const Sequences& sequences) {
    Packing packing;
    packing.entry.resize(static_cast<std::size_t>(sequences.batch));
    std::iota(packing.entry.begin(), packing.entry.end(), 0);
    const auto& lengths = sequences.lengths;
    std::stable_sort(packing.entry.begin(), packing.entry.end(),
                     [&](std::int64_t a, std::int64_t b) { return lengths[a] > lengths[b]; });
    for (const std::int64_t entry : packing.entry) packing.lengths.push_back(lengths[entry]);
    for (std::int64_t step = 0; !packing.lengths.empty() && step < packing.lengths.front(); ++step) {
        std::int64_t active = 0;
        while (active < packing.batch() && packing.lengths[active] > step) ++active;
        packing.active.push_back(active);
        packing.first.push_back(packing.rows);
        for (std::int64_t place = 0; place < active; ++place) {
            const std::int64_t entry = packing.entry[place];
            std::int64_t row = packing.rows + place;
            if (sequences.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED)
                row = step * sequences.batch + entry;
            else if (sequences.layout == CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED)
                row = entry * sequences.steps + step;
            packing.source_row.push_back(row);
        }
        packing.rows += active;
    }
    return packing;
}

ReserveSpace reserve_space(const Net& net, std::int64_t rows) {
    ReserveSpace space;
    Bytes bytes;
    const std::int64_t narrow = net.element_size() * rows, wide = net.compute_size() * rows;
    for (int layer = 0; layer < net.layers; ++layer) {
        space.inputs.push_back(layer == 0 ? 0 : bytes.take(narrow * net.width()));
        space.masks.push_back(layer == 0 || !net.drops() ? 0 : bytes.take(rows * net.width()));
        for (int direction = 0; direction < net.directions; ++direction) {
            Kept kept;
            kept.gates = bytes.take(net.gates() == 1 ? 0 : wide * 4 * net.hidden);
            kept.cells = bytes.take(net.cell == CUDNN_LSTM ? wide * net.hidden : 0);
            kept.outputs = bytes.take(narrow * net.output());
            kept.input_gradient = bytes.take(narrow * net.rows());
            kept.recurrent_gradient =
                net.cell == CUDNN_GRU ? bytes.take(narrow * net.rows()) : kept.input_gradient;
            kept.output_gradient = bytes.take(net.projection == 0 ? 0 : narrow * net.projection);
            space.of.push_back(kept);
        }
    }
    space.bytes = bytes.used;
    return space;
}

}  // namespace softcuda::dnn::legacy
