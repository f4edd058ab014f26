// What the three passes over a recurrent net share: the products, the program's buffers in packed order, the
// states that go from step to step. E is the storage type, T the type of the arithmetic.
#pragma once
#include "tools/softcuda/blas/pack.h"
#include "tools/softcuda/blas/product.h"
#include "tools/softcuda/dnn/legacy/rnn.h"
#include "tools/softcuda/dnn/legacy/tensor.h"

namespace softcuda::dnn::legacy {

using blas::Buffer;

// A row-major matrix of the net's data type, and its transpose.
inline blas::Matrix by_rows(const void* data, cudnnDataType_t type, std::int64_t columns) noexcept {
    blas::Matrix matrix;
    matrix.data = data;
    matrix.type = number_type(type);
    matrix.row_stride = columns;
    matrix.col_stride = 1;
    return matrix;
}
inline blas::Matrix transposed(blas::Matrix matrix) noexcept {
    std::swap(matrix.row_stride, matrix.col_stride);
    return matrix;
}

struct Extents {
    std::int64_t rows, cols, depth;
};

// out (row-major) = a b. `chosen`: the product that a planted drop_k is for.
template <class T>
void multiply(const Net& net, Extents extents, const blas::Matrix& a, const blas::Matrix& b, T* out,
              Deviation& deviation, bool chosen = false) {
    if (extents.rows == 0 || extents.cols == 0) return;
    blas::Gemm gemm;  // column-major, hence the transpose of everything
    gemm.m = extents.cols;
    gemm.n = extents.rows;
    gemm.k = extents.depth;
    gemm.a = transposed(b);
    gemm.b = transposed(a);
    gemm.d.type = a.type;
    gemm.arithmetic = net.arithmetic;
    blas::SumFault fault;
    if (deviation.plan != nullptr) {
        fault = {deviation.is(faults::Kind::drop_k) ? nullptr : deviation.plan, -1, deviation.run};
        if (chosen && deviation.is(faults::Kind::drop_k)) {
            faults::Random random(*deviation.plan);
            deviation.where.k = deviation.plan->k.value_or(random.below(extents.depth));
            fault = {deviation.plan, deviation.where.k < extents.depth ? deviation.where.k : -1,
                     deviation.run};
        }
    }
    blas::product<T>(gemm, 0, fault, out);
}

template <class T>
T sigmoid(T x) noexcept {
    return 1 / (1 + std::exp(-x));
}

template <class E, class T>
T widened(E x) noexcept {
    return blas::widened<T>(x);
}

// The program's padded or packed rows of `width` elements, in packed order.
template <class E>
Buffer<E> gather(const void* data, std::int64_t width, const Packing& packing) {
    Buffer<E> out(packing.rows * width);
    const auto* from = static_cast<const E*>(view(data));
    for (std::int64_t row = 0; row < packing.rows; ++row)
        std::copy_n(from + packing.source_row[row] * width, width, out.data() + row * width);
    return out;
}
template <class E>
void scatter(const E* rows, void* data, std::int64_t width, const Packing& packing) {
    auto* to = static_cast<E*>(view(data));
    for (std::int64_t row = 0; row < packing.rows; ++row)
        std::copy_n(rows + row * width, width, to + packing.source_row[row] * width);
}

// Gives the rows after each sequence's end a value; nothing where the layout has none.
template <class E>
void fill_padding(void* data, const Sequences& sequences, E value) {
    if (sequences.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED) return;
    auto* to = static_cast<E*>(view(data));
    for (std::int64_t entry = 0; entry < sequences.batch; ++entry)
        for (std::int64_t step = sequences.lengths[entry]; step < sequences.steps; ++step) {
            const std::int64_t row = sequences.layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED
                                         ? step * sequences.batch + entry
                                         : entry * sequences.steps + step;
            std::fill_n(to + row * sequences.width, sequences.width, value);
        }
}

// hx, cx and their like: [pseudo layer][batch][size] of the data type, to and from packed places. Null reads
// as zeros and takes nothing.
template <class E, class To>
void load_state(const void* data, int pseudo_layer, std::int64_t size, const Packing& packing, To* out) {
    if (data == nullptr) {
        std::fill_n(out, packing.batch() * size, To{});
        return;
    }
    const auto* from = static_cast<const E*>(view(data)) + pseudo_layer * packing.batch() * size;
    for (std::int64_t place = 0; place < packing.batch(); ++place)
        for (std::int64_t i = 0; i < size; ++i) {
            const E x = from[packing.entry[place] * size + i];
            if constexpr (std::is_same_v<E, To>)
                out[place * size + i] = x;
            else
                out[place * size + i] = blas::widened<To>(x);
        }
}
template <class E, class From>
void store_state(void* data, int pseudo_layer, std::int64_t size, const Packing& packing,
                 const From* values) {
    if (data == nullptr) return;
    auto* to = static_cast<E*>(view(data)) + pseudo_layer * packing.batch() * size;
    for (std::int64_t place = 0; place < packing.batch(); ++place)
        for (std::int64_t i = 0; i < size; ++i) {
            const From x = values[place * size + i];
            if constexpr (std::is_same_v<E, From>)
                to[packing.entry[place] * size + i] = x;
            else
                to[packing.entry[place] * size + i] = blas::store<E>(x);
        }
}

// Typed pointers into the reserve space; null where there is none (inference).
template <class X>
X* at(void* space, std::int64_t bytes) noexcept {
    return space == nullptr ? nullptr : reinterpret_cast<X*>(static_cast<char*>(space) + bytes);
}

// The packed row of the step that a direction took before step t at place b, or -1 for its first.
inline std::int64_t row_before(const Packing& packing, bool backwards, std::int64_t step,
                               std::int64_t place) noexcept {
    if (!backwards) return step == 0 ? -1 : packing.first[step - 1] + place;
    return step + 1 >= packing.lengths[place] ? -1 : packing.first[step + 1] + place;
}

// Runner<E, T>(pass, deviation).run() for the net's storage type.
template <template <class, class> class Runner, class PassType>
void run_as(const PassType& pass, Deviation& deviation) {
    visit_real(pass.net.type, [&](auto stored, auto value) {
        Runner<decltype(stored), decltype(value)>(pass, deviation).run();
    });
}

}  // namespace softcuda::dnn::legacy
