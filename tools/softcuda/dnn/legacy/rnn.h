// Recurrent nets as cuDNN defines them, forward and backward, over packed sequences.
//
// For one layer and direction, with W: gates H x I, R: gates H x O, P: O x H (row-major, gates stacked):
//   relu, tanh  h' = act( W x + R h + bW + bR )
//   LSTM        i, f, g, o = W x + R h + bW + bR;  c' = s(f) c + s(i) tanh(g);  h' = [P] ( s(o) tanh(c') )
//   GRU         r, z = s( W x + R h + bW + bR );  n = tanh( Wn x + bWn + r (Rn h + bRn) );  h' = (1 - z) n +
//   z h
#pragma once
#include <cudnn.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tools/softcuda/blas/gemm.h"
#include "tools/softcuda/dnn/legacy/dropout.h"
#include "tools/softcuda/dnn/legacy/reduce.h"

namespace softcuda::dnn::legacy {

// The net itself: what the descriptor says.
struct Net {
    cudnnRNNAlgo_t algorithm = CUDNN_RNN_ALGO_STANDARD;
    cudnnRNNMode_t cell = CUDNN_LSTM;
    bool input_bias = true, recurrent_bias = true, skip_input = false, padded_io = false;
    int directions = 1;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    blas::Arithmetic arithmetic = blas::Arithmetic::f32;
    std::int64_t input = 0, hidden = 0, projection = 0;  // projection: 0 where there is none
    int layers = 1;
    bool clips = false;
    double clip_low = 0, clip_high = 0;
    Dropout dropout;

    int gates() const noexcept { return cell == CUDNN_LSTM ? 4 : cell == CUDNN_GRU ? 3 : 1; }
    std::int64_t rows() const noexcept { return gates() * hidden; }                         // of W and R
    std::int64_t output() const noexcept { return projection == 0 ? hidden : projection; }  // size of h
    std::int64_t width() const noexcept { return output() * directions; }  // of a layer's result
    std::int64_t input_of(int layer) const noexcept { return layer == 0 ? input : width(); }
    int pseudo_layers() const noexcept { return layers * directions; }
    std::int64_t element_size() const noexcept {
        return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_FLOAT ? 4 : 2;
    }
    std::int64_t compute_size() const noexcept { return type == CUDNN_DATA_DOUBLE ? 8 : 4; }
    bool drops() const noexcept { return dropout.probability > 0 && layers > 1; }
};
cudnnStatus_t read(cudnnRNNDescriptor_t descriptor, Net& net) noexcept;

// Places in the weight space, in elements; -1: absent. All matrices come first, then all biases.
struct Weights {
    std::int64_t w = -1, r = -1, p = -1, bw = -1, br = -1;
};
struct WeightSpace {
    std::vector<Weights> of;  // [layer * directions + direction]
    std::int64_t elements = 0;
};
WeightSpace weight_space(const Net& net);

// The sequences of a mini-batch: what a data descriptor says.
struct Sequences {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnRNNDataLayout_t layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
    std::int64_t steps = 0, batch = 0, width = 0;
    std::vector<int> lengths;
    double fill = 0;
};
cudnnStatus_t read(cudnnRNNDataDescriptor_t descriptor, Sequences& sequences);

// The same sequences as the arithmetic sees them: longest first, one step after another, without padding.
struct Packing {
    std::vector<std::int64_t> entry;       // which of the batch is in place b
    std::vector<std::int64_t> active;      // how many sequences have a step t: places 0 .. active[t] - 1
    std::vector<std::int64_t> first;       // packed row of step t, place 0
    std::vector<std::int64_t> lengths;     // of the sequence in place b
    std::vector<std::int64_t> source_row;  // where packed row i lies in the program's buffers
    std::int64_t rows = 0;                 // all steps of all sequences

    std::int64_t steps() const noexcept { return static_cast<std::int64_t>(active.size()); }
    std::int64_t batch() const noexcept { return static_cast<std::int64_t>(entry.size()); }
};
Packing pack(const Sequences& sequences);

// Places in the reserve space, in bytes: what training keeps for the backward passes.
struct Kept {
    std::int64_t gates = 0;  // compute type, rows x 4 hidden: the gates after activation; GRU: and Rn h + bRn
    std::int64_t cells = 0;  // compute type, rows x hidden: c'
    std::int64_t outputs = 0;  // data type, rows x output: h'
    // data type, rows x gates hidden each, written by backward data: gradients of W x + bW and R h + bR, and
    // of h'
    std::int64_t input_gradient = 0, recurrent_gradient = 0, output_gradient = 0;
};
struct ReserveSpace {
    std::vector<Kept> of;              // [layer * directions + direction]
    std::vector<std::int64_t> inputs;  // per layer but the first: data type, rows x width, after dropout
    std::vector<std::int64_t> masks;   // per layer but the first: one byte for each of these elements
    std::int64_t bytes = 0;
};
ReserveSpace reserve_space(const Net& net, std::int64_t rows);

// One pass over a net. All pointers are the program's own.
struct Pass {
    Net net;
    Sequences x_sequences, y_sequences;
    const void *hx = nullptr, *cx = nullptr;
    void* reserve = nullptr;  // null: inference
};
struct ForwardPass : Pass {
    const void *x = nullptr, *weights = nullptr;
    void *y = nullptr, *hy = nullptr, *cy = nullptr;
};
struct DataPass : Pass {
    const void *weights = nullptr, *dy = nullptr, *dhy = nullptr, *dcy = nullptr;
    void *dx = nullptr, *dhx = nullptr, *dcx = nullptr;
};
struct WeightsPass : Pass {
    const void* x = nullptr;
    void* dweights = nullptr;
    bool add = true;  // to what dweights holds
};
void run(const ForwardPass& pass, Deviation& deviation);
void run(const DataPass& pass, Deviation& deviation);
void run(const WeightsPass& pass, Deviation& deviation);

}  // namespace softcuda::dnn::legacy
