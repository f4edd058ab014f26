// Batched matrix products and attention.
#include <algorithm>
#include <cmath>

#include "tools/softcuda/dnn/run.h"

namespace softcuda::dnn {
namespace {

// The entry of a batch as a matrix; leading dimensions that are shorter than the result's are shared.
blas::Matrix batch_matrix(const Operand& operand, const std::vector<std::int64_t>& size,
                          const std::vector<std::int64_t>& at) noexcept {
    const std::size_t rank = operand.size.size();
    std::int64_t offset = 0;
    for (std::size_t d = 0; d + 2 < rank; ++d) {
        const std::int64_t shared =
            std::max<std::int64_t>(1, size[d] / std::max<std::int64_t>(1, operand.size[d]));
        offset += at[d] / shared * operand.stride[d];
    }
    blas::Matrix matrix;
    matrix.data = operand.data + offset * static_cast<std::int64_t>(blas::size_of(operand.storage));
    matrix.type = operand.storage;
    matrix.row_stride = operand.stride[rank - 2];
    matrix.col_stride = operand.stride[rank - 1];
    return matrix;
}

blas::Matrix transposed(blas::Matrix matrix) noexcept {
    std::swap(matrix.row_stride, matrix.col_stride);
    return matrix;
}

Operand transposed(Operand operand) {
    const std::size_t rank = operand.size.size();
    std::swap(operand.size[rank - 1], operand.size[rank - 2]);
    std::swap(operand.stride[rank - 1], operand.stride[rank - 2]);
    return operand;
}

// p = softmax of each row in place, m + log(sum) into stats where they are wanted.
template <class T>
void softmax_rows(T* values, std::int64_t rows, std::int64_t columns, T* stats) {
    for (std::int64_t i = 0; i < rows; ++i) {
        T* row = values + i * columns;
        const T largest = *std::max_element(row, row + columns);
        double sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
            row[j] = std::isinf(largest) && largest < 0 ? T{} : std::exp(row[j] - largest);
            sum += static_cast<double>(row[j]);
        }
        for (std::int64_t j = 0; j < columns; ++j)
            row[j] = sum > 0 ? static_cast<T>(static_cast<double>(row[j]) / sum) : T{};
        if (stats != nullptr) stats[i] = largest + static_cast<T>(std::log(sum));
    }
}

}  // namespace

// C is row-major, so C^T = B^T A^T is what comes out column by column.
template <class T>
void Run<T>::multiply(const Operand& a, const Operand& b, const std::vector<std::int64_t>& size, bool main,
                      T* c) {
    const std::size_t rank = size.size();
    blas::Gemm gemm;
    gemm.m = size[rank - 1];
    gemm.n = size[rank - 2];
    gemm.k = a.size[rank - 1];
    gemm.arithmetic = arithmetic_for(a.type);
    std::int64_t batch = 1;
    for (std::size_t d = 0; d + 2 < rank; ++d) batch *= size[d];
    std::vector<std::int64_t> at(rank, 0);
    for (std::int64_t index = 0; index < batch; ++index) {
        gemm.a = transposed(batch_matrix(b, size, at));
        gemm.b = transposed(batch_matrix(a, size, at));
        product(gemm, main, c + index * gemm.m * gemm.n);
        for (std::size_t d = rank - 2; d-- > 0;) {
            if (++at[d] < size[d]) break;
            at[d] = 0;
        }
    }
}

template <class T>
void Run<T>::operator()(const Matmul& op) {
    if (tensor(op.a).type == CUDNN_DATA_INT8) {  // as numbers of type T from here on
        (void)read(op.a);
        (void)read(op.b);
    }
    const Operand a = operand(op.a), b = operand(op.b);
    auto& result = create(op.c);
    bool last = true;
    for (const Operation& other : call_.graph->operations)
        if (const auto* matmul = std::get_if<Matmul>(&other)) last = matmul->c == op.c;
    multiply(a, b, tensor(op.c).size, last, result.data());
    finish(op.c);
}

template <class T>
void Run<T>::operator()(const Attention& op) {
    const Operand q = operand(op.q), k = operand(op.k), v = operand(op.v);
    std::vector<std::int64_t> size = q.size;
    size[3] = k.size[2];
    const std::int64_t rows = size[0] * size[1] * size[2], columns = size[3];
    blas::Buffer<T> scores(rows * columns);
    multiply(q, transposed(k), size, false, scores.data());
    const T scale = scalar(op.scale, T{1});
    for (T& x : scores) x *= scale;
    if (op.length_kv >= 0) {
        const auto& lengths = read(op.length_kv);
        for (std::int64_t i = 0; i < rows; ++i) {
            const auto length = static_cast<std::int64_t>(lengths[i / (size[1] * size[2])]);
            std::fill(scores.data() + i * columns + std::min(length, columns),
                      scores.data() + (i + 1) * columns, -std::numeric_limits<T>::infinity());
        }
    }
    T* stats = op.stats >= 0 ? create(op.stats).data() : nullptr;
    softmax_rows(scores.data(), rows, columns, stats);
    round_values(q.type, scores.data(), scores.size());
    auto& result = create(op.o);
    Operand weights{reinterpret_cast<const char*>(scores.data()), cuda_type(CUDNN_DATA_FLOAT), q.type, size,
                    dense_strides(size)};
    if (std::is_same_v<T, double>) weights.storage = CUDA_R_64F;
    multiply(weights, v, tensor(op.o).size, true, result.data());
    finish(op.o);
    if (op.stats >= 0) finish(op.stats);
}

template void Run<float>::operator()(const Matmul&);
template void Run<double>::operator()(const Matmul&);
template void Run<float>::operator()(const Attention&);
template void Run<double>::operator()(const Attention&);
template void Run<float>::multiply(const Operand&, const Operand&, const std::vector<std::int64_t>&, bool,
                                   float*);
template void Run<double>::multiply(const Operand&, const Operand&, const std::vector<std::int64_t>&, bool,
                                    double*);

}  // namespace softcuda::dnn
