// One execution of a graph by a worker thread: its tensors as dense arrays of T (float, or double for graphs
// in fp64), the operations one after another.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "tools/softcuda/blas/faulty.h"
#include "tools/softcuda/blas/pack.h"
#include "tools/softcuda/dnn/elements.h"
#include "tools/softcuda/dnn/engines.h"

namespace softcuda::dnn {

// One call of cudnnBackendExecute; it may be run many times (graph replays).
struct Call {
    std::shared_ptr<const Graph> graph;
    Engine engine;
    std::vector<void*> pointers;  // of each tensor of the graph; null for virtual ones
    std::vector<std::array<unsigned char, 8>> host_values;  // of each tensor that is passed by value
    std::shared_ptr<const faults::Plan> fault;
};

// A planted fault of the inputs, of a sum or of the bias, and where it went.
struct Sabotage {
    const faults::Plan* plan = nullptr;
    bool decided = false;
    const char* obstacle = nullptr;
    blas::SumFault sum;
    std::int64_t bias_channel = -1;
    faults::Where where;
};

// Memory to form products from: a tensor of the program's, or the dense values of a virtual one.
struct Operand {
    const char* data = nullptr;
    cudaDataType storage = CUDA_R_32F;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;  // what the values are rounded to
    std::vector<std::int64_t> size, stride;
};

template <class T>
class Run {
  public:
    // whole: no sum is formed in pieces.
    Run(const Call& call, Sabotage* sabotage, bool whole)
        : call_(call), sabotage_(sabotage), whole_(whole), values_(call.graph->tensors.size()) {}

    void all();

    void operator()(const Convolution& op);
    void operator()(const Pointwise& op);
    void operator()(const Matmul& op);
    void operator()(const Reduction& op);
    void operator()(const Reshape& op);
    void operator()(const Rng& op);
    void operator()(const Attention& op);

  private:
    const Tensor& tensor(int index) const { return call_.graph->tensors[static_cast<std::size_t>(index)]; }
    const blas::Buffer<T>& read(int index);  // dense
    blas::Buffer<T>& create(int index);      // dense, not initialised
    void finish(int index);                  // after the values are there: rounds and stores
    Operand operand(int index);
    T scalar(int index, T otherwise);  // the only element of a tensor

    // acc (column-major) = a b, with the fault that is planted. main: the graph's last product.
    void product(blas::Gemm& gemm, bool main, T* acc);
    blas::Arithmetic arithmetic_for(cudnnDataType_t type) const noexcept;
    // C[batch] = A[batch] B[batch], all dense or strided with broadcast leading dimensions.
    void multiply(const Operand& a, const Operand& b, const std::vector<std::int64_t>& size, bool main, T* c);

    void drop_bias(const Pointwise& op, blas::Buffer<T>& result);
    void convolve_groups(const Convolution& op, T* result);
    void filter_gradient(const Convolution& op, T* result);

    const Call& call_;
    Sabotage* sabotage_;
    bool whole_;
    std::vector<std::optional<blas::Buffer<T>>> values_;
};

}  // namespace softcuda::dnn
